"""An ASGI application on a port, by uvicorn: HTTPS where wanted, bounded connections, and no room for the slow."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ocunet_pacs.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

_LOOK_EVERY_S = 10.0
"""A connection that twice in a row is found without a request is closed."""
_HANDSHAKE_S = 10.0
_KEEP_ALIVE_S = 5
_LONGEST_HEAD = 1 << 15
_GRACE_S = 10


def tls_context(certificate: Path, key: Path, client_authority: Path | None, *, section: str) -> ssl.SSLContext:
    """TLS 1.2 or newer; with `client_authority` only for senders with a certificate of theirs.

    ConfigError, which names the files by their keys in that section of the settings.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"{section}.certificate, {section}.key: cannot be used together: {_why(error)}"]) from None
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(client_authority)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"{section}.client_authority: cannot be used: {_why(error)}"]) from None
    return context


class WebServer:
    """Serves in a thread of its own between `start` and `stop`. `name`: of the thread, and the section of the settings.
    `app` is what answers.

    `on_bad_handshake` is called with the peer's address when TLS did not come about, for want of a certificate above
    all.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        max_connections: int,
        on_bad_handshake: Callable[[str], None],
    ) -> None:
        self.app = app
        self._name = name
        self._address = host, port
        make: Any = _Http
        if tls is not None:

            def make(**parts: Any) -> _TlsGate:  # noqa: ANN401 - uvicorn's own
                return _TlsGate(tls, lambda: _Http(**parts), on_bad_handshake)

        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=make,
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
                limit_concurrency=max_connections,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
            )
        )
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on. RuntimeError before `start`."""
        if self._socket is None:
            raise RuntimeError("the server is not started")
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Bind the port and serve. ConfigError when the port cannot be bound."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise ConfigError([f"{self._name}.port: cannot listen on {host} port {port}: {error.strerror}"]) from error
        self._thread = threading.Thread(target=self._run, args=(self._socket,), name=self._name, daemon=True)
        self._thread.start()
        structlog.get_logger().info("listening", protocol=self._name, host=host, port=self.port)

    @property
    def is_running(self) -> bool:
        """Whether the thread that serves lives."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Take nothing new, give requests under way a moment to end, cut off the rest."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        structlog.get_logger().info("listener_stopped", protocol=self._name)

    def _run(self, listening: socket.socket) -> None:
        with listening:
            asyncio.run(self._server.serve(sockets=[listening]))


class _Http(H11Protocol):
    """uvicorn's protocol, which by itself would wait for ever for the head of a request, or for a full peer to read."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as uvicorn hands them
        super().__init__(**parts)
        self._look: asyncio.TimerHandle | None = None
        self._idle_at: object = self

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look = self.loop.call_later(_LOOK_EVERY_S, self._look_after)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_after(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and self._idle_at is self.cycle:
            self.transport.abort()
            return
        self._idle_at = self if busy else self.cycle
        self._look = self.loop.call_later(_LOOK_EVERY_S, self._look_after)


class _TlsGate(asyncio.Protocol):
    """Does the handshake, and only then hands the connection to the protocol that `make` makes.

    asyncio's own TLS servers say nothing of a handshake that fails, and whose it was.
    """

    def __init__(
        self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], on_bad_handshake: Callable[[str], None]
    ) -> None:
        self._context = context
        self._make = make
        self._on_bad_handshake = on_bad_handshake
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(transport))

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        waiting = _Waiting()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, waiting, self._context, server_side=True, ssl_handshake_timeout=_HANDSHAKE_S
            )
        except OSError:  # ssl.SSLError, a connection that broke, the time that ran out
            self._on_bad_handshake(str(peer[0]) if peer else "")
            transport.abort()
            return
        if secured is None or waiting.lost:
            return
        protocol = self._make()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        if waiting.received:
            protocol.data_received(bytes(waiting.received))


class _Waiting(asyncio.Protocol):
    """Keeps what comes together with the last message of a handshake."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as inherited
        """Nothing more will."""
        self.lost = True


def _why(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", "") or type(error).__name__
