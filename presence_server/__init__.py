"""A server that tells people who is here."""

__version__ = "0.1.0"
