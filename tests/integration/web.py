"""The STOW-RS service on a free port of this machine, with what it kept, and senders that misbehave."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from ocunet_pacs.app.stow import web_server
from ocunet_pacs.settings import from_tree
from ocunet_pacs.store.files import Files
from tests.conftest import program
from tests.integration.ledgers import FileLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ocunet_pacs.domain.audit import AuditEvent
    from ocunet_pacs.intake.web import WebServer

TOKEN = "a-token-of-the-tests"
HOST = "127.0.0.1"
BOUNDARY = "the-edge-of-a-part"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@dataclass
class Web:
    """The running service, its store, its rows, what it counted and what it logged."""

    server: WebServer
    files: Files
    ledger: FileLedger
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    logged: list[Any] = field(default_factory=list)
    scheme: str = "http"
    told: list[AuditEvent] = field(default_factory=list)
    """What the audit trail was told."""

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counted[(name, *labels.values())] += amount

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.server.port}/dicom-web/studies"

    def stored(self) -> list[Path]:
        return sorted(p for p in (self.files.root / "instances").rglob("*") if p.is_file())

    def half_received(self) -> list[Path]:
        return list(self.files.incoming.iterdir())

    def post(self, content: Any, *, path: str = "", token: str = TOKEN, **headers: str) -> httpx.Response:
        given = {"content-type": MULTIPART, "authorization": f"Bearer {token}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.url + path, content=content, headers=given, timeout=60)


@contextmanager
def web(folder: Path, *, files: Any = None, ledger: Any = None, **settings: Any) -> Iterator[Web]:
    """Run the service in this process; keywords go into the settings under `stow`."""
    store, rows = files or Files(folder / "store"), ledger or FileLedger(folder / "rows.db")
    tree = {
        "stow": {"enabled": True, "host": HOST, "port": 0, "token": TOKEN} | settings.pop("stow", {}),
        "store": {"path": str(folder / "store"), "min_free": 0},
    }
    running = Web(None, store, rows)  # type: ignore[arg-type]
    found = from_tree(tree | settings)
    running.server = web_server(lambda: found, store, rows, running.count, running.told.append)
    running.scheme = "https" if "certificate" in tree["stow"] else "http"
    with structlog.testing.capture_logs() as running.logged:
        running.server.start()
        try:
            yield running
        finally:
            running.server.stop()
            rows.close()


def multipart(*contents: bytes, headers: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    """A body with a part for each content."""
    edge = BOUNDARY.encode()
    parts = b"".join(b"--" + edge + b"\r\n" + headers + b"\r\n" + content + b"\r\n" for content in contents)
    return parts + b"--" + edge + b"--\r\n"


def raw(web: Web, text: bytes, *, tls: ssl.SSLContext | None = None) -> socket.socket:
    """A connection on which these bytes were sent."""
    connection = socket.create_connection((HOST, web.server.port), timeout=60)
    connection.sendall(text)
    return connection


def request_head(length: int, path: str = "/dicom-web/studies", token: str = TOKEN) -> bytes:
    """The head of a request whose body has that many bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {MULTIPART}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority, and of a server and a client that it vouches for."""

    folder: Path

    def __getattr__(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")


def make_certificates(folder: Path) -> Certificates:
    """Fresh certificates, good for a day: authority, server, client, stranger (of an authority of its own)."""
    folder.mkdir()
    openssl = program("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=folder)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("authority", "stranger"):
        run(*new, "-x509", "-days", "1", "-subj", f"/CN={name}", "-keyout", f"{name}_key.pem", "-out", f"{name}.pem")
    (folder / "names").write_text(f"subjectAltName=IP:{HOST}\n")
    for name in ("server", "client"):
        run(*new, "-subj", f"/CN={name}", "-keyout", f"{name}_key.pem", "-out", f"{name}.csr")
        run(
            *("x509", "-req", "-days", "1", "-in", f"{name}.csr", "-CA", "authority.pem"),
            *("-CAkey", "authority_key.pem", "-CAcreateserial", "-extfile", "names", "-out", f"{name}.pem"),
        )
    return Certificates(folder)
