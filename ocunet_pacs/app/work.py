"""`work`: the analysing role. One resident model, fed by several studies at once and a pool of decoders."""

from __future__ import annotations

import os
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, patient_numbers, telling_changes
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.drift import observing
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.loops import attend, await_reload, start_loops
from ocunet_pacs.app.measured import measured
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.parts import eligibility_by, gate_rules, load_predictor, reports, routes
from ocunet_pacs.app.process import stop_on_signals, watchdog_seconds
from ocunet_pacs.app.resident import Residency, Resident, bundle_files
from ocunet_pacs.app.wake import Waiting, Waker
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.pipeline.steps import AnalysisTools, analyse
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.job import Job, Outcome
    from ocunet_pacs.settings import Settings

_MOST_DECODERS = 16
_AHEAD = 4
"""Photographs of a study that are decoded ahead, at least: on a CPU the network takes them one by one."""


def work(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. UntrainedBundle and BundleError before anything is claimed."""
    stop, settings = stop_on_signals(), reloading.settings
    log = structlog.get_logger()
    engine = open_database(settings)
    metrics = Metrics()
    first = _load(settings, metrics)
    jobs = SqlJobs(engine)
    audit = open_audit(settings, "work", metrics.count)
    residency = Residency(
        settings,
        first,
        load=lambda settings: _load(settings, metrics),
        tools=lambda settings, resident: _tools(settings, jobs, resident, metrics=metrics, audit=audit),
        loaded_by=lambda settings: (settings.model, bundle_files(settings.model.bundle)),
        keeping=lambda before, settings: settings.model_copy(update={"model": before.model}),
        doing=lambda resident: f"analysing with {resident.predictor.bundle.name} on {resident.predictor.runtime}",
    )
    del first  # or its memory would stay when another takes its place
    with closing(residency):
        stop_metrics = be_observed(reloading.in_force, metrics, jobs, "work")
        housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
        housekeeping.reap(jobs)
        housekeeping.start()
        waiting, wake = Waiting(stop, settings.store.path, "work"), Waker(settings.store.path, "deliver")

        def step(job: Job, alive: Callable[[], None]) -> Outcome | None:
            with residency.tools() as tools:
                outcome = analyse(job, tools, alive)
            wake()
            return outcome

        # One thread a study; the photographs of all of them meet in the classifier's batches.
        at_once = settings.model.studies_at_once
        threads = start_loops(
            settings,
            jobs,
            JobKind.ANALYSE,
            step,
            role="work",
            count=(8 if residency.resident.predictor.on_gpu else 2) if at_once == "auto" else at_once,
            stop=waiting,
            clock=jobs.clock,
            metrics=metrics,
            may_claim=lambda: not residency.is_hung(),
            patience=watchdog_seconds(),
        )
        reloading.ready(residency.doing)
        log.info("working", studies_at_once=len(threads))
        # In a thread of its own: a bundle takes its time to load, and whether the device hangs is asked meanwhile.
        reloader = reloading.start_thread(stop, residency.take_up, changed=telling_changes(audit))
        attend(threads, residency.is_hung, metrics, "work")
        await_reload(reloader)
        waiting.close()
        housekeeping.stop()
        audit.close()
        stop_metrics()
    engine.dispose()
    log.info("stopped")
    return 0


def _load(settings: Settings, metrics: Metrics) -> Resident:
    """The bundle of these settings. UntrainedBundle, BundleError."""
    predictor = load_predictor(settings)
    network = measured(predictor, settings, metrics, "work")
    resident = Resident(predictor, network, settings.model, decoders=_decoders(settings))
    bundle, log = predictor.bundle, structlog.get_logger()
    if not bundle.trained:
        log.warning("bundle_UNTRAINED", bundle=bundle.name, meaning="results are noise, and every one says so")
    log.info(
        "bundle_loaded", bundle=bundle.name, digest=bundle.digest, trained=bundle.trained, runtime=predictor.runtime
    )
    return resident


def _decoders(settings: Settings) -> int:
    if settings.model.decoders != "auto":
        return settings.model.decoders
    return min(len(os.sched_getaffinity(0)), _MOST_DECODERS)


def _tools(settings: Settings, jobs: SqlJobs, resident: Resident, *, metrics: Metrics, audit: Audit) -> AnalysisTools:
    files = Files(settings.store.path)
    rules = gate_rules(settings)
    return AnalysisTools(
        ledger=jobs,
        files=files,
        new_result_key=lambda suffix: files.new_result_key(uuid.uuid4().hex, suffix),
        reader=resident.reader,
        eligibility=eligibility_by(rules),
        rules_digest=rules.digest,
        classifier=resident.classifier,
        reporter=reports(settings),
        routes=routes(settings),
        delivery_attempts=settings.jobs.delivery_attempts,
        batch_size=max(_AHEAD, resident.predictor.batch_size),
        clock=jobs.clock,
        report_nothing_eligible=settings.report.nothing_eligible,
        count=metrics.count,
        observe=metrics.observe,
        audit=audit,
        patient_number=patient_numbers(settings),
        watch=observing(settings, jobs, jobs.clock),
        archives=frozenset(archive.name for archive in settings.archives),
    )
