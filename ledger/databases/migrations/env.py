"""Alembic's environment: runs inside the transaction that `databases.schema` has begun, and commits nothing."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
