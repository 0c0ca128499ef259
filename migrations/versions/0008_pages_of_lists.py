"""A page of jobs is read from an index in which the jobs of its state and kind stand together.

Before, those that are done were found by going back past everything that waits, and those of one kind past all others.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UNDONE = sa.text("state <> 'done'")
KINDS = ("analyse", "deliver", "shadow")


def upgrade() -> None:
    op.drop_index("ix_jobs_undone", "jobs")
    op.create_index("ix_jobs_undone", "jobs", ["state", "kind", "id"], sqlite_where=UNDONE, postgresql_where=UNDONE)
    for kind in KINDS:
        done = sa.text(f"state = 'done' AND lower(kind) = '{kind}'")
        op.create_index(f"ix_jobs_done_{kind}", "jobs", ["id"], sqlite_where=done, postgresql_where=done)


def downgrade() -> None:
    for kind in KINDS:
        op.drop_index(f"ix_jobs_done_{kind}", "jobs")
    op.drop_index("ix_jobs_undone", "jobs")
    op.create_index("ix_jobs_undone", "jobs", ["state", "id"], sqlite_where=UNDONE, postgresql_where=UNDONE)
