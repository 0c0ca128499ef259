"""What was measured of each camera's photographs, what that is compared with, and what came of it.

On the way down goes all of it. No result is touched.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
PARTS = "part IN ('camera', 'image', 'scores')"


def upgrade() -> None:
    op.create_table(
        "cameras",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(16), nullable=False),
        sa.Column("words", sa.Text(), nullable=False, comment="what it is called"),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("reference_since", TIME, comment="its reference is made of photographs since then; NULL: of all"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cameras")),
        sa.UniqueConstraint("digest", name=op.f("uq_cameras_digest")),
    )
    op.create_table(
        "observations",
        sa.Column("id", ID, nullable=False),
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False, comment="from 1; 0: the only one of its instance"),
        sa.Column("camera_id", ID, nullable=False),
        sa.Column("observed_at", TIME, nullable=False),
        sa.Column("bundle_digest", sa.String(64), nullable=False, comment="whose scores these are"),
        sa.Column("numbers", sa.Text(), nullable=False, comment="JSON: measures and scores by what they are called"),
        sa.Column(
            "refused", sa.String(), nullable=False, comment="code of why its pixels kept it from being scored, or empty"
        ),
        sa.Column("pattern", sa.LargeBinary(), nullable=False, comment="a byte for each cell (imaging/appearance.py)"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_observations_instance_id_instances")),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name=op.f("fk_observations_camera_id_cameras")),
        sa.UniqueConstraint("instance_id", "frame", name=op.f("uq_observations_instance_id_frame")),
    )
    op.create_index("ix_observations_camera", "observations", ["camera_id", "observed_at"])
    op.create_index("ix_observations_observed_at", "observations", ["observed_at"])
    op.create_table(
        "drift_baselines",
        sa.Column("id", ID, nullable=False),
        sa.Column("camera_id", ID, nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column(
            "bundle_digest", sa.String(64), nullable=False, comment="of the scores; empty where pixels are compared"
        ),
        sa.Column("until", TIME, nullable=False, comment="when the last of its photographs was analysed"),
        sa.Column("content", sa.Text(), nullable=False, comment="JSON (drift/reference.py)"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_baselines")),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name=op.f("fk_drift_baselines_camera_id_cameras")),
        sa.UniqueConstraint(
            "camera_id", "part", "bundle_digest", name=op.f("uq_drift_baselines_camera_id_part_bundle_digest")
        ),
        sa.CheckConstraint(PARTS, name=op.f("ck_drift_baselines_part")),
    )
    op.create_table(
        "drift_findings",
        sa.Column("id", ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="on which the night's run was due"),
        sa.Column("ran_at", TIME, nullable=False),
        sa.Column("camera_id", ID, nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("measure", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("most", sa.Float(), nullable=False, comment="what it has to pass to be an alert"),
        sa.Column("alert", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("photographs", sa.Integer(), nullable=False, comment="of the night"),
        sa.Column("studies", sa.Integer(), nullable=False, comment="how many studies they are of"),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_findings")),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name=op.f("fk_drift_findings_camera_id_cameras")),
        sa.UniqueConstraint(
            "day", "camera_id", "part", "measure", name=op.f("uq_drift_findings_day_camera_id_part_measure")
        ),
        sa.CheckConstraint(PARTS, name=op.f("ck_drift_findings_part")),
    )


def downgrade() -> None:
    for table in ("drift_findings", "drift_baselines", "observations", "cameras"):
        op.drop_table(table)
