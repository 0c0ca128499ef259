"""Past studies from real archives: Orthanc and dcmtk's, by C-GET and by C-MOVE to a listener of ours."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from ocunet_pacs.domain.dates import DateRange
from ocunet_pacs.intake.archive import ArchivePeer
from ocunet_pacs.pipeline.backfill import Ending
from tests.dcmqrscp import AE_TITLE, dcmqrscp
from tests.dcmtk import HOST, free_port
from tests.integration.past_studies import Site, past_study, uids, write_all
from tests.orthanc import Orthanc, orthanc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.integration.conftest import Receiver

pytestmark = pytest.mark.peers
TIMEOUT = timedelta(seconds=30)
OPEN_TO_ALL = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    yield site
    site.close()


def orthanc_peer(peer: Orthanc, *, by_move: bool = False) -> ArchivePeer:
    return ArchivePeer("orthanc", Orthanc.ae_title, HOST, peer.dicom_port, TIMEOUT, by_move=by_move)


def dcmtk_peer(port: int, *, by_move: bool = False) -> ArchivePeer:
    return ArchivePeer("dcmtk", AE_TITLE, HOST, port, TIMEOUT, by_move=by_move)


def compressed(study: list[Dataset], transfer_syntax: str) -> list[Dataset]:
    for ds in study:
        ds.file_meta.TransferSyntaxUID = transfer_syntax
        ds.PixelData = encapsulate([b"\xff\xd8 some code stream \xff\xd9"])
    return study


def test_orthanc_gives_each_study_of_the_range_once(site: Site, tmp_path: Path) -> None:
    wanted = [past_study(f"202402{day:02}", modalities=("OP", "OT")) for day in range(1, 7)]
    others = [past_study("20240401"), past_study("20240131"), past_study("20240210", modalities=("OT",))]
    with orthanc(tmp_path / "pacs", **OPEN_TO_ALL) as pacs:
        for path in write_all(wanted + others, tmp_path / "files"):
            pacs.upload(path)
        first = site.run(orthanc_peer(pacs), limit=4)
        assert (first.ending, first.tally.fetched, first.is_clean) == (Ending.LIMIT, 4, True)
        newest = {row["sop_instance_uid"] for row in site.ledger.rows()}
        assert newest == uids(*wanted[2:]), "the newest come first"
        rest = site.run(orthanc_peer(pacs))
        assert (rest.ending, rest.tally.fetched, rest.tally.known) == (Ending.DONE, 2, 4)
        again = site.run(orthanc_peer(pacs))
        assert (again.tally.fetched, again.tally.known) == (0, 6)
    assert site.received() == uids(*wanted)
    assert set(site.states().values()) == {"fetched"}
    assert site.half_received() == []
    outcomes = [labels["outcome"] for name, labels in site.counted if name == "backfill_studies"]
    assert outcomes == ["fetched"] * 6
    assert [labels["way"] for name, labels in site.counted if name == "instances"] == ["backfill"] * 12


@pytest.mark.parametrize("kind", ["orthanc", "dcmtk"])
def test_objects_come_in_the_encoding_that_the_archive_keeps(kind: str, site: Site, tmp_path: Path) -> None:
    """dcmtk sends in the first context that it accepted, whatever the object is kept in, so it needs another offer."""
    studies = [past_study("20240301"), compressed(past_study("20240302"), JPEGBaseline8Bit)]
    ae_title = {"orthanc": Orthanc.ae_title, "dcmtk": AE_TITLE}[kind]
    if kind == "orthanc":
        studies.append(compressed(past_study("20240303"), JPEG2000Lossless))
        with orthanc(tmp_path / "pacs", **OPEN_TO_ALL) as pacs:
            for path in write_all(studies, tmp_path / "files"):
                pacs.upload(path)
            result = site.run(orthanc_peer(pacs))
    else:
        with dcmqrscp(tmp_path / "pacs", write_all(studies, tmp_path / "files"), "+xy") as port:
            result = site.run(dcmtk_peer(port))
    assert result.is_clean, site.reasons()
    stored = {row["sop_instance_uid"]: row for row in site.ledger.rows()}
    for ds in (ds for study in studies for ds in study):
        row = stored[ds.SOPInstanceUID]
        path = site.files.path(row["file_key"])
        assert row["transfer_syntax_uid"] == ds.file_meta.TransferSyntaxUID
        assert pydicom.dcmread(path).file_meta.SourceApplicationEntityTitle == ae_title
        assert pydicom.dcmread(path).PixelData == ds.PixelData
        assert row["source_ae_title"] == ae_title


def test_dcmtk_is_asked_by_series_because_it_does_not_match_modalities_in_study(site: Site, tmp_path: Path) -> None:
    eyes = [past_study("20240301", modalities=("OT", "OP")), past_study("20240315")]
    others = [past_study("20240302", modalities=("OT",)), past_study("20240401")]
    with dcmqrscp(tmp_path / "pacs", write_all(eyes + others, tmp_path / "files")) as port:
        result = site.run(dcmtk_peer(port), newest_first=False)
        assert (result.tally.fetched, result.tally.nothing) == (2, 1)
        assert site.received() == uids(*eyes)
        more = site.run(dcmtk_peer(port), modalities=("OT",))
        assert (more.tally.fetched, more.tally.present) == (2, 1)
    assert site.received() == uids(*eyes) | uids(eyes[0], others[0], modality="OT")


@pytest.mark.parametrize("kind", ["orthanc", "dcmtk"])
def test_moves_to_our_listener(kind: str, start: Callable[..., Receiver], site: Site, tmp_path: Path) -> None:
    studies = [past_study("20240301"), past_study("20240302", modalities=("OP", "OT"))]
    receiver = start(files=site.files, ledger=site.ledger)
    files = write_all(studies, tmp_path / "files")
    if kind == "orthanc":
        ours = {"ocunet": ("OCUNET", HOST, receiver.port)}
        with orthanc(tmp_path / "pacs", modalities=ours, **OPEN_TO_ALL) as pacs:
            for path in files:
                pacs.upload(path)
            result = site.run(orthanc_peer(pacs, by_move=True))
    else:
        with dcmqrscp(tmp_path / "pacs", files, destinations=[("OCUNET", receiver.port)]) as port:
            result = site.run(dcmtk_peer(port, by_move=True))
    assert (result.tally.fetched, result.is_clean) == (2, True), site.reasons()
    assert site.received() == uids(*studies)


@pytest.mark.parametrize("kind", ["orthanc", "dcmtk"])
def test_an_archive_that_does_not_know_us_as_destination_is_told_what_it_lacks(
    kind: str, site: Site, tmp_path: Path
) -> None:
    files = write_all([past_study("20240301"), past_study("20240302")], tmp_path / "files")
    if kind == "orthanc":
        with orthanc(tmp_path / "pacs", **OPEN_TO_ALL) as pacs:
            for path in files:
                pacs.upload(path)
            result = site.run(orthanc_peer(pacs, by_move=True))
    else:
        with dcmqrscp(tmp_path / "pacs", files) as port:
            result = site.run(dcmtk_peer(port, by_move=True))
    assert not result.is_clean
    assert "OCUNET" in " ".join([result.message, *site.reasons()])
    assert "host and port" in " ".join([result.message, *site.reasons()])


def test_a_listener_that_is_not_there_fails_the_study_with_what_to_check(site: Site, tmp_path: Path) -> None:
    files = write_all([past_study("20240301")], tmp_path / "files")
    with dcmqrscp(tmp_path / "pacs", files, destinations=[("OCUNET", free_port())]) as port:
        result = site.run(dcmtk_peer(port, by_move=True))
    assert result.tally.failed == 1
    [reason] = site.reasons()
    assert "2 of 2 images are not here" in reason
    assert "our listener runs" in reason or "the listener runs" in reason


def test_what_came_by_other_ways_is_not_fetched_and_what_is_missing_of_it_is(site: Site, tmp_path: Path) -> None:
    whole, half = past_study("20240301"), past_study("20240302", modalities=("OP",), images=3)
    files = write_all([whole, half], tmp_path / "files")
    with dcmqrscp(tmp_path / "pacs", files) as port:
        site.run(dcmtk_peer(port), dates=DateRange(date(2024, 3, 1), date(2024, 3, 1)))
        result = site.run(ArchivePeer("twin", AE_TITLE, HOST, port, TIMEOUT))
        assert (result.tally.present, result.tally.fetched) == (1, 1)
    assert site.received() == uids(whole, half)


def test_orthanc_that_limits_its_answers_is_asked_in_smaller_parts(site: Site, tmp_path: Path) -> None:
    studies = [past_study("20240305", images=1, time_of_day=f"{hour:02}1500") for hour in range(7, 19)]
    studies += [past_study("20240306", images=1)]
    with orthanc(tmp_path / "pacs", LimitFindResults=4, **OPEN_TO_ALL) as pacs:
        for path in write_all(studies, tmp_path / "files"):
            pacs.upload(path)
        result = site.run(orthanc_peer(pacs))
    assert result.is_clean, result
    assert site.received() == uids(*studies)
