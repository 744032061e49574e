"""What the nodes of a site learn of each other beside the relay: by rows, and by locks on files."""
