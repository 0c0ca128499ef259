"""The tables, as SQLAlchemy Core metadata: the same rows on SQLite and PostgreSQL.

    studies ──< instances         what arrived
       └─────< analyses ──< outputs ──< deliveries        what was made of it, and where it went
                    │                            └──< commitment_requests        what the destination was asked
                    └──< shadows ──< shadow_scores       what a candidate bundle said of it, for nobody to see
    jobs                          the queue: one row for each analysis, each delivery and each shadow
    job_tallies                   how many jobs of each kind are in each state, and for which destination
    destinations                  how each destination stands
    housekeeping                  when each task of housekeeping last ran, and how it went
    backfill_studies              past studies of archives, and where their fetching stands
    cameras ──< observations      what was measured of their photographs, for the drift watch
       ├─────< drift_baselines    what that is compared with
       └─────< drift_findings     what the nights found

States of a job are drawn in `domain/job.py`, those of a past study in `domain/backfill.py`, those of a shadow in
`domain/shadow.py`; the other rows have these:

    study       open       `open_since` is set: images came that no revision holds; `close_study` ends it; it counts as
                           complete at `quiet_until`
                closed     `open_since` is NULL; the next new image opens the study again
                flagged    `conflict_at` is set: objects of this Study Instance UID came that name another patient
                emptied    `removed_at` is set: retention removed every file; a new image makes it NULL again
    instance    unassigned `revision` is NULL; `close_study` gives it the new revision's number
    analysis    pending    `finished_at` is NULL and its job is not final
                finished   `finished_at` is set, by `finish_analysis`, with `key` and `result`
                superseded `superseded` is true: a later revision finished first, nothing of this one was kept
    delivery    unanswered `answered_at` is NULL; `status` and `comment` are always the destination's last answer
                stored     `stored_at` is set: the destination has the object; where it commits, that is not the end:
                asked      `asked_at` is set: it was asked to commit to what it stored, `asks` times; each request
                           that may still be answered is a row of `commitment_requests`, also one that failed
                committed  `committed_at` is set: it answered that it keeps the object
                failed     `failure` is set: it answered that it does not. Storing the object again takes the delivery
                           back to stored, and an answer to an earlier request no longer means anything
    destination untried    it has no row
                up         `down_since` is NULL
                down       `down_since` is set, by the first who found nobody there; nobody tries before `probe_at`
                probed     down, and `probing`: somebody may try, alone until `probe_at`. An answer takes the
                           destination up; none, and a probe that is never heard of again, leave it down
    file        (of an instance or output) removed: `removed_at` was set before retention removed it; missing:
                `missing_at` was set because it was not where its row says, and nobody removed it

No column holds patient data: UIDs, application entity titles, keys, times, and sentences of ours. `result` holds scores
and reasons, by UID. `patient_digest` keeps two patients apart and cannot be turned back without the store's own key; it
is empty in rows that are older than the column. A camera is a device of the site.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from ocunet_pacs.domain.backfill import BackfillState
from ocunet_pacs.domain.drift import Part
from ocunet_pacs.domain.job import JobKind, JobState
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.jobs.columns import ID, UID, Sentence, UtcDateTime, short_word

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

studies = Table(
    "studies",
    metadata,
    Column("id", ID, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("open_since", UtcDateTime(), comment="NULL: every image belongs to a revision"),
    Column("last_received_at", UtcDateTime(), nullable=False),
    Column("revision", Integer, nullable=False, comment="the newest revision, 0 before the first"),
    Column("patient_digest", String(64), nullable=False, server_default=text("''")),
    Column("quiet_until", UtcDateTime(), comment="when the open study counts as complete; NULL: it is closed"),
    Column("conflict_at", UtcDateTime(), comment="when another patient's object was first seen; NULL: never"),
    Column("removed_at", UtcDateTime(), comment="when the last of its files was removed; NULL: it has files"),
    # Two patients under one Study Instance UID are two studies.
    UniqueConstraint("study_instance_uid", "patient_digest"),
)
# The closer asks every second which studies are due; of all studies ever seen only a handful are open.
Index(
    "ix_studies_open",
    studies.c.open_since,
    sqlite_where=studies.c.open_since.is_not(None),
    postgresql_where=studies.c.open_since.is_not(None),
)
# Retention: the oldest that still have files.
Index(
    "ix_studies_kept",
    studies.c.last_received_at,
    studies.c.id,
    sqlite_where=studies.c.removed_at.is_(None),
    postgresql_where=studies.c.removed_at.is_(None),
)
# A person who asks for the status: there should be none.
Index(
    "ix_studies_conflict",
    studies.c.conflict_at,
    sqlite_where=studies.c.conflict_at.is_not(None),
    postgresql_where=studies.c.conflict_at.is_not(None),
)

instances = Table(
    "instances",
    metadata,
    Column("id", ID, primary_key=True),
    Column("study_id", ID, ForeignKey("studies.id"), nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    # Unique: of two associations that send the same object at once, one makes the row.
    Column("sop_instance_uid", UID, nullable=False, unique=True),
    Column("sop_class_uid", UID, nullable=False),
    Column("transfer_syntax_uid", UID, nullable=False),
    Column("file_key", String(), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("source_ae_title", Sentence(), nullable=False),
    Column("received_at", UtcDateTime(), nullable=False),
    Column("opens_study", Boolean(create_constraint=False), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("revision", Integer, comment="NULL: no revision holds it yet"),
    Column("source", String(), nullable=False, server_default=text("''")),
    Column("removed_at", UtcDateTime(), comment="when retention removed its file; NULL: never"),
    Column("missing_at", UtcDateTime(), comment="when its file was not found; NULL: never, or it is back"),
    # Serves every look-up by study, in order of arrival; unique, because an ordinal is an image's name in reports.
    UniqueConstraint("study_id", "ordinal"),
)
# The consistency check asks of every file whether it has a row, and what is missing.
Index("ix_instances_file_key", instances.c.file_key)
Index(
    "ix_instances_missing",
    instances.c.id,
    sqlite_where=instances.c.missing_at.is_not(None),
    postgresql_where=instances.c.missing_at.is_not(None),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", short_word(JobKind, "kind"), nullable=False),
    Column("state", short_word(JobState, "state"), nullable=False),
    Column("subject_id", ID, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("run_at", UtcDateTime(), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("lease_owner", String()),
    Column("lease_expires_at", UtcDateTime()),
    Column("finished_at", UtcDateTime()),
    Column("reason", Sentence()),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column(
        "hastened",
        Boolean(create_constraint=False),
        nullable=False,
        server_default=false(),
        comment="what it may be about to wait for has happened since it was claimed",
    ),
    # One job for each subject: the same work cannot be queued twice.
    UniqueConstraint("kind", "subject_id"),
    CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name="attempts"),
    CheckConstraint(
        "(state = 'running') = (lease_owner IS NOT NULL) AND (state = 'running') = (lease_expires_at IS NOT NULL)",
        name="leased_while_running",
    ),
    CheckConstraint("(state IN ('waiting', 'running')) = (finished_at IS NULL)", name="finished"),
)
# The claim: the first waiting job of a kind by priority, run_at and id. Done jobs, nearly all of the table, are not in
# this index, so a claim costs the same after a year. The kind leads, or SQLite prefers the unique constraint's index.
Index(
    "ix_jobs_claim",
    jobs.c.kind,
    jobs.c.priority.desc(),
    jobs.c.run_at,
    jobs.c.id,
    sqlite_where=text("state = 'waiting'"),
    postgresql_where=text("state = 'waiting'"),
)
# The reaper: as many rows as there are workers.
Index(
    "ix_jobs_leases",
    jobs.c.lease_expires_at,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)
# What is listed, newest first: a page is read from here for each state and kind, however many there are of the others.
# See `newest`. What is done has an index for each kind: with the kind as a column of one, PostgreSQL rather goes back
# through all jobs, as if what it looks for were spread evenly among them. With the kind as a bare column in the
# condition, SQLite rather goes through the unique constraint's index.
Index(
    "ix_jobs_undone",
    jobs.c.state,
    jobs.c.kind,
    jobs.c.id,
    sqlite_where=text("state <> 'done'"),
    postgresql_where=text("state <> 'done'"),
)
for _kind in JobKind:
    _done = text(f"state = 'done' AND lower(kind) = '{_kind}'")
    Index(f"ix_jobs_done_{_kind}", jobs.c.id, sqlite_where=_done, postgresql_where=_done)

# How many jobs there are, so that nobody has to count them: monitoring asks every few seconds. The sum over the rows of
# a key is the number of its jobs. Triggers keep it (migrations/versions/0009_tallies_of_jobs.py), and nothing else
# writes here. A migration that copies `jobs`, as SQLite's do, makes them again.
job_tallies = Table(
    "job_tallies",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", short_word(JobKind, "kind"), nullable=False),
    Column("state", short_word(JobState, "state"), nullable=False),
    Column("destination", String(), nullable=False, comment="of a delivery; empty: it is another kind"),
    Column("number", BigInteger, nullable=False),
)
Index("ix_job_tallies_key", job_tallies.c.kind, job_tallies.c.state, job_tallies.c.destination)

analyses = Table(
    "analyses",
    metadata,
    Column("id", ID, primary_key=True),
    Column("study_id", ID, ForeignKey("studies.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    # Unique: the same work gives its result once (see domain/result.py: work_key).
    Column("key", String(64), unique=True),
    Column("result", Text, comment="JSON of the study's result"),
    Column("superseded", Boolean(create_constraint=False), nullable=False, server_default=false()),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("finished_at", UtcDateTime()),
    Column("urgency", short_word(Urgency, "urgency"), comment="the highest of its report; NULL: there is no report"),
    Column("bundle_digest", String(64), nullable=False, server_default=text("''")),
    # Serves the look-up of earlier and later revisions.
    UniqueConstraint("study_id", "revision"),
)
# A candidate in the shadow looks for the newest that it has not seen.
Index(
    "ix_analyses_finished",
    analyses.c.finished_at,
    analyses.c.id,
    sqlite_where=analyses.c.key.is_not(None),
    postgresql_where=analyses.c.key.is_not(None),
)

outputs = Table(
    "outputs",
    metadata,
    Column("id", ID, primary_key=True),
    # Indexed: a revision asks for its predecessor's report.
    Column("analysis_id", ID, ForeignKey("analyses.id"), nullable=False, index=True),
    Column("kind", short_word(OutputKind, "kind"), nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    # Unique: a re-run makes no second row. The listener asks by it whether an object that arrives is ours.
    Column("sop_instance_uid", UID, nullable=False, unique=True),
    Column("series_instance_uid", UID, nullable=False),
    Column("file_key", String(), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("removed_at", UtcDateTime(), comment="when retention removed its file; NULL: never"),
    Column("missing_at", UtcDateTime(), comment="when its file was not found; NULL: never, or it is back"),
    Column("form", String(), nullable=False, server_default=text("''"), comment="id of the form that it was made in"),
)
Index("ix_outputs_file_key", outputs.c.file_key)
Index(
    "ix_outputs_missing",
    outputs.c.id,
    sqlite_where=outputs.c.missing_at.is_not(None),
    postgresql_where=outputs.c.missing_at.is_not(None),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("output_id", ID, ForeignKey("outputs.id"), nullable=False),
    Column("destination", String(), nullable=False),
    Column("status", Integer, comment="DICOM status of the last answer; NULL: nobody answered"),
    Column("comment", Sentence()),
    Column("answered_at", UtcDateTime()),
    Column("stored_at", UtcDateTime(), comment="when the destination said that it has the object; NULL: not yet"),
    Column("transaction_uid", UID, comment="of the last request to commit to it"),
    Column("asked_at", UtcDateTime(), comment="when that was"),
    Column("asks", Integer, nullable=False, server_default=text("0"), comment="how many requests there were"),
    Column("committed_at", UtcDateTime(), comment="when it was heard that the destination keeps it; NULL: not yet"),
    Column("failure", Integer, comment="Failure Reason (0008,1197) of the last answer; NULL: it did not fail"),
    UniqueConstraint("output_id", "destination"),
)
_UNCOMMITTED = text("stored_at IS NOT NULL AND committed_at IS NULL AND failure IS NULL")
# Whoever asks for commitment: the oldest of one destination first, all in one request.
Index(
    "ix_deliveries_uncommitted",
    deliveries.c.destination,
    deliveries.c.stored_at,
    deliveries.c.id,
    sqlite_where=_UNCOMMITTED,
    postgresql_where=_UNCOMMITTED,
)

# A destination may answer an earlier request after it was asked again, so one column in `deliveries` is not enough.
commitment_requests = Table(
    "commitment_requests",
    metadata,
    # It leads the key: an answer is looked up by it.
    Column("transaction_uid", UID, primary_key=True),
    Column("delivery_id", ID, ForeignKey("deliveries.id"), primary_key=True, index=True),
)

destinations = Table(
    "destinations",
    metadata,
    Column("destination", String(), primary_key=True, comment="its name in the settings"),
    Column("down_since", UtcDateTime(), comment="when nobody answered first; NULL: it is up"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="probes without an answer since"),
    Column("probe_at", UtcDateTime(), comment="when the next may try it; NULL: it is up"),
    Column("probing", Boolean(create_constraint=False), nullable=False, server_default=false()),
    Column("reason", Sentence(), nullable=False, server_default=text("''"), comment="why it is down"),
    Column("answered_at", UtcDateTime(), comment="when it last answered, to the minute; NULL: never"),
    CheckConstraint("(down_since IS NULL) = (probe_at IS NULL)", name="probed_while_down"),
)

housekeeping = Table(
    "housekeeping",
    metadata,
    Column("task", String(32), primary_key=True),
    Column("started_at", UtcDateTime(), nullable=False, comment="of its last run, by whichever process"),
    Column("seconds", Float, nullable=False, comment="how long that took"),
    Column("succeeded", Boolean(create_constraint=False), nullable=False),
    Column("succeeded_at", UtcDateTime(), comment="when a run last ended well; NULL: never"),
    Column("note", Sentence(), nullable=False, comment="what it did, or why it failed"),
)

backfill_studies = Table(
    "backfill_studies",
    metadata,
    Column("id", ID, primary_key=True),
    Column("archive", String(), nullable=False, comment="its name in the settings"),
    Column("study_instance_uid", UID, nullable=False),
    Column("modalities", String(), nullable=False, comment="sorted, separated by backslashes"),
    Column("state", short_word(BackfillState, "state"), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("owner", String()),
    Column("reason", Sentence()),
    Column("found_at", UtcDateTime(), nullable=False),
    Column("changed_at", UtcDateTime(), nullable=False),
    # Unique: a study is fetched from an archive once, however many runs find it.
    UniqueConstraint("archive", "study_instance_uid"),
    CheckConstraint("(state = 'fetching') = (owner IS NOT NULL)", name="owned_while_fetching"),
)

shadows = Table(
    "shadows",
    metadata,
    Column("id", ID, primary_key=True),
    Column("analysis_id", ID, ForeignKey("analyses.id"), nullable=False),
    Column("bundle_digest", String(64), nullable=False, comment="of the candidate"),
    Column("operating_point", String(), nullable=False, comment="which of its thresholds count"),
    Column("bundle", String(), nullable=False, comment="what it is called"),
    Column("created_at", UtcDateTime(), nullable=False),
    # Unique: a candidate looks at an analysis once.
    UniqueConstraint("analysis_id", "bundle_digest", "operating_point"),
)
# The report and the status: all looks of one candidate.
Index("ix_shadows_candidate", shadows.c.bundle_digest, shadows.c.operating_point, shadows.c.id)
# Housekeeping: the oldest.
Index("ix_shadows_created_at", shadows.c.created_at)

shadow_scores = Table(
    "shadow_scores",
    metadata,
    Column("id", ID, primary_key=True),
    Column("shadow_id", ID, ForeignKey("shadows.id"), nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    Column("frame", Integer, nullable=False, comment="from 1; 0: the only one of its instance"),
    Column("scores", Text, comment="JSON: [label, logit, probability, threshold, positive], for each label"),
    Column("reason", String(), comment="code of why it was not scored; NULL: it was"),
    # Serves the look-up by shadow.
    UniqueConstraint("shadow_id", "sop_instance_uid", "frame"),
    CheckConstraint("(scores IS NULL) = (reason IS NOT NULL)", name="scored_or_not"),
)

cameras = Table(
    "cameras",
    metadata,
    Column("id", ID, primary_key=True),
    Column("digest", String(16), nullable=False, unique=True),
    Column("words", Sentence(), nullable=False, comment="what it is called"),
    Column("first_seen_at", UtcDateTime(), nullable=False),
    Column("last_seen_at", UtcDateTime(), nullable=False),
    Column("reference_since", UtcDateTime(), comment="its reference is made of photographs since then; NULL: of all"),
)

observations = Table(
    "observations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("instance_id", ID, ForeignKey("instances.id"), nullable=False),
    Column("frame", Integer, nullable=False, comment="from 1; 0: the only one of its instance"),
    Column("camera_id", ID, ForeignKey("cameras.id"), nullable=False),
    Column("observed_at", UtcDateTime(), nullable=False),
    Column("bundle_digest", String(64), nullable=False, comment="whose scores these are"),
    Column("numbers", Text, nullable=False, comment="JSON: measures and scores by what they are called"),
    Column("refused", String(), nullable=False, comment="code of why its pixels kept it from being scored, or empty"),
    Column("pattern", LargeBinary, nullable=False, comment="a byte for each cell (imaging/appearance.py)"),
    # Unique: another revision of the study measures the same pixels.
    UniqueConstraint("instance_id", "frame"),
)
# A night: what one camera took lately.
Index("ix_observations_camera", observations.c.camera_id, observations.c.observed_at)
# Housekeeping: the oldest.
Index("ix_observations_observed_at", observations.c.observed_at)

drift_baselines = Table(
    "drift_baselines",
    metadata,
    Column("id", ID, primary_key=True),
    Column("camera_id", ID, ForeignKey("cameras.id"), nullable=False),
    Column("part", short_word(Part, "part"), nullable=False),
    Column("bundle_digest", String(64), nullable=False, comment="of the scores; empty where pixels are compared"),
    Column("until", UtcDateTime(), nullable=False, comment="when the last of its photographs was analysed"),
    Column("content", Text, nullable=False, comment="JSON (drift/reference.py)"),
    UniqueConstraint("camera_id", "part", "bundle_digest"),
)

drift_findings = Table(
    "drift_findings",
    metadata,
    Column("id", ID, primary_key=True),
    Column("day", Date, nullable=False, comment="on which the night's run was due"),
    Column("ran_at", UtcDateTime(), nullable=False),
    Column("camera_id", ID, ForeignKey("cameras.id"), nullable=False),
    Column("part", short_word(Part, "part"), nullable=False),
    Column("measure", String(), nullable=False),
    Column("value", Float, nullable=False),
    Column("most", Float, nullable=False, comment="what it has to pass to be an alert"),
    Column("alert", Boolean(create_constraint=False), nullable=False),
    Column("photographs", Integer, nullable=False, comment="of the night"),
    Column("studies", Integer, nullable=False, comment="how many studies they are of"),
    Column("words", Sentence(), nullable=False),
    # Unique: two processes that do the same night do no harm. Serves the look-up of the last nights, too.
    UniqueConstraint("day", "camera_id", "part", "measure"),
)
