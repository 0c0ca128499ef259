"""Jobs of a state are listed from an index of what is not done, however many are done.

On PostgreSQL the table is also vacuumed by how much has changed, not by which share of it: the claim's index begins
with what was claimed last, and whoever claims walks past it until it is vacuumed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DEAD = sa.text("state = 'dead'")
UNDONE = sa.text("state <> 'done'")
VACUUM = ("autovacuum_vacuum_scale_factor", "autovacuum_vacuum_threshold")


def upgrade() -> None:
    op.create_index("ix_jobs_undone", "jobs", ["state", "id"], sqlite_where=UNDONE, postgresql_where=UNDONE)
    op.drop_index("ix_jobs_dead", "jobs")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE jobs SET ({VACUUM[0]} = 0, {VACUUM[1]} = 10000)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE jobs RESET ({', '.join(VACUUM)})")
    op.create_index("ix_jobs_dead", "jobs", ["id"], sqlite_where=DEAD, postgresql_where=DEAD)
    op.drop_index("ix_jobs_undone", "jobs")
