"""A server that tells people who is here."""

__version__ = "1.0.0"
