"""Record systems to send reports to: a small one in this process that fails when told to, and Medplum's FHIR server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ocunet_pacs.intake.web import WebServer
from tests.conftest import PROJECT, program

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

HOST = "127.0.0.1"
FHIR_JSON = "application/fhir+json"
SERVER = PROJECT / "tests" / "fhir-server"
INSTALLED = PROJECT / ".peers" / "fhir-server"


@dataclass
class RecordSystem:
    """Keeps resources by type and identifier, after a published schema has found the Bundle valid.

    `script`: answers to give instead, one a POST, as (status, content, content type); None: do as it should, but never
    answer.
    """

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    script: deque[tuple[int, str, str] | None] = field(default_factory=deque)
    heard: list[dict[str, str]] = field(default_factory=list)
    can_search: bool = True
    url: str = ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [resource for resource in self.kept.values() if resource["resourceType"] == kind]

    async def post(self, request: Request) -> Response:
        self.heard.append(dict(request.headers))
        content = await request.body()
        scripted = self.script.popleft() if self.script else ()
        if scripted:
            status, body, kind = scripted
            return Response(body, status, media_type=kind)
        status, answer = self.take(content)
        if scripted is None:
            await run_in_threadpool(time.sleep, 3)
        return Response(json.dumps(answer), status, media_type=FHIR_JSON)

    def take(self, content: bytes) -> tuple[int, dict[str, Any]]:
        try:
            Bundle.model_validate_json(content)
        except ValidationError:
            return 422, outcome("invalid")
        entries = json.loads(content)["entry"]
        names, done = {}, []
        for entry in entries:
            condition = f"{entry['request']['url']}?{entry['request']['ifNoneExist']}"
            is_new = condition not in self.kept
            if is_new:
                self.kept[condition] = entry["resource"]
            names[entry["fullUrl"]] = f"{entry['request']['url']}/{list(self.kept).index(condition) + 1}"
            done.append({"response": {"status": "201 Created" if is_new else "200 OK"}})
        for condition, resource in self.kept.items():
            text = re.sub(r"urn:uuid:[0-9a-f-]{36}", lambda m: names.get(m[0], m[0]), json.dumps(resource))
            self.kept[condition] = json.loads(text)
        return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": done}

    async def search(self, request: Request) -> Response:
        if not self.can_search:
            return Response(json.dumps(outcome("forbidden")), 403, media_type=FHIR_JSON)
        found = self.kept.get(f"DiagnosticReport?identifier={request.query_params['identifier']}")
        entries = {"entry": [{"resource": found}]} if found else {}
        answer = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), **entries}
        return Response(json.dumps(answer), media_type=FHIR_JSON)


def outcome(*codes: str, severity: str = "error", text: str = "Marked^Name is not welcome") -> dict[str, Any]:
    issues = [{"severity": severity, "code": code, "details": {"text": text}, "diagnostics": text} for code in codes]
    return {"resourceType": "OperationOutcome", "issue": issues}


@contextmanager
def record_system(tls: ssl.SSLContext | None = None) -> Iterator[RecordSystem]:
    system = RecordSystem()
    routes = [
        Route("/fhir", system.post, methods=["POST"]),
        Route("/fhir/DiagnosticReport", system.search, methods=["GET"]),
    ]
    server = WebServer(
        Starlette(routes=routes),
        name="fhir",
        host=HOST,
        port=0,
        tls=tls,
        max_connections=20,
        on_bad_handshake=lambda _: None,
    )
    server.start()
    system.url = f"{'https' if tls else 'http'}://{HOST}:{server.port}/fhir"
    try:
        yield system
    finally:
        server.stop()


@contextmanager
def medplum(folder: Path) -> Iterator[str]:
    """Base address of Medplum's FHIR server, which checks resources against HL7's own definitions of R4."""
    node = program("node")
    if not (INSTALLED / "node_modules").is_dir():
        message = "Medplum's FHIR server is not installed (tests/install-peers.sh)"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    shutil.copy(SERVER / "server.mjs", INSTALLED)
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [node, "--experimental-websocket", "server.mjs"],
            cwd=INSTALLED,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            assert port, (folder / "server.log").read_text()
            yield f"http://{HOST}:{port}"
        finally:
            server.kill()
            server.communicate()


def count(url: str, kind: str) -> int:
    answer = httpx.get(f"{url}/{kind}", params={"_total": "accurate", "_count": "0"}, timeout=60)
    return int(answer.raise_for_status().json()["total"])
