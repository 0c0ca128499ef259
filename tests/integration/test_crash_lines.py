"""A fault of ours or of a library's in a thread that a library runs: its place is in the log, and no value."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.background import BackgroundScheduler
from pynetdicom import AE, evt

from ocunet_pacs import logs
from tests.dcmtk import HOST
from tests.integration.requests import VERIFICATION, echo_once

NAME = "Wunderlich^Ottokar"


pytestmark = pytest.mark.usefixtures("logging_put_back")


def fail(*_what: object) -> NoReturn:
    patient = NAME  # where a traceback with local values would show it
    raise ValueError(f"cannot read {patient}")


def test_in_a_job_of_the_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json", role="listen")
    over = threading.Event()
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_listener(lambda _event: over.set(), EVENT_JOB_ERROR)
    scheduler.add_job(fail, "date", run_date=datetime.now(UTC), misfire_grace_time=None)
    scheduler.start()
    assert over.wait(30)
    scheduler.shutdown()
    written = capsys.readouterr().err
    assert NAME not in written
    (line,) = [json.loads(line) for line in written.splitlines()]
    assert (line["library"], line["error"]) == ("apscheduler.executors.default", "ValueError")
    assert any(frame.endswith(" fail") for frame in line["trace"])


def test_in_a_handler_of_pynetdicom(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours catch what they do themselves; what comes past that is answered with a failure and not quoted."""
    logs.configure("debug", "json", role="listen")
    ae = AE(ae_title="OCUNET")
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, fail), (evt.EVT_PDU_RECV, fail)])
    assert server is not None
    try:
        echo_once(server.server_address[1])
    finally:
        ae.shutdown()
    assert NAME not in capsys.readouterr().err
