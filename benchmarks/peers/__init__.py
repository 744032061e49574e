"""What people would pick instead: each in its folder, with an environment of its own."""
