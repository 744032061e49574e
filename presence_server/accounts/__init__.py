"""Accounts, their passwords and their sessions, in one SQLite file."""
