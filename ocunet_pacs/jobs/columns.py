"""Kinds of column: the same values in and out of SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, DateTime, Enum, Integer, String, Text, TypeDecorator

from ocunet_pacs.jobs.text import storable

if TYPE_CHECKING:
    from enum import StrEnum

    from sqlalchemy import Dialect

# SQLite numbers rows by itself only in a column that is INTEGER to the letter.
ID = BigInteger().with_variant(Integer(), "sqlite")
# Without a length: a UID longer than its 64 characters must not fail on one database and pass on the other.
UID = String()


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in, aware UTC out. PostgreSQL keeps `timestamptz`, SQLite the UTC wall clock as text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC; SQLite's text then sorts as time does. A naive time is a ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a time without a zone does not enter the database"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From whatever zone the session has (PostgreSQL) or none (SQLite) to aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Sentence(TypeDecorator[str]):
    """Free text that a peer may have had a hand in, made `storable` on its way in."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """See `storable`."""
        return None if value is None else storable(value)


def short_word(words: type[StrEnum], name: str) -> Enum:
    """A short text column that holds one of the enumeration's values, guarded by a check constraint."""
    return Enum(
        words,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda kinds: [kind.value for kind in kinds],
    )
