"""Servers, proxies, processes and people for tests, benchmarks and the drill; below all three."""
