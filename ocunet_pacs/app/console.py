"""`console`: the role that shows people how it goes, and takes up again what they want taken up.

Nobody depends on it. It has the processor, disk and memory that the others leave, reads by an engine that cannot write,
and decodes pictures in a process of its own. Loads neither torch nor the DICOM network.
"""

from __future__ import annotations

import secrets
import socket
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.app.audit import open_audit, telling_changes
from ocunet_pacs.app.binding import start_patiently
from ocunet_pacs.app.console_desk import desk
from ocunet_pacs.app.database import open_database
from ocunet_pacs.app.observed import be_observed
from ocunet_pacs.app.process import Watchdog, stand_back, stop_on_signals
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.app.web import assert_running, server_of
from ocunet_pacs.console.app import console_app
from ocunet_pacs.console.sessions import Sessions
from ocunet_pacs.domain.audit import Alert, Party, SecurityAlert
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.imaging.showing import Showing
from ocunet_pacs.jobs.read_only import open_to_read
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import Metrics
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.console.desk import Desk
    from ocunet_pacs.domain.ports import Count
    from ocunet_pacs.intake.web import WebServer
    from ocunet_pacs.settings import Settings

_MEMORY = 2 << 30
"""Of data, for this process and for the one that decodes; with more the machine is not this one's to take."""
_PICTURE = timedelta(seconds=20)
"""Nobody waits longer for a picture on a page."""
_PICTURE_MEMORY = 1536 << 20
_REST_AFTER_S = 120.0


def console(reloading: Reloading) -> int:
    """Run until asked to stop; the exit status. ConfigError where it is not enabled, or the port cannot be had."""
    settings = reloading.settings
    if not settings.console.enabled:
        raise ConfigError(["console.enabled: is false, so there is nothing to run"])
    stop = stop_on_signals()
    stand_back(_MEMORY)
    engine = open_database(settings)
    reading = open_to_read(settings.database.url)
    jobs, files, metrics = SqlJobs(engine), Files(settings.store.path), Metrics()
    audit = open_audit(settings, "console", metrics.count)
    showing = Showing(timeout=_PICTURE, memory_bytes=_PICTURE_MEMORY, clock=time.monotonic)
    made = desk(
        reloading.in_force, reading=reading, jobs=jobs, files=files, showing=showing, metrics=metrics, audit=audit
    )
    server = console_server(settings, made, metrics.count)
    if not start_patiently(server.start, stop):
        audit.close()
        return 0
    stop_metrics = be_observed(reloading.in_force, metrics, jobs, "console")
    doing = f"showing how it goes on port {server.port}"
    reloading.ready(doing)
    watchdog = Watchdog("console", metrics)

    def beat() -> None:
        assert_running(server)
        showing.rest(_REST_AFTER_S)
        watchdog.beat()

    # What the pages show of the settings is looked up for each of them: there is nothing else to do.
    reloading.until(stop, lambda _change: TakenUp(doing), changed=telling_changes(audit), beat=beat)
    showing.close()
    server.stop()
    audit.close()
    stop_metrics()
    reading.dispose()
    engine.dispose()
    structlog.get_logger().info("stopped")
    return 0


def console_server(settings: Settings, desk: Desk, count: Count) -> WebServer:
    """The server that the settings describe, not yet started. ConfigError where its certificates cannot be used."""
    ours = settings.console
    host = socket.gethostname().lower()
    app = console_app(
        desk,
        Sessions(secrets.token_bytes(32), time.monotonic, lambda: secrets.token_hex(16)),
        token=ours.token or "",
        names=frozenset({"localhost", host, host.partition(".")[0], ours.host.lower(), *ours.names}),
        secure=ours.certificate is not None,
        max_requests=ours.max_requests,
        clock=time.monotonic,
        count=count,
    )

    def on_bad_handshake(peer: str) -> None:
        count("security_events", kind="console_handshake_failed")
        desk.audit(SecurityAlert(Alert.NODE_AUTHENTICATION, "TLS handshake of the console failed", Party(address=peer)))
        structlog.get_logger().warning("console_handshake_failed", peer=peer)

    return server_of(ours, app, name="console", on_bad_handshake=on_bad_handshake)
