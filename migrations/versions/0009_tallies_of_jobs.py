"""How many jobs are in each state is kept, and not counted: a table that triggers keep up with every change of a job.

A trigger, so that whoever changes a job changes the number with it, in the same transaction. On PostgreSQL a key may
have several rows, whose sum counts: a session takes any that no other holds, and adds one where there is none, so that
nobody waits for anybody. There are as many as sessions ever changed one at once.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KINDS = "kind IN ('analyse', 'deliver', 'shadow')"
STATES = "state IN ('waiting', 'running', 'done', 'dead', 'discarded')"

COUNT = """
INSERT INTO job_tallies (kind, state, destination, number)
SELECT jobs.kind, jobs.state, coalesce(deliveries.destination, ''), count(*)
FROM jobs LEFT OUTER JOIN deliveries ON jobs.kind = 'deliver' AND deliveries.id = jobs.subject_id
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

WHEN = {
    "added": ("INSERT", ""),
    "moved": ("UPDATE OF state", "WHEN (OLD.state <> NEW.state)"),
    "removed": ("DELETE", ""),
}
GONE, COME = ("OLD", -1), ("NEW", 1)
CHANGES = {"added": (COME,), "moved": (GONE, COME), "removed": (GONE,)}

SQLITE = """
UPDATE job_tallies SET number = number + {change} WHERE kind = {row}.kind AND state = {row}.state AND destination =
coalesce((SELECT destination FROM deliveries WHERE {row}.kind = 'deliver' AND id = {row}.subject_id), '');
INSERT INTO job_tallies (kind, state, destination, number) SELECT {row}.kind, {row}.state,
coalesce((SELECT destination FROM deliveries WHERE {row}.kind = 'deliver' AND id = {row}.subject_id), ''), {change}
WHERE changes() = 0;
"""

POSTGRES = """
CREATE FUNCTION tally_job(of_kind text, in_state text, subject bigint, change integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    bound_for text := '';
    tally bigint;
BEGIN
    IF of_kind = 'deliver' THEN
        SELECT destination INTO bound_for FROM deliveries WHERE id = subject;
        bound_for := coalesce(bound_for, '');
    END IF;
    SELECT id INTO tally FROM job_tallies
    WHERE kind = of_kind AND state = in_state AND destination = bound_for
    LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE job_tallies SET number = number + change WHERE id = tally;
    ELSE
        INSERT INTO job_tallies (kind, state, destination, number) VALUES (of_kind, in_state, bound_for, change);
    END IF;
END $$;
CREATE FUNCTION tally_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM tally_job(OLD.kind, OLD.state, OLD.subject_id, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM tally_job(NEW.kind, NEW.state, NEW.subject_id, 1);
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "job_tallies",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("destination", sa.String(), nullable=False, comment="of a delivery; empty: it is another kind"),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_tallies")),
        sa.CheckConstraint(KINDS, name=op.f("ck_job_tallies_kind")),
        sa.CheckConstraint(STATES, name=op.f("ck_job_tallies_state")),
    )
    op.create_index("ix_job_tallies_key", "job_tallies", ["kind", "state", "destination"])
    op.execute(COUNT)
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.execute(POSTGRES)
    for name, (event, condition) in WHEN.items():
        trigger = f"CREATE TRIGGER jobs_{name} AFTER {event} ON jobs FOR EACH ROW {condition}"
        if sqlite:
            counted = "".join(SQLITE.format(row=row, change=change) for row, change in CHANGES[name])
            op.execute(f"{trigger} BEGIN {counted} END")
        else:
            op.execute(f"{trigger} EXECUTE FUNCTION tally_jobs()")


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in WHEN:
        op.execute(f"DROP TRIGGER jobs_{name}" + ("" if sqlite else " ON jobs"))
    if not sqlite:
        op.execute("DROP FUNCTION tally_jobs")
        op.execute("DROP FUNCTION tally_job")
    op.drop_table("job_tallies")
