"""The first schema: studies, instances, analyses, outputs, deliveries and the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not imported: a migration must go on meaning what it meant, whatever becomes of schema.py.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
JOB_KINDS = "kind IN ('analyse', 'deliver')"
JOB_STATES = "state IN ('waiting', 'running', 'done', 'dead', 'discarded')"
OUTPUT_KINDS = "kind IN ('report', 'heatmap')"
LEASED_WHILE_RUNNING = (
    "(state = 'running') = (lease_owner IS NOT NULL) AND (state = 'running') = (lease_expires_at IS NOT NULL)"
)


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_instance_uid", sa.String(), nullable=False),
        sa.Column("open_since", TIME, comment="NULL: every image belongs to a revision"),
        sa.Column("last_received_at", TIME, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="the newest revision, 0 before the first"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("study_instance_uid", name=op.f("uq_studies_study_instance_uid")),
    )
    is_open = sa.text("open_since IS NOT NULL")
    op.create_index("ix_studies_open", "studies", ["open_since"], sqlite_where=is_open, postgresql_where=is_open)

    op.create_table(
        "instances",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("series_instance_uid", sa.String(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("sop_class_uid", sa.String(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(), nullable=False),
        sa.Column("file_key", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("source_ae_title", sa.Text(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("opens_study", sa.Boolean(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), comment="NULL: no revision holds it yet"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_instances_study_id_studies")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_instances_sop_instance_uid")),
        sa.UniqueConstraint("study_id", "ordinal", name=op.f("uq_instances_study_id_ordinal")),
    )

    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("run_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("lease_owner", sa.String()),
        sa.Column("lease_expires_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("kind", "subject_id", name=op.f("uq_jobs_kind_subject_id")),
        sa.CheckConstraint(JOB_KINDS, name=op.f("ck_jobs_kind")),
        sa.CheckConstraint(JOB_STATES, name=op.f("ck_jobs_state")),
        sa.CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name=op.f("ck_jobs_attempts")),
        sa.CheckConstraint(LEASED_WHILE_RUNNING, name=op.f("ck_jobs_leased_while_running")),
        sa.CheckConstraint("(state IN ('waiting', 'running')) = (finished_at IS NULL)", name=op.f("ck_jobs_finished")),
    )
    waiting, running = sa.text("state = 'waiting'"), sa.text("state = 'running'")
    op.create_index("ix_jobs_claim", "jobs", ["kind", "run_at", "id"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("ix_jobs_leases", "jobs", ["lease_expires_at"], sqlite_where=running, postgresql_where=running)

    op.create_table(
        "analyses",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("result", sa.Text(), comment="JSON of the study's result"),
        sa.Column("superseded", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analyses")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_analyses_study_id_studies")),
        sa.UniqueConstraint("key", name=op.f("uq_analyses_key")),
        sa.UniqueConstraint("study_id", "revision", name=op.f("uq_analyses_study_id_revision")),
    )

    op.create_table(
        "outputs",
        sa.Column("id", ID, nullable=False),
        sa.Column("analysis_id", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sop_class_uid", sa.String(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("series_instance_uid", sa.String(), nullable=False),
        sa.Column("file_key", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outputs")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name=op.f("fk_outputs_analysis_id_analyses")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_outputs_sop_instance_uid")),
        sa.CheckConstraint(OUTPUT_KINDS, name=op.f("ck_outputs_kind")),
    )
    op.create_index("ix_outputs_analysis_id", "outputs", ["analysis_id"])

    op.create_table(
        "deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("output_id", ID, nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), comment="DICOM status of the last answer; NULL: nobody answered"),
        sa.Column("comment", sa.Text()),
        sa.Column("answered_at", TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.ForeignKeyConstraint(["output_id"], ["outputs.id"], name=op.f("fk_deliveries_output_id_outputs")),
        sa.UniqueConstraint("output_id", "destination", name=op.f("uq_deliveries_output_id_destination")),
    )


def downgrade() -> None:
    for table in ("deliveries", "outputs", "analyses", "jobs", "instances", "studies"):
        op.drop_table(table)
