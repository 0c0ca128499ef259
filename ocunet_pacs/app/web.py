"""What the roles that answer over the web have in common: a server as their section of the settings describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import OcunetError
from ocunet_pacs.intake.web import WebServer, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from ocunet_pacs.settings.console import Console
    from ocunet_pacs.settings.intake import Stow

_CONNECTIONS_A_REQUEST = 4
"""Browsers and senders keep some open that ask for nothing."""


def server_of(
    ours: Stow | Console,
    app: ASGIApp,
    *,
    name: str,
    on_bad_handshake: Callable[[str], None],
    client_authority: Path | None = None,
) -> WebServer:
    """Not yet started. `name`: of the section; the rest as for `WebServer` and `tls_context`.

    ConfigError where its certificates cannot be used.
    """
    tls = None
    if ours.certificate is not None and ours.key is not None:
        tls = tls_context(ours.certificate, ours.key, client_authority, section=name)
    return WebServer(
        app,
        name=name,
        host=ours.host,
        port=ours.port,
        tls=tls,
        max_connections=_CONNECTIONS_A_REQUEST * ours.max_requests,
        on_bad_handshake=on_bad_handshake,
    )


def assert_running(server: WebServer) -> None:
    """OcunetError where it has ended without being asked to: the role then ends, too, and is started again."""
    if not server.is_running:
        raise OcunetError("the web server ended by itself")
