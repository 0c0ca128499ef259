"""The audit trail of a whole site: who started, who sent, who was turned away, what was read and where it went."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pydicom
import pytest

from tests.acceptance.conftest import wrap_study
from tests.acceptance.pacs import destination
from tests.acceptance.test_serve import events, pid_of
from tests.daemon import Daemon, wait_until
from tests.dcmtk import echoscu, storescu
from tests.orthanc import orthanc
from tests.unit.audit.schema import checked

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


def read(path: Path) -> list[Element]:
    return [checked(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def codes(root: Element) -> tuple[str, ...]:
    event = root.find("EventIdentification")
    assert event is not None
    found = [child.attrib["csd-code"] for child in event if child.tag != "EventOutcomeDescription"]
    return (*found, event.attrib["EventOutcomeIndicator"])


def between(root: Element) -> tuple[str, ...]:
    """AE titles of who took part, in order."""
    found = [one.attrib.get("AlternativeUserID", "") for one in root.findall("ActiveParticipant")]
    return tuple(title.removeprefix("AETITLES=") for title in found)


def test_a_site_tells_what_happened_to_a_study_and_who_was_turned_away(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path: Path
) -> None:
    files = wrap_study(drawn_photographs[:2], tmp_path / "study", patient="PAT-4711")
    trail = tmp_path / "audit.xml"
    with orthanc(tmp_path / "orthanc") as pacs:
        audit = {"to": "file", "file": str(trail)}
        daemon = Daemon(tmp_path / "site", untrained_bundle, [destination(pacs)], more={"audit": audit})
        daemon.start()
        try:
            wait_until(lambda: events(daemon, "ready"), "the daemon to be ready")
            assert echoscu(daemon.port, called="SOMEBODY").status != 0
            assert storescu(daemon.port, *files, options=("-R", "-xy")).status == 0
            daemon.wait_until_idle(1)
            delivered = len([line for line in events(daemon, "delivery") if line["outcome"] == "stored"])
            os.kill(pid_of(daemon, "deliver"), signal.SIGKILL)
            wait_until(lambda: len(events(daemon, "role_started")) == 4, "the role to be started again")
            wait_until(lambda: sum(codes(m) == ("110100", "110121", "12") for m in read(trail)), "the word of it")
        finally:
            assert daemon.stop() == [0]
    told = read(trail)
    count = {kind: [m for m in told if codes(m) == kind] for kind in {codes(m) for m in told}}
    assert len(count.pop(("110100", "110120", "0"))) == 4, "three roles, and one again"
    assert len(count.pop(("110100", "110121", "0"))) == 3
    (killed,) = count.pop(("110100", "110121", "12"))
    assert killed.findall("ActiveParticipant")[0].attrib["UserName"] == "ocunet-pacs deliver"
    (turned_away,) = count.pop(("110113", "110126", "4"))
    assert turned_away.findall("ActiveParticipant")[1].attrib["NetworkAccessPointID"] == "127.0.0.1"
    transferred = count.pop(("110104", "0"))
    came = [m for m in transferred if between(m)[1] == "OCUNET"]
    went = [m for m in transferred if between(m)[0] == "OCUNET"]
    assert [between(m)[0] for m in came] == ["CAMERA", "CAMERA"]
    assert len(went) == delivered > 1
    assert {between(m)[1] for m in went} == {str(destination(pacs)["ae_title"])}
    (read_once,) = count.pop(("110103", "0"))
    assert [sop.attrib["NumberOfInstances"] for sop in read_once.iter("SOPClass")] == ["2"]
    assert count == {}, "and nothing else"

    study = str(pydicom.dcmread(files[0]).StudyInstanceUID)
    about = [m for m in told if codes(m)[0] in {"110103", "110104"}]
    ids = [[o.attrib["ParticipantObjectID"] for o in m.findall("ParticipantObjectIdentification")] for m in about]
    assert {uids[0] for uids in ids} == {study}
    assert len({uids[1] for uids in ids}) == 1, "one pseudonym for one patient, on all ways"
    assert told.index(came[1]) < told.index(read_once) < told.index(went[0])
    for named in (b"PAT-4711", b"Marked"):
        assert named not in trail.read_bytes()
