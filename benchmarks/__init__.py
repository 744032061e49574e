"""What this server costs, measured beside the plain way of writing the same program."""
