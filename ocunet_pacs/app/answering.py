"""The port that monitoring asks: /metrics for Prometheus, and pages of health as JSON. Read only, no patient data."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import structlog
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    Page = Callable[[], tuple[bool, dict[str, Any]]]
    """Whether all is well (200, otherwise 503), and what to say."""

_SILENT_SECONDS = 10


def answer(registry: CollectorRegistry, host: str, port: int, pages: Mapping[str, Page]) -> Callable[[], None]:
    """Answer GET /metrics, and each of `pages` by its path, in threads of their own; what ends that.

    Port 0: nothing is answered. A port that is taken costs the metrics, never the work: it is logged.
    """
    if port == 0:
        return _nothing
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        server_class: type[WSGIServer] = type("_Server", (ThreadingWSGIServer,), {"address_family": family})
        server = make_server(host, port, application(registry, pages), server_class, _Handler)
    except OSError as error:
        structlog.get_logger().warning("metrics_not_served", host=host, port=port, problem=error.strerror)
        return _nothing
    thread = threading.Thread(target=server.serve_forever, name="monitoring", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def application(registry: CollectorRegistry, pages: Mapping[str, Page]) -> WSGIApplication:
    """What answers, apart from its port."""
    metrics = make_wsgi_app(registry)

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        if path not in pages:
            known = " ".join(["/metrics", *pages])
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"there is: {known}\n".encode()]
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        well, said = pages[path]()
        content = (json.dumps(said, indent=2) + "\n").encode()
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        start_response("200 OK" if well else "503 Service Unavailable", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]

    return respond


class _Handler(WSGIRequestHandler):
    timeout = _SILENT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's signature
        """Whoever asks every few seconds is not worth a line each time."""


def _nothing() -> None:
    """Nothing is answered, so there is nothing to end."""
