"""Alembic's scripts for the log's own tables."""
