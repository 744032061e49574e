"""The only door to the database, with two ways through it: SQLite and PostgreSQL."""
