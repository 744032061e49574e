"""Other applications that show their users through this server: keys, tokens, limits."""
