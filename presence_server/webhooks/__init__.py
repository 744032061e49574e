"""Telling the backends of apps who is here: the only door to servers of others."""
