"""What candidate bundles say of studies that the active one has reported.

On the way down goes all of it: shadows, their scores and their jobs. No result is touched.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
KINDS_BEFORE = "kind IN ('analyse', 'deliver')"
KINDS = "kind IN ('analyse', 'deliver', 'shadow')"
WAITING = sa.text("state = 'waiting'")
WITH_RESULT = sa.column("key").is_not(None)
SCORES = "JSON: [label, logit, probability, threshold, positive], for each label"


def upgrade() -> None:
    _change_kinds(KINDS)
    op.create_index(
        "ix_analyses_finished",
        "analyses",
        ["finished_at", "id"],
        sqlite_where=WITH_RESULT,
        postgresql_where=WITH_RESULT,
    )
    op.create_table(
        "shadows",
        sa.Column("id", ID, nullable=False),
        sa.Column("analysis_id", ID, nullable=False),
        sa.Column("bundle_digest", sa.String(64), nullable=False, comment="of the candidate"),
        sa.Column("operating_point", sa.String(), nullable=False, comment="which of its thresholds count"),
        sa.Column("bundle", sa.String(), nullable=False, comment="what it is called"),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name=op.f("fk_shadows_analysis_id_analyses")),
        sa.UniqueConstraint(
            "analysis_id",
            "bundle_digest",
            "operating_point",
            name=op.f("uq_shadows_analysis_id_bundle_digest_operating_point"),
        ),
    )
    op.create_index("ix_shadows_candidate", "shadows", ["bundle_digest", "operating_point", "id"])
    op.create_index("ix_shadows_created_at", "shadows", ["created_at"])
    op.create_table(
        "shadow_scores",
        sa.Column("id", ID, nullable=False),
        sa.Column("shadow_id", ID, nullable=False),
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False, comment="from 1; 0: the only one of its instance"),
        sa.Column("scores", sa.Text(), comment=SCORES),
        sa.Column("reason", sa.String(), comment="code of why it was not scored; NULL: it was"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_scores")),
        sa.ForeignKeyConstraint(["shadow_id"], ["shadows.id"], name=op.f("fk_shadow_scores_shadow_id_shadows")),
        sa.UniqueConstraint(
            "shadow_id",
            "sop_instance_uid",
            "frame",
            name=op.f("uq_shadow_scores_shadow_id_sop_instance_uid_frame"),
        ),
        sa.CheckConstraint("(scores IS NULL) = (reason IS NOT NULL)", name=op.f("ck_shadow_scores_scored_or_not")),
    )


def downgrade() -> None:
    op.drop_table("shadow_scores")
    op.drop_table("shadows")
    op.drop_index("ix_analyses_finished", "analyses")
    jobs = sa.table("jobs", sa.column("kind"))
    op.execute(sa.delete(jobs).where(jobs.c.kind == "shadow"))
    _change_kinds(KINDS_BEFORE)


def _change_kinds(kinds: str) -> None:
    # SQLite copies the table, and an index with an expression in it is not read back from there.
    op.drop_index("ix_jobs_claim", "jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        jobs.create_check_constraint(op.f("ck_jobs_kind"), kinds)
    columns = ["kind", sa.text("priority DESC"), "run_at", "id"]
    op.create_index("ix_jobs_claim", "jobs", columns, sqlite_where=WAITING, postgresql_where=WAITING)
