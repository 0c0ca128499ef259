"""`shadow run`: the role in which a candidate bundle looks at what the active one has reported.

A process of its own with less of everything, so that a candidate that crashes, hangs or eats memory harms nothing.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, patient_numbers, telling_changes
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.loops import attend, await_reload, start_loops
from ocunet_pacs.app.measured import MeasuredClassifier
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.parts import eligibility_by, gate_rules
from ocunet_pacs.app.process import stop_on_signals
from ocunet_pacs.app.resident import Residency, Resident, bundle_files
from ocunet_pacs.domain.errors import ConfigError, UntrainedBundle
from ocunet_pacs.domain.job import JobKind
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.pipeline.shadowing import ShadowRule, ShadowTools, find_work, shadow
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.domain.job import Job, Outcome
    from ocunet_pacs.settings import Settings

_POLL = timedelta(seconds=2)
"""How often an idle shadow looks: nobody waits for it."""
_PAUSE = 1.0
"""Seconds after which it looks again whether patients still wait."""


def run(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. ConfigError, UntrainedBundle and BundleError before anything is done.

    The caller has made this process stand back.
    """
    stop, settings = stop_on_signals(), reloading.settings
    log = structlog.get_logger()
    engine = open_database(settings)
    metrics = Metrics()
    first = _load(settings, metrics)
    jobs = SqlJobs(engine)
    audit = open_audit(settings, "shadow", metrics.count)

    def tools(settings: Settings, resident: Resident) -> ShadowTools:
        chosen = settings.shadow
        return ShadowTools(
            looks=jobs,
            ledger=jobs,
            files=Files(settings.store.path),
            reader=resident.reader,
            eligibility=eligibility_by(gate_rules(settings)),
            classifier=resident.classifier,
            rule=ShadowRule(chosen.look_back, chosen.attempts, chosen.give_way),
            batch_size=chosen.batch_size,
            clock=jobs.clock,
            pause=lambda: stop.wait(_PAUSE),
            count=metrics.count,
            audit=audit,
            patient_number=patient_numbers(settings),
        )

    residency = Residency(
        settings,
        first,
        load=lambda settings: _load(settings, metrics),
        tools=tools,
        loaded_by=_loaded_by,
        keeping=lambda before, settings: settings.model_copy(update={"shadow": before.shadow}),
        doing=_doing,
    )
    del first  # or its memory would stay when another takes its place
    with closing(residency):
        stop_metrics = be_observed(reloading.in_force, metrics, jobs, "shadow")
        housekeeping = Housekeeping(jobs, metrics, clock=jobs.clock)
        housekeeping.reap(jobs)
        housekeeping.start()

        def step(job: Job, alive: Callable[[], None]) -> Outcome | None:
            with residency.tools() as tools:
                return shadow(job, tools, alive)

        def may_claim() -> bool:
            with residency.tools() as tools:
                return find_work(tools)

        threads = start_loops(
            settings,
            jobs,
            JobKind.SHADOW,
            step,
            role="shadow",
            count=1,
            stop=stop,
            clock=jobs.clock,
            metrics=metrics,
            poll=_POLL,
            may_claim=may_claim,
        )
        reloading.ready(residency.doing)
        log.info("shadowing", look_back=str(settings.shadow.look_back), gives_way=settings.shadow.give_way)
        reloader = reloading.start_thread(stop, residency.take_up, changed=telling_changes(audit))
        attend(threads, residency.is_hung, metrics, "shadow")
        await_reload(reloader)
        housekeeping.stop()
        audit.close()
        stop_metrics()
    engine.dispose()
    log.info("stopped")
    return 0


def _load(settings: Settings, metrics: Metrics) -> Resident:
    candidate = load_candidate(settings)
    network = MeasuredClassifier(candidate, metrics, "shadow")
    resident = Resident(candidate, network, settings.model, decoders=settings.shadow.decoders)
    bundle = candidate.bundle
    structlog.get_logger().info(
        "candidate_loaded",
        bundle=bundle.name,
        digest=bundle.digest,
        operating_point=bundle.operating_point,
        trained=bundle.trained,
        runtime=candidate.runtime,
    )
    return resident


def _loaded_by(settings: Settings) -> object:
    """What another candidate, or another way to run it, differs in."""
    chosen, model = settings.shadow, settings.model
    files = "" if chosen.bundle is None else bundle_files(chosen.bundle)
    how = (chosen.bundle, chosen.device, chosen.operating_point, chosen.batch_size, chosen.decoders)
    return how, (model.decode_timeout, model.decode_memory, model.batch_wait, model.hung_after), files


def _doing(resident: Resident) -> str:
    return f"showing {resident.predictor.bundle.name} what was reported, on {resident.predictor.runtime}"


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
