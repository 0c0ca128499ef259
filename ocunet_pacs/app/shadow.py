"""`shadow run`: the role in which a candidate bundle looks at what the active one has reported.

A process of its own with less of everything, so that a candidate that crashes, hangs or eats memory harms nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, patient_numbers
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.loops import attend, start_loops
from ocunet_pacs.app.measured import MeasuredClassifier
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.parts import eligibility_by, gate_rules
from ocunet_pacs.app.process import announce_ready, stop_on_signals
from ocunet_pacs.domain.errors import ConfigError, UntrainedBundle
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.imaging.allocator import settle_allocator
from ocunet_pacs.imaging.pool import PreparingPool
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.model.batching import BatchingClassifier
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.pipeline.shadowing import ShadowRule, ShadowTools, find_work, shadow
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings

_POLL = timedelta(seconds=2)
"""How often an idle shadow looks: nobody waits for it."""
_PAUSE = 1.0
"""Seconds after which it looks again whether patients still wait."""


def run(settings: Settings) -> int:
    """Run until asked to stop; the exit status. ConfigError, UntrainedBundle and BundleError before anything is done.

    The caller has made this process stand back.
    """
    stop = stop_on_signals()
    log = structlog.get_logger()
    candidate = load_candidate(settings)
    engine = open_database(settings)
    settle_allocator()
    chosen, model, metrics = settings.shadow, settings.model, Metrics()
    network = MeasuredClassifier(candidate, metrics, "shadow")
    with (
        PreparingPool(
            candidate.manifest.preprocess,
            workers=chosen.decoders,
            timeout=model.decode_timeout,
            memory_bytes=model.decode_memory,
            limits=candidate.manifest.quality_limits,
        ) as pool,
        BatchingClassifier(
            network, max_batch=candidate.batch_size, max_wait=model.batch_wait, hung_after=model.hung_after
        ) as classifier,
    ):
        candidate.warm_up()
        bundle = candidate.bundle
        log.info(
            "candidate_loaded",
            bundle=bundle.name,
            digest=bundle.digest,
            operating_point=bundle.operating_point,
            trained=bundle.trained,
            runtime=candidate.runtime,
        )
        jobs = SqlJobs(engine)
        audit = open_audit(settings, "shadow", metrics.count)
        stop_metrics = be_observed(settings, metrics, jobs, "shadow")
        housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
        housekeeping.reap(jobs)
        housekeeping.start()
        tools = ShadowTools(
            looks=jobs,
            ledger=jobs,
            files=Files(settings.store.path),
            reader=pool,
            eligibility=eligibility_by(gate_rules(settings)),
            classifier=classifier,
            rule=ShadowRule(chosen.look_back, chosen.attempts, chosen.give_way),
            batch_size=chosen.batch_size,
            clock=jobs.clock,
            pause=lambda: stop.wait(_PAUSE),
            count=metrics.count,
            audit=audit,
            patient_number=patient_numbers(settings),
        )
        threads = start_loops(
            settings,
            jobs,
            JobKind.SHADOW,
            lambda job, alive: shadow(job, tools, alive),
            role="shadow",
            count=1,
            stop=stop,
            clock=jobs.clock,
            metrics=metrics,
            poll=_POLL,
            may_claim=lambda: find_work(tools),
        )
        announce_ready("shadow", f"showing {bundle.name} what was reported, on {candidate.runtime}")
        log.info("shadowing", look_back=str(chosen.look_back), gives_way=chosen.give_way)
        attend(threads, classifier, model.hung_after, metrics, "shadow")
        housekeeping.stop()
        audit.close()
        stop_metrics()
    engine.dispose()
    log.info("stopped")
    return 0


def load_candidate(settings: Settings) -> Predictor:
    """The candidate on its device. ConfigError where there is none, UntrainedBundle, BundleError."""
    chosen = settings.shadow
    if chosen.bundle is None:
        raise ConfigError(["shadow.bundle: there is no candidate; name the folder of its bundle"])
    try:
        return Predictor.load(
            chosen.bundle,
            device=chosen.device,
            allow_untrained=chosen.allow_untrained,
            batch_size=chosen.batch_size,
            operating_point=chosen.operating_point,
        )
    except UntrainedBundle:
        raise UntrainedBundle(
            f"the weights of the candidate in {chosen.bundle} are untrained and what it says means nothing; "
            "set shadow.allow_untrained: true to run it all the same (for tests and demonstrations)"
        ) from None
