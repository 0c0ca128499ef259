"""The port that monitoring asks: what is there, what is not, and what well and unwell look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ocunet_pacs.app.answering import answer
from ocunet_pacs.metrics import Metrics
from tests.dcmtk import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


def well() -> tuple[bool, dict[str, Any]]:
    return True, {"live": True}


def unwell() -> tuple[bool, dict[str, Any]]:
    return False, {"problems": ["disk: full"]}


@pytest.fixture
def site() -> Iterator[httpx.Client]:
    port = free_port()
    stop = answer(Metrics().registry(), "127.0.0.1", port, {"/live": well, "/ready": unwell})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        yield client
    stop()


def test_well_is_200_and_unwell_is_503_and_both_say_why(site: httpx.Client) -> None:
    live, ready = site.get("/live"), site.get("/ready")
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (503, {"problems": ["disk: full"]})
    assert {page.headers["content-type"] for page in (live, ready)} == {"application/json"}
    assert site.head("/ready").status_code == 503


def test_nothing_else_is_there_and_nothing_can_be_sent(site: httpx.Client) -> None:
    missing = site.get("/")
    assert missing.status_code == 404
    assert missing.text.split()[-3:] == ["/metrics", "/live", "/ready"]
    assert site.post("/ready", content=b"x").status_code == 405
    assert site.post("/metrics", content=b"x").status_code == 405


def test_port_0_answers_nothing() -> None:
    answer(Metrics().registry(), "127.0.0.1", 0, {})()
