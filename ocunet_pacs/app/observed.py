"""What a role lets monitoring ask about it, and under `serve` about all roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.app.answering import answer
from ocunet_pacs.app.gauges import asked_gauges
from ocunet_pacs.app.health import liveness, readiness
from ocunet_pacs.app.process import needed_roles
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.jobs.sql import SqlJobs
    from ocunet_pacs.metrics import Metrics
    from ocunet_pacs.settings import Settings


def be_observed(in_force: Callable[[], Settings], metrics: Metrics, jobs: SqlJobs, role: str) -> Callable[[], None]:
    """Answer /metrics, /live and /ready on the port of the settings, where they name one; what ends that.

    `in_force` gives the settings that count when somebody asks.
    """
    settings = in_force()
    host, port = settings.metrics.host, settings.metrics.port
    if port == 0:
        return lambda: None
    roles, files = needed_roles(role), Files(settings.store.path)
    live = liveness(settings, metrics, roles)
    ready = readiness(settings, metrics, jobs, files, roles)
    registry = metrics.registry()
    registry.register(asked_gauges(in_force, jobs, files, live=live, ready=ready, now=jobs.clock))
    return answer(registry, host, port, {"/live": live, "/ready": ready})
