"""Studies by patient, due times, where files went, and what housekeeping did.

Rows that are there keep their meaning: a study of revision 0001 has an empty `patient_digest` and takes that of the
next object that comes for it; an open one is due as soon as anybody looks, because the daemon stood still meanwhile.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NO_LONGER_UNIQUE = "uq_studies_study_instance_uid"
UNIQUE_BY_PATIENT = "uq_studies_study_instance_uid_patient_digest"
REMOVED = "when retention removed its file; NULL: never"
MISSING = "when its file was not found; NULL: never, or it is back"
PARTIAL = (
    ("ix_studies_kept", "studies", ["last_received_at", "id"], "removed_at IS NULL"),
    ("ix_studies_conflict", "studies", ["conflict_at"], "conflict_at IS NOT NULL"),
    ("ix_instances_missing", "instances", ["id"], "missing_at IS NOT NULL"),
    ("ix_outputs_missing", "outputs", ["id"], "missing_at IS NOT NULL"),
    ("ix_jobs_dead", "jobs", ["id"], "state = 'dead'"),
)
FILE_KEYS = (("ix_instances_file_key", "instances"), ("ix_outputs_file_key", "outputs"))


def upgrade() -> None:
    with op.batch_alter_table("studies") as studies:
        studies.add_column(sa.Column("patient_digest", sa.String(64), server_default=sa.text("''"), nullable=False))
        studies.add_column(
            sa.Column("quiet_until", TIME, comment="when the open study counts as complete; NULL: it is closed")
        )
        studies.add_column(
            sa.Column("conflict_at", TIME, comment="when another patient's object was first seen; NULL: never")
        )
        studies.add_column(
            sa.Column("removed_at", TIME, comment="when the last of its files was removed; NULL: it has files")
        )
        studies.drop_constraint(NO_LONGER_UNIQUE, type_="unique")
        studies.create_unique_constraint(UNIQUE_BY_PATIENT, ["study_instance_uid", "patient_digest"])
    op.execute("UPDATE studies SET quiet_until = last_received_at WHERE open_since IS NOT NULL")
    # In place on SQLite too: nothing but new columns at the end.
    op.add_column("instances", sa.Column("source", sa.String(), server_default=sa.text("''"), nullable=False))
    for table in ("instances", "outputs"):
        op.add_column(table, sa.Column("removed_at", TIME, comment=REMOVED))
        op.add_column(table, sa.Column("missing_at", TIME, comment=MISSING))
    for name, table in FILE_KEYS:
        op.create_index(name, table, ["file_key"])
    for name, table, columns, condition in PARTIAL:
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "housekeeping",
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("started_at", TIME, nullable=False, comment="of its last run, by whichever process"),
        sa.Column("seconds", sa.Float(), nullable=False, comment="how long that took"),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("succeeded_at", TIME, comment="when a run last ended well; NULL: never"),
        sa.Column("note", sa.Text(), nullable=False, comment="what it did, or why it failed"),
        sa.PrimaryKeyConstraint("task", name=op.f("pk_housekeeping")),
    )


def downgrade() -> None:
    """CommandError when two patients share a Study Instance UID: the older schema would mix them."""
    shared = "SELECT count(*) FROM (SELECT 1 FROM studies GROUP BY study_instance_uid HAVING count(*) > 1) AS shared"
    number = op.get_bind().execute(sa.text(shared)).scalar_one()
    if number:
        raise CommandError(f"{number} studies hold images of several patients, which schema 0001 cannot keep apart")
    op.drop_table("housekeeping")
    for name, table, _, _ in PARTIAL:
        op.drop_index(name, table)
    for name, table in FILE_KEYS:
        op.drop_index(name, table)
    for table, columns in (
        ("instances", ("source", "removed_at", "missing_at")),
        ("outputs", ("removed_at", "missing_at")),
    ):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
    with op.batch_alter_table("studies") as studies:
        studies.drop_constraint(UNIQUE_BY_PATIENT, type_="unique")
        studies.create_unique_constraint(NO_LONGER_UNIQUE, ["study_instance_uid"])
        for column in ("patient_digest", "quiet_until", "conflict_at", "removed_at"):
            studies.drop_column(column)
