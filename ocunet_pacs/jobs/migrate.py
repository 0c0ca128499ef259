"""The schema's versions: Alembic, driven from here with a connection of ours. There is no alembic.ini."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from ocunet_pacs.domain.errors import SchemaMismatch
from ocunet_pacs.jobs.engine import check_references, for_reading, rebuilding, transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

UPGRADE = "ocunet-pacs db upgrade"
_LOCK = 0x4F43_554E  # an advisory lock's number, the same in every release
_PACKAGE = Path(__file__).resolve().parents[1]


def migrations_folder() -> Path:
    """Where env.py and the versions are: inside the wheel, or at the root of a checkout."""
    shipped = _PACKAGE / "_shipped" / "migrations"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "migrations"


def upgrade(engine: Engine) -> str:
    """Bring the schema to this release's, in one transaction; its revision. Does nothing when it is there already.

    Processes that upgrade at once wait for each other. SchemaMismatch when the schema is newer than this release.
    """
    return upgrade_to(engine, "head")


def upgrade_to(engine: Engine, revision: str) -> str:
    """As `upgrade`, up to `revision`; its number. Tests make the schemas of older releases with it."""
    with rebuilding(engine) as unchecked, transaction(unchecked) as connection:
        _wait_for_others(connection)
        _refuse_unknown(current_revision(connection))
        command.upgrade(_config(connection), revision)
        check_references(connection)
        reached = current_revision(connection)
    assert reached is not None
    return reached


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the schema back to `revision`, in one transaction. "base" drops every table and all that is in them."""
    with rebuilding(engine) as unchecked, transaction(unchecked) as connection:
        _wait_for_others(connection)
        _refuse_unknown(current_revision(connection))
        command.downgrade(_config(connection), revision)
        check_references(connection)


def check(engine: Engine) -> str:
    """The revision of the schema, which is this release's.

    SchemaMismatch when it is older, newer or not there; the message says what to run.
    """
    with transaction(for_reading(engine)) as connection:
        found = current_revision(connection)
    wanted = newest_revision()
    if found == wanted:
        return wanted
    _refuse_unknown(found)
    state = "is empty" if found is None else f"has schema {found} and this release needs {wanted}"
    msg = f"the database {state}; run: {UPGRADE}"
    raise SchemaMismatch(msg)


def current_revision(connection: Connection) -> str | None:
    """The revision that the database says it has; None when it says nothing."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The revision that this release knows and needs."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def _refuse_unknown(found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        msg = (
            f"the database has schema {found}, which this release does not know (it knows up to {newest_revision()}): "
            "a newer release upgraded it; install that release again"
        )
        raise SchemaMismatch(msg)


def _wait_for_others(connection: Connection) -> None:
    """Until we commit, no other process migrates. On SQLite the transaction holds the write lock already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
