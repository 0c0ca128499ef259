"""`work`: the analysing role. One resident model; claims analyses one after the other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs import __version__, systemd
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.process import Watchdog, stop_on_signals, utc_now
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.imaging.prepare import PreparedFiles
from ocunet_pacs.intake.eligibility import eligibility
from ocunet_pacs.jobs.reaper import owner_name
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.pipeline.loop import Loop
from ocunet_pacs.pipeline.steps import AnalysisTools, analyse
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings


def report_settings(settings: Settings) -> ReportSettings:
    """The part of the settings that changes what a report says."""
    return ReportSettings(
        content_qualification=settings.report.content_qualification,
        include_below_threshold=settings.report.include_below_threshold,
        heatmap_labels=settings.report.heatmap_labels,
        device_name=settings.dicom.ae_title,
    )


def work(settings: Settings) -> int:
    """Run until asked to stop; the exit status. UntrainedBundle and BundleError before anything is claimed."""
    stop = stop_on_signals()
    log = structlog.get_logger()
    engine = open_database(settings)
    predictor = Predictor.load(
        settings.model.bundle,
        device=settings.model.device,
        allow_untrained=settings.model.allow_untrained,
        batch_size=settings.model.batch_size,
    )
    predictor.warm_up()
    bundle = predictor.bundle
    if not bundle.trained:
        log.warning("bundle_UNTRAINED", bundle=bundle.name, meaning="results are noise, and every one of them says so")
    log.info("bundle_loaded", bundle=bundle.name, digest=bundle.digest, trained=bundle.trained)
    jobs, files = SqlJobs(engine), Files(settings.store.path)
    tools = AnalysisTools(
        ledger=jobs,
        files=files,
        result_key=files.result_key,
        reader=PreparedFiles(predictor.manifest.preprocess),
        eligibility=eligibility,
        classifier=predictor,
        reporter=Reports(report_settings(settings), clock=utc_now, software_version=__version__),
        destinations=tuple(destination.name for destination in settings.destinations),
        delivery_attempts=settings.jobs.delivery_attempts,
        batch_size=settings.model.batch_size,
        clock=utc_now,
    )
    housekeeping = Housekeeping()
    housekeeping.reap(jobs)
    housekeeping.start()
    loop = Loop(
        jobs,
        [JobKind.ANALYSE],
        lambda job, alive: analyse(job, tools, alive),
        owner=owner_name("work"),
        stop=stop,
        clock=utc_now,
        random=random.random,
        lease=settings.jobs.lease,
        poll=settings.jobs.poll_interval,
        beat=Watchdog().beat,
    )
    systemd.notify("READY=1", "X_ROLE_READY=work")
    log.info("working")
    loop.run()
    systemd.notify("STOPPING=1")
    housekeeping.stop()
    engine.dispose()
    log.info("stopped")
    return 0
