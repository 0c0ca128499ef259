"""INSERT that knows ON CONFLICT: both databases have it, SQLAlchemy's common INSERT has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def insert_into(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """The INSERT of the database that `connection` leads to."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
