"""`work`: the analysing role. One resident model, fed by several studies at once and a pool of decoders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, patient_numbers
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.loops import attend, start_loops
from ocunet_pacs.app.measured import measured
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.parts import eligibility_by, gate_rules, load_predictor, reports, routes
from ocunet_pacs.app.process import announce_ready, stop_on_signals, watchdog_seconds
from ocunet_pacs.app.wake import Waiting, Waker
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.model.batching import BatchingClassifier
from ocunet_pacs.pipeline.steps import AnalysisTools, analyse
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.job import Job, Outcome
    from ocunet_pacs.domain.ports import Classifier, PhotographReader
    from ocunet_pacs.settings import Settings

_MOST_DECODERS = 16
_AHEAD = 4
"""Photographs of a study that are decoded ahead, at least: on a CPU the network takes them one by one."""


def work(settings: Settings) -> int:
    """Run until asked to stop; the exit status. UntrainedBundle and BundleError before anything is claimed."""
    stop = stop_on_signals()
    log = structlog.get_logger()
    engine = open_database(settings)
    settle_allocator()
    predictor = load_predictor(settings)
    model, metrics = settings.model, Metrics()
    network = measured(predictor, settings, metrics, "work")
    with (
        PreparingPool(
            predictor.manifest.preprocess,
            workers=_decoders(settings),
            timeout=model.decode_timeout,
            memory_bytes=model.decode_memory,
            limits=predictor.manifest.quality_limits,
        ) as pool,
        BatchingClassifier(
            network, max_batch=predictor.batch_size, max_wait=model.batch_wait, hung_after=model.hung_after
        ) as classifier,
    ):
        predictor.warm_up()
        bundle = predictor.bundle
        if not bundle.trained:
            log.warning("bundle_UNTRAINED", bundle=bundle.name, meaning="results are noise, and every one says so")
        log.info(
            "bundle_loaded", bundle=bundle.name, digest=bundle.digest, trained=bundle.trained, runtime=predictor.runtime
        )
        jobs = SqlJobs(engine)
        audit = open_audit(settings, "work", metrics.count)
        stop_metrics = be_observed(settings, metrics, jobs, "work")
        housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
        housekeeping.reap(jobs)
        housekeeping.start()
        tools = _tools(settings, jobs, pool, classifier, batch_size=predictor.batch_size, metrics=metrics, audit=audit)
        waiting, wake = Waiting(stop, settings.store.path, "work"), Waker(settings.store.path, "deliver")

        def step(job: Job, alive: Callable[[], None]) -> Outcome | None:
            outcome = analyse(job, tools, alive)
            wake()
            return outcome

        # One thread a study; the photographs of all of them meet in the classifier's batches.
        at_once = model.studies_at_once
        threads = start_loops(
            settings,
            jobs,
            JobKind.ANALYSE,
            step,
            role="work",
            count=(8 if predictor.on_gpu else 2) if at_once == "auto" else at_once,
            stop=waiting,
            clock=jobs.clock,
            metrics=metrics,
            patience=watchdog_seconds(),
        )
        announce_ready("work", f"analysing with {bundle.name} on {predictor.runtime}")
        log.info("working", studies_at_once=len(threads))
        attend(threads, classifier, model.hung_after, metrics, "work")
        waiting.close()
        housekeeping.stop()
        audit.close()
        stop_metrics()
    engine.dispose()
    log.info("stopped")
    return 0


def _decoders(settings: Settings) -> int:
    if settings.model.decoders != "auto":
        return settings.model.decoders
    return min(len(os.sched_getaffinity(0)), _MOST_DECODERS)


def _tools(
    settings: Settings,
    jobs: SqlJobs,
    reader: PhotographReader,
    classifier: Classifier,
    *,
    batch_size: int,
    metrics: Metrics,
    audit: Audit,
) -> AnalysisTools:
    files = Files(settings.store.path)
    rules = gate_rules(settings)
    return AnalysisTools(
        ledger=jobs,
        files=files,
        result_key=files.result_key,
        reader=reader,
        eligibility=eligibility_by(rules),
        rules_digest=rules.digest,
        classifier=classifier,
        reporter=reports(settings),
        routes=routes(settings),
        delivery_attempts=settings.jobs.delivery_attempts,
        batch_size=max(_AHEAD, batch_size),
        clock=jobs.clock,
        report_nothing_eligible=settings.report.nothing_eligible,
        count=metrics.count,
        observe=metrics.observe,
        audit=audit,
        patient_number=patient_numbers(settings),
    )
