"""A presence server: it shows who is here."""

__version__ = "1.0.0"
