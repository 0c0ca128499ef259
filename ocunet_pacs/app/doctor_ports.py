"""The ports as `doctor` sees them: free, held by our own daemon, or by somebody else."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import httpx

from ocunet_pacs.app.doctor_checks import Check, fault, ok, warning
from ocunet_pacs.app.ourselves import ask_plain, ask_secure, reached_at
from ocunet_pacs.delivery.tls import pinned
from ocunet_pacs.domain.errors import OcunetError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings

_TIMEOUT_S = 5.0


def port_checks(settings: Settings) -> Iterator[Check]:
    """One for each port that the daemon listens on."""
    dicom, tls, stow, metrics = settings.dicom, settings.tls, settings.stow, settings.metrics
    if tls.plain or not tls.enabled:
        yield _check("dicom.port", dicom.host, dicom.port, lambda: ask_plain(settings))
    if tls.enabled:
        yield _check("tls.port", dicom.host, tls.port, lambda: ask_secure(settings))
    if stow.enabled:
        yield _check("stow.port", stow.host, stow.port, lambda: ask_stow(settings))
    if settings.console.enabled:
        yield _check("console.port", settings.console.host, settings.console.port, lambda: ask_console(settings))
    if metrics.port:
        yield _check("metrics.port", metrics.host, metrics.port, lambda: ask_metrics(metrics.host, metrics.port))


def _check(name: str, host: str, port: int, ask: Callable[[], None]) -> Check:
    return Check(f"port {name}", lambda: look_at_port(name, host, port, ask), seconds=20.0)


def look_at_port(name: str, host: str, port: int, ask: Callable[[], None]) -> Verdict:
    """Whether the daemon may listen there, or does. `ask` returns when what listens is ours, and raises OcunetError."""
    if port == 0:
        return ok("a free one is taken at each start")
    number = try_port(host, port)
    if number is None:
        return ok(f"{port} is free: the daemon does not run, or not here")
    try:
        if number in {errno.EADDRINUSE, errno.EACCES}:
            ask()
            return ok(f"{port}: our daemon answers")
    except OcunetError as error:
        return judge_refusal(name, host, port, number, str(error))
    return judge_refusal(name, host, port, number)


def judge_refusal(name: str, host: str, port: int, number: int, answer: str = "") -> Verdict:
    """`number`: the system's error at binding; `answer`: why what listens there is not taken for our daemon."""
    if number == errno.EADDRINUSE:
        found = f"{port} is taken, and what listens there does not answer as our daemon would ({answer})"
        remedy = f"find it with `ss -ltnp 'sport = :{port}'`; stop it, or set another {name}"
        # Without metrics and console the daemon works.
        return warning(found, remedy) if name.startswith(("metrics", "console")) else fault(found, remedy)
    if number == errno.EACCES:
        return fault(
            f"this user may not listen on {port}",
            f"let the service (AmbientCapabilities=CAP_NET_BIND_SERVICE), or set a {name} above 1023",
        )
    section = "dicom" if name == "tls.port" else name.partition(".")[0]
    return fault(f"cannot listen on {host}: {os.strerror(number)}", f"set {section}.host to an address of this machine")


def try_port(host: str, port: int) -> int | None:
    """Take the port as the daemon does, and let it go; None where that was possible, else the system's error."""
    try:
        where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(where[0], socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where[4])
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EIO
    return None


def ask_stow(settings: Settings) -> None:
    """Return when our STOW-RS service answers. PeerUnavailable, ConfigError."""
    stow = settings.stow
    scheme = "http" if stow.certificate is None else "https"
    url = f"{scheme}://{reached_at(stow.host)}:{stow.port}{stow.base}/studies"
    headers = {} if stow.token is None else {"authorization": f"Bearer {stow.token}"}
    verify = True if stow.certificate is None else pinned(stow.certificate)
    try:
        answer = httpx.get(url, headers=headers, verify=verify, timeout=_TIMEOUT_S)
    except httpx.HTTPError as error:
        if stow.client_authority is not None and isinstance(error, (httpx.ReadError, httpx.RemoteProtocolError)):
            return  # it showed our certificate, and wants one of the sender's
        raise PeerUnavailable(f"no STOW-RS there: {type(error).__name__}") from None
    ours = answer.status_code == 405 and "POST" in answer.headers.get("allow", "")
    if not ours and 'realm="stow"' not in answer.headers.get("www-authenticate", ""):
        raise PeerUnavailable(f"no STOW-RS there: HTTP status {answer.status_code}")


def ask_console(settings: Settings) -> None:
    """Return when our console answers. PeerUnavailable, ConfigError."""
    console = settings.console
    scheme = "http" if console.certificate is None else "https"
    verify = True if console.certificate is None else pinned(console.certificate)
    try:
        answer = httpx.get(f"{scheme}://{reached_at(console.host)}:{console.port}/", verify=verify, timeout=_TIMEOUT_S)
    except httpx.HTTPError as error:
        raise PeerUnavailable(f"no console there: {type(error).__name__}") from None
    if "OcuNet PACS" not in answer.text:
        raise PeerUnavailable(f"no console there: HTTP status {answer.status_code}")


def ask_metrics(host: str, port: int) -> None:
    """Return when our metrics are there. PeerUnavailable."""
    try:
        answer = httpx.get(f"http://{reached_at(host)}:{port}/metrics", timeout=_TIMEOUT_S)
    except httpx.HTTPError as error:
        raise PeerUnavailable(f"no metrics there: {type(error).__name__}") from None
    if "ocunet_" not in answer.text:
        raise PeerUnavailable("no metrics of ours there")
