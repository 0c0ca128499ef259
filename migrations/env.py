"""Alembic's entry: runs the migrations on the connection that `ocunet_pacs.jobs.migrate` hands over.

The caller opened the transaction and commits it, so a migration that fails leaves nothing behind, on SQLite too.
"""

from __future__ import annotations

from alembic import context

from ocunet_pacs.jobs.schema import metadata

connection = context.config.attributes["connection"]
# SQLite cannot alter most things in place: batch mode copies the table instead.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
