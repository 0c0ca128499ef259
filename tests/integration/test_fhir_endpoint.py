"""Reports to record systems over FHIR: stored once however often they are sent, and every answer understood."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ocunet_pacs.delivery.fhir_endpoint import FhirSender
from ocunet_pacs.domain.errors import ConfigError, DeliveryError, PeerBusy, PeerRefused, PeerUnavailable, StoreError
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.report.fhir import build_fhir
from ocunet_pacs.report.fhir_settings import FhirSettings
from ocunet_pacs.report.report_settings import ReportSettings
from tests.integration.record_system import FHIR_JSON, count, medplum, outcome, record_system
from tests.unit.report.made import NOW, UNTRAINED, image, photograph, read, reporter, study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ocunet_pacs.domain.result import ImageResult
    from tests.integration.record_system import RecordSystem

PATIENCE = timedelta(seconds=60)
TRANSACTION = {"resourceType": "Bundle", "type": "transaction-response"}


@pytest.fixture
def system() -> Iterator[RecordSystem]:
    with record_system() as running:
        yield running


def document(folder: Path, *images: ImageResult, name: str = "report.json", more: Any = None, **values: Any) -> Path:
    """A Bundle on disk, of a patient by the name of Marked."""
    result = replace(study(*images), **(more or {}))
    sources = {i.sop_instance_uid: photograph(folder / f"{i.ordinal}.dcm", i.ordinal, **values) for i in images}
    report = read(reporter().report(result, sources, {}))
    settings = FhirSettings(include_patient_name=True)
    path = folder / name
    path.write_bytes(build_fhir(result, report, settings=settings, report_settings=ReportSettings(), now=NOW))
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return document(tmp_path, image(1, DR=0.9), image(2, "L"), PatientName="Marked^Name", PatientID="MARKED-ID")


@pytest.fixture
def sender() -> Iterator[Callable[..., FhirSender]]:
    """Makes senders, and closes them all."""
    with ExitStack() as made:

        def make(url: str, **more: Any) -> FhirSender:
            ours = FhirSender("record", url, **{"timeout": PATIENCE} | more)
            made.callback(ours.close)
            return ours

        yield make


def test_a_report_is_stored_once_however_often_it_is_sent(
    sender: Callable[..., FhirSender], system: RecordSystem, report: Path
) -> None:
    entries = len(json.loads(report.read_bytes())["entry"])
    ours = sender(system.url)
    assert ours.send(report).note == f"stored, {entries} of {entries} resources new"
    assert ours.send(report).note == "it had it already"
    assert len(system.kept) == entries
    (stored,) = system.of("DiagnosticReport")
    assert [r["reference"].split("/")[0] for r in stored["result"]] == ["Observation"] * 3
    assert system.heard[0]["content-type"] == FHIR_JSON


def test_two_reports_of_one_model_share_their_device(
    sender: Callable[..., FhirSender], system: RecordSystem, tmp_path: Path
) -> None:
    ours = sender(system.url)
    first = document(tmp_path, image(1, DR=0.9))
    second = document(tmp_path, image(1, DR=0.9), image(2, "L"), name="second.json")
    ours.send(first)
    made = len(system.kept)
    note = ours.send(second).note
    assert len(system.of("Device")) == 1
    assert len(system.of("DiagnosticReport")) == 2
    assert note == f"stored, {len(system.kept) - made} of {len(system.kept) - made + 1} resources new"


def said(code: int, *codes: str) -> tuple[int, str, str]:
    return code, json.dumps(outcome(*codes)), FHIR_JSON


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (said(401, "login"), PeerUnavailable, "credentials"),
        (said(403, "forbidden"), PeerUnavailable, "rights"),
        (said(404, "not-found"), PeerRefused, r"refers to.*404: not-found"),
        ((404, "<html>Marked^Name is not here</html>", "text/html"), PeerUnavailable, "check url"),
        (said(405, "not-supported"), PeerUnavailable, "check url"),
        ((302, "", "text/plain"), PeerUnavailable, "final address"),
        (said(400, "invalid", "invalid", "code-invalid"), PeerRefused, r"HTTP status 400: invalid, code-invalid\)"),
        (said(400, "Marked^Name was here"), PeerRefused, r"HTTP status 400\)"),
        (said(409, "conflict"), PeerBusy, "conflict"),
        (said(412, "multiple-matches"), PeerRefused, "several"),
        (said(413, "too-long"), PeerRefused, "too large"),
        (said(422, "processing"), PeerRefused, "rules"),
        (said(429, "throttled"), PeerBusy, "429"),
        (said(500, "exception"), PeerBusy, "500"),
        (said(503, "transient"), PeerBusy, "503"),
        ((200, "<html>Log in, Marked^Name</html>", "text/html"), PeerRefused, "no FHIR service"),
        ((200, '["what"]', FHIR_JSON), PeerRefused, "no FHIR service"),
        ((200, '{"resourceType": "Patient"}', FHIR_JSON), PeerRefused, "something else"),
        (said(200, "processing"), PeerRefused, r"something else.*: processing"),
        ((200, json.dumps({**TRANSACTION, "entry": []}), FHIR_JSON), PeerRefused, r"0 of 6"),
    ],
)
def test_an_answer_says_who_has_to_do_what(
    sender: Callable[..., FhirSender],
    system: RecordSystem,
    report: Path,
    answer: tuple[int, str, str],
    error: type[DeliveryError],
    words: str,
) -> None:
    system.script.append(answer)
    ours = sender(system.url)
    with pytest.raises(error, match=words) as caught:
        ours.send(report)
    assert "marked" not in str(caught.value).lower(), "what it said may hold patient data"
    assert caught.value.status is None
    ours.send(report)
    assert len(system.of("DiagnosticReport")) == 1


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"response": {"status": "422", "outcome": outcome("invalid")}}, PeerRefused),
        ({"response": {"status": "503 Service Unavailable"}}, PeerBusy),
        ({"response": {"status": "409 Conflict"}}, PeerBusy),
        ({"response": {}}, PeerRefused),
    ],
)
def test_what_became_of_each_entry_counts(
    sender: Callable[..., FhirSender],
    system: RecordSystem,
    report: Path,
    entry: dict[str, Any],
    error: type[DeliveryError],
) -> None:
    fine = {"response": {"status": "201 Created"}}
    answer = {**TRANSACTION, "type": "batch-response", "entry": [fine] * 5 + [entry]}
    system.script.append((200, json.dumps(answer), FHIR_JSON))
    ours = sender(system.url)
    with pytest.raises(error) as caught:
        ours.send(report)
    assert "marked" not in str(caught.value).lower()


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_over_what_is_there_is_a_success(
    sender: Callable[..., FhirSender], system: RecordSystem, report: Path, status: int
) -> None:
    ours = sender(system.url)
    ours.send(report)
    system.script.append(said(status, "conflict"))
    assert ours.send(report).note == "it had it already"
    system.can_search = False
    system.script.append(said(status, "conflict"))
    with pytest.raises(DeliveryError):
        ours.send(report)


@pytest.mark.parametrize(
    "answer",
    [
        (202, "", "text/plain"),
        (200, "", "text/plain"),
        (200, json.dumps(outcome("informational", severity="information")), FHIR_JSON),
    ],
)
def test_gateways_may_take_it_without_saying_more(
    sender: Callable[..., FhirSender], system: RecordSystem, report: Path, answer: tuple[int, str, str]
) -> None:
    system.script.append(answer)
    ours = sender(system.url)
    assert ours.send(report).note.startswith("accepted")


def test_credentials_and_headers_go_along(
    sender: Callable[..., FhirSender], system: RecordSystem, report: Path
) -> None:
    for more in ({"token": "a-token"}, {"basic": ("user", "word")}, {"headers": {"x-facility": "eyes"}}):
        ours = sender(system.url, **more)
        ours.send(report)
    assert system.heard[0]["authorization"] == "Bearer a-token"
    assert system.heard[1]["authorization"].startswith("Basic ")
    assert system.heard[2]["x-facility"] == "eyes"


def test_nobody_there_is_unavailable(sender: Callable[..., FhirSender], report: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    ours = sender(f"http://127.0.0.1:{port}/fhir")
    with pytest.raises(PeerUnavailable, match="no answer"):
        ours.send(report)


def test_silence_is_unavailable_and_what_was_stored_meanwhile_is_not_stored_again(
    sender: Callable[..., FhirSender], system: RecordSystem, report: Path
) -> None:
    system.script.append(None)
    impatient = sender(system.url, timeout=timedelta(seconds=1))
    with pytest.raises(PeerUnavailable, match="did not answer"):
        impatient.send(report)
    ours = sender(system.url)
    assert ours.send(report).note == "it had it already"
    assert len(system.of("DiagnosticReport")) == 1


def test_a_file_that_is_no_bundle_is_ours_to_mend(
    sender: Callable[..., FhirSender], system: RecordSystem, tmp_path: Path
) -> None:
    ours = sender(system.url)
    (tmp_path / "broken.json").write_text('{"entry": []}')
    for name in ("missing.json", "broken.json"):
        with pytest.raises(StoreError):
            ours.send(tmp_path / name)
    assert not system.heard


def test_an_address_that_is_none_is_a_fault_in_the_settings(sender: Callable[..., FhirSender]) -> None:
    with pytest.raises(ConfigError, match="url"):
        sender("file:///etc/passwd")


@pytest.mark.peers
def test_a_fhir_server_takes_every_kind_of_report(sender: Callable[..., FhirSender], tmp_path: Path) -> None:
    missed = replace(image(3), scores=(), reasons=(Reason(ReasonCode.UNGRADABLE, "sharpness 0.2"),))
    everything = dict.fromkeys(("DR", "MH", "RD", "PT", "Disease_Risk", "CATARACT"), 0.9)
    kinds: dict[str, tuple[ImageResult, ...]] = {
        "findings.json": (image(1, **everything), image(2, "L", NORMAL=0.9), missed),
        "contradiction.json": (image(1, NORMAL=0.9, GLAUCOMA=0.8), image(2, "U", DR=0.7)),
        "nothing.json": (missed,),
    }
    with medplum(tmp_path) as url:
        ours = sender(url)
        paths = [document(tmp_path, *images, name=name) for name, images in kinds.items()]
        paths.append(document(tmp_path, image(1, DR=0.9), name="untrained.json", more={"bundle": UNTRAINED}))
        notes = [ours.send(path).note for path in paths]
        assert all(note.startswith("stored, ") for note in notes)
        made = {kind: count(url, kind) for kind in ("DiagnosticReport", "Observation", "Device")}
        assert made["DiagnosticReport"] == 4
        assert made["Device"] == 2
        assert [ours.send(path).note for path in paths] == ["it had it already"] * 4
        assert {kind: count(url, kind) for kind in made} == made

        query = {"identifier": json.loads(paths[0].read_bytes())["entry"][-1]["resource"]["identifier"][0]["value"]}
        (found,) = httpx.get(f"{url}/DiagnosticReport", params=query, timeout=60).json()["entry"]
        members = [r["reference"] for r in found["resource"]["result"]]
        first = httpx.get(f"{url}/{members[0]}", timeout=60).json()
        assert first["code"]["text"] == "Model's impression, OD"
        assert all(m["reference"].startswith("Observation/") for m in first["hasMember"])

        # What a person made of the report since stays.
        amended = {**found["resource"], "status": "final", "conclusion": "Seen."}
        httpx.put(f"{url}/DiagnosticReport/{amended['id']}", json=amended, timeout=60).raise_for_status()
        ours.send(paths[0])
        assert httpx.get(f"{url}/DiagnosticReport/{amended['id']}", timeout=60).json()["status"] == "final"

        wrong = json.loads(paths[0].read_bytes())
        wrong["entry"][-1]["resource"]["status"] = ["perhaps"]
        (tmp_path / "wrong.json").write_text(json.dumps(wrong))
        with pytest.raises(PeerRefused, match="422"):
            ours.send(tmp_path / "wrong.json")
