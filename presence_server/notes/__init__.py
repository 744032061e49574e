"""Who is here and what was chosen, written down: it outlives its node, and others can read it."""
