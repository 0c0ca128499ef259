"""Priorities, forms of results, commitment, and how destinations stand.

Rows that are there keep their meaning: nothing of theirs has a priority, a form or an urgency that anybody noted, and
no destination was asked to commit to anything.

On the way down goes what schema 0003 has no word for: outputs of the kinds map, pdf, fhir and notice, with their
deliveries and those deliveries' jobs. Their files stay in the store. What waits for a commitment is sent once more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
URGENCIES = "urgency IN ('none', 'repeat_image', 'routine', 'soon', 'urgent', 'emergency')"
KINDS_BEFORE = "kind IN ('report', 'heatmap')"
KINDS = "kind IN ('report', 'heatmap', 'map', 'pdf', 'fhir', 'notice')"
WAITING = sa.text("state = 'waiting'")
UNCOMMITTED = sa.text("stored_at IS NOT NULL AND committed_at IS NULL AND failure IS NULL")
HOW_OFTEN = "how many requests there were"
WHY_NOT = "Failure Reason (0008,1197) of the last answer; NULL: it did not fail"
OF_COMMITMENT = ("stored_at", "transaction_uid", "asked_at", "asks", "committed_at", "failure")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "jobs",
        sa.Column(
            "hastened",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="what it may be about to wait for has happened since it was claimed",
        ),
    )
    op.drop_index("ix_jobs_claim", "jobs")
    columns = ["kind", sa.text("priority DESC"), "run_at", "id"]
    op.create_index("ix_jobs_claim", "jobs", columns, sqlite_where=WAITING, postgresql_where=WAITING)

    with op.batch_alter_table("analyses") as analyses:
        analyses.add_column(
            sa.Column("urgency", sa.String(16), comment="the highest of its report; NULL: there is no report")
        )
        analyses.add_column(sa.Column("bundle_digest", sa.String(64), server_default=sa.text("''"), nullable=False))
        analyses.create_check_constraint(op.f("ck_analyses_urgency"), URGENCIES)

    with op.batch_alter_table("outputs") as outputs:
        outputs.add_column(
            sa.Column(
                "form",
                sa.String(),
                server_default=sa.text("''"),
                nullable=False,
                comment="id of the form that it was made in",
            )
        )
        outputs.drop_constraint(op.f("ck_outputs_kind"), type_="check")
        outputs.create_check_constraint(op.f("ck_outputs_kind"), KINDS)

    for column in (
        sa.Column("stored_at", TIME, comment="when the destination said that it has the object; NULL: not yet"),
        sa.Column("transaction_uid", sa.String(), comment="of the last request to commit to it"),
        sa.Column("asked_at", TIME, comment="when that was"),
        sa.Column("asks", sa.Integer(), server_default=sa.text("0"), nullable=False, comment=HOW_OFTEN),
        sa.Column("committed_at", TIME, comment="when it was heard that the destination keeps it; NULL: not yet"),
        sa.Column("failure", sa.Integer(), comment=WHY_NOT),
    ):
        op.add_column("deliveries", column)
    op.create_index(
        "ix_deliveries_uncommitted",
        "deliveries",
        ["destination", "stored_at", "id"],
        sqlite_where=UNCOMMITTED,
        postgresql_where=UNCOMMITTED,
    )

    op.create_table(
        "commitment_requests",
        sa.Column("transaction_uid", sa.String(), nullable=False),
        sa.Column("delivery_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", "delivery_id", name=op.f("pk_commitment_requests")),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_commitment_requests_delivery_id_deliveries")
        ),
    )
    op.create_index("ix_commitment_requests_delivery_id", "commitment_requests", ["delivery_id"])

    op.create_table(
        "destinations",
        sa.Column("destination", sa.String(), nullable=False, comment="its name in the settings"),
        sa.Column("down_since", TIME, comment="when nobody answered first; NULL: it is up"),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="probes without an answer since",
        ),
        sa.Column("probe_at", TIME, comment="when the next may try it; NULL: it is up"),
        sa.Column("probing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False, comment="why it is down"),
        sa.Column("answered_at", TIME, comment="when it last answered, to the minute; NULL: never"),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_destinations")),
        sa.CheckConstraint("(down_since IS NULL) = (probe_at IS NULL)", name=op.f("ck_destinations_probed_while_down")),
    )


def downgrade() -> None:
    op.drop_table("destinations")
    op.drop_table("commitment_requests")
    op.drop_index("ix_deliveries_uncommitted", "deliveries")

    outputs, deliveries, jobs = (
        sa.table(name, sa.column("id"), sa.column("kind"), sa.column("output_id"), sa.column("subject_id"))
        for name in ("outputs", "deliveries", "jobs")
    )
    unknown = sa.select(outputs.c.id).where(outputs.c.kind.not_in(["report", "heatmap"]))
    theirs = sa.select(deliveries.c.id).where(deliveries.c.output_id.in_(unknown))
    op.execute(sa.delete(jobs).where(jobs.c.kind == "deliver", jobs.c.subject_id.in_(theirs)))
    op.execute(sa.delete(deliveries).where(deliveries.c.output_id.in_(unknown)))
    op.execute(sa.delete(outputs).where(outputs.c.id.in_(unknown)))

    with op.batch_alter_table("deliveries") as changed:
        for column in OF_COMMITMENT:
            changed.drop_column(column)
    with op.batch_alter_table("outputs") as changed:
        changed.drop_constraint(op.f("ck_outputs_kind"), type_="check")
        changed.create_check_constraint(op.f("ck_outputs_kind"), KINDS_BEFORE)
        changed.drop_column("form")
    with op.batch_alter_table("analyses") as changed:
        changed.drop_constraint(op.f("ck_analyses_urgency"), type_="check")
        changed.drop_column("urgency")
        changed.drop_column("bundle_digest")
    op.drop_index("ix_jobs_claim", "jobs")
    # Not in batches: SQLite drops a column in place where nothing else names it, and every index here is partial.
    op.drop_column("jobs", "priority")
    op.drop_column("jobs", "hastened")
    columns = ["kind", "run_at", "id"]
    op.create_index("ix_jobs_claim", "jobs", columns, sqlite_where=WAITING, postgresql_where=WAITING)
