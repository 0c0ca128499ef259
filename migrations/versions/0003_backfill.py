"""Past studies that are fetched from archives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
STATES = "state IN ('found', 'fetching', 'fetched', 'present', 'nothing', 'failed')"


def upgrade() -> None:
    op.create_table(
        "backfill_studies",
        sa.Column("id", ID, nullable=False),
        sa.Column("archive", sa.String(), nullable=False, comment="its name in the settings"),
        sa.Column("study_instance_uid", sa.String(), nullable=False),
        sa.Column("modalities", sa.String(), nullable=False, comment="sorted, separated by backslashes"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("reason", sa.Text()),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill_studies")),
        sa.UniqueConstraint(
            "archive", "study_instance_uid", name=op.f("uq_backfill_studies_archive_study_instance_uid")
        ),
        sa.CheckConstraint(STATES, name=op.f("ck_backfill_studies_state")),
        sa.CheckConstraint(
            "(state = 'fetching') = (owner IS NOT NULL)", name=op.f("ck_backfill_studies_owned_while_fetching")
        ),
    )


def downgrade() -> None:
    op.drop_table("backfill_studies")
