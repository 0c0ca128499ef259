"""Archives that do it wrong: what is fetched all the same, what is said, and that nothing is half done afterwards."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from ocunet_pacs.domain.backfill import BackfillState
from ocunet_pacs.intake.archive import ArchivePeer
from ocunet_pacs.pipeline.backfill import Ending
from tests.dcmtk import HOST, free_port
from tests.integration.faulty_archive import FaultyArchive, served
from tests.integration.past_studies import Site, past_study, uids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.integration.conftest import Receiver

# What pynetdicom's SCP itself does wrong in threads of its own is not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
TIMEOUT = timedelta(seconds=20)
OUTSIDE_TESTS = pytest.mark.filterwarnings("ignore")
"""pydicom warns of odd values; the product ignores its warnings, which quote them."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    yield site
    assert site.half_received() == []
    site.close()


def peer(port: int, **settings: Any) -> ArchivePeer:
    return ArchivePeer(
        **{"name": "faulty", "ae_title": "FAULTY", "host": HOST, "port": port, "timeout": TIMEOUT} | settings
    )


def made(number: int = 3, **kinds: Any) -> list[list[Dataset]]:
    return [past_study(f"202403{day:02}", **kinds) for day in range(1, number + 1)]


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_no_patient_is_asked_for(site: Site) -> None:
    archive = FaultyArchive(made())
    with served(archive) as port:
        assert site.run(peer(port)).is_clean
    keywords = {element.keyword for query in archive.asked for element in query}
    assert keywords == {
        "QueryRetrieveLevel",
        "StudyDate",
        "StudyTime",
        "StudyInstanceUID",
        "ModalitiesInStudy",
        "SeriesInstanceUID",
        "Modality",
        "SOPInstanceUID",
        "SOPClassUID",
    }


@pytest.mark.parametrize("modalities", ["match", "ignore", "refuse", "hide"])
def test_only_series_of_the_modality_come_whatever_the_archive_matches(modalities: str, site: Site) -> None:
    studies = [*made(3, modalities=("OP", "OT")), past_study("20240310", modalities=("OT",))]
    archive = FaultyArchive(studies, modalities=modalities)
    with served(archive) as port:
        result = site.run(peer(port))
    assert (result.tally.fetched, result.is_clean) == (3, True)
    assert site.received() == uids(*studies)


def test_nothing_found_by_modality_is_not_believed_until_something_was(site: Site) -> None:
    studies = made(2, modalities=("OP", "OT"))
    with served(FaultyArchive(studies, modalities="literal")) as port:
        assert site.run(peer(port)).tally.fetched == 2
    archive = FaultyArchive([*studies, past_study("20240320")], modalities="literal")
    with served(archive) as port:
        assert site.run(peer(port, name="again", match_modalities=False)).tally.fetched == 1
    assert not any(query.get("ModalitiesInStudy") for query in archive.asked)


@pytest.mark.parametrize("says_when_cut", [True, False])
def test_an_archive_that_stops_at_ten_studies_hides_none(says_when_cut: bool, site: Site) -> None:
    studies = [past_study("20240305", images=1, time_of_day=f"{8 + n // 6:02}{n % 6 * 10:02}00") for n in range(13)]
    with served(FaultyArchive(studies, at_most=10, says_when_cut=says_when_cut)) as port:
        result = site.run(peer(port))
    assert (result.tally.fetched, result.tally.cut) == (13, [])


@OUTSIDE_TESTS
def test_names_in_an_unknown_character_set_do_no_harm(site: Site) -> None:
    def decorate(answer: Dataset) -> None:
        answer.SpecificCharacterSet = "ISO_IR 999"
        name = "Müller^Jürgen".encode("cp1252")
        answer[Tag("PatientName")] = RawDataElement(
            Tag("PatientName"), "PN", len(name), name, 0, is_implicit_VR=False, is_little_endian=True
        )
        if answer.QueryRetrieveLevel == "STUDY":
            answer[Tag("StudyDescription")] = RawDataElement(
                Tag("StudyDescription"), "LO", 4, b"\xff\xfe\xfd\xfc", 0, is_implicit_VR=False, is_little_endian=True
            )

    studies = made()
    with served(FaultyArchive(studies, decorate=decorate)) as port:
        assert site.run(peer(port)).is_clean
    assert site.received() == uids(*studies)


@OUTSIDE_TESTS
def test_a_study_whose_uid_cannot_be_one_is_left_out(site: Site) -> None:
    studies = made(2)

    def decorate(answer: Dataset) -> None:
        if answer.StudyInstanceUID == studies[0][0].StudyInstanceUID and answer.QueryRetrieveLevel == "STUDY":
            bad = b"Erika Testperson"
            answer[Tag("StudyInstanceUID")] = RawDataElement(
                Tag("StudyInstanceUID"), "UI", len(bad), bad, 0, is_implicit_VR=False, is_little_endian=True
            )

    with served(FaultyArchive(studies, decorate=decorate)) as port:
        assert site.run(peer(port)).tally.fetched == 1
    assert site.received() == uids(studies[1])


# --- retrievals that fail --------------------------------------------------------------------------------------------


def test_an_association_that_breaks_in_the_middle_fails_the_study_and_the_next_run_gets_the_rest(site: Site) -> None:
    studies = made(3, images=4)
    archive = FaultyArchive(studies, breaks_after=[2])
    with served(archive) as port:
        first = site.run(peer(port))
        assert (first.ending, first.tally.fetched, first.tally.failed) == (Ending.DONE, 2, 1)
        assert len(site.received()) == 2 * 4 + 2
        [reason] = site.reasons()
        assert "the association broke" in reason
        second = site.run(peer(port))
        assert (second.tally.fetched, second.tally.known, second.is_clean) == (1, 2, True)
    assert site.received() == uids(*studies)
    assert len(site.ledger.rows()) == 12


@pytest.mark.parametrize(
    ("status", "said"),
    [(0xA701, "cannot count"), (0xA702, "cannot send"), (0xC000, "it failed"), (0xB000, "some could")],
)
def test_a_refused_retrieval_fails_the_study_with_the_status(status: int, said: str, site: Site) -> None:
    archive = FaultyArchive(made(2), get_status=[status])
    with served(archive) as port:
        result = site.run(peer(port))
        assert (result.tally.fetched, result.tally.failed) == (1, 1)
        [reason] = site.reasons()
        assert f"0x{status:04X}" in reason
        assert said in reason
        assert site.run(peer(port)).is_clean


def test_success_without_objects_is_no_success(site: Site) -> None:
    with served(FaultyArchive(made(1), claims_all=True)) as port:
        assert site.run(peer(port)).tally.failed == 1
    [reason] = site.reasons()
    assert "2 of 2 images are not here" in reason


def test_an_archive_without_c_get_says_what_to_set(site: Site) -> None:
    with served(FaultyArchive(made(2), gives_get=False)) as port:
        result = site.run(peer(port))
    assert result.ending is Ending.ARCHIVE
    assert "does not offer C-GET; set retrieve: move" in result.message


def test_an_archive_that_does_not_let_us_store_says_what_to_set(site: Site) -> None:
    with served(FaultyArchive(made(2), lets_us_store=False)) as port:
        result = site.run(peer(port))
    assert result.ending is Ending.ARCHIVE
    assert "set retrieve: move" in result.message


def test_an_object_that_we_refuse_fails_the_study_with_our_reason(site: Site) -> None:
    studies = made(1)
    del studies[0][1].SeriesInstanceUID
    series = studies[0][0].SeriesInstanceUID
    archive = FaultyArchive(studies)
    archive._series = lambda event: studies[0]  # type: ignore[method-assign]
    archive._answers = answers_of(archive, studies[0], series)  # type: ignore[method-assign]
    with served(archive) as port:
        assert site.run(peer(port)).tally.failed == 1
    [reason] = site.reasons()
    assert "1 of 2 images are not here" in reason
    assert "Series Instance UID is missing" in reason


def answers_of(archive: FaultyArchive, study: list[Dataset], series: str) -> Callable[..., Iterator[Dataset]]:
    """Lists the second object as if it were whole."""
    usual = archive._answers

    def answers(query: Dataset, wanted: str) -> Iterator[Dataset]:
        study[1].SeriesInstanceUID = series
        listed = list(usual(query, wanted))
        del study[1].SeriesInstanceUID
        yield from listed

    return answers


# --- a store and an archive that come and go -------------------------------------------------------------------------


def test_a_full_store_ends_the_run_at_once_and_keeps_what_came(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = made(4, images=3)
    free = iter([10**9] * 8)
    monkeypatch.setattr(site.files, "free_bytes", lambda: next(free, 0))
    site.min_free = 1000
    with served(FaultyArchive(studies)) as port:
        result = site.run(peer(port))
        assert (result.ending, result.tally.failed) == (Ending.STORE, 0)
        assert "room" in result.message or "space" in result.message
        assert {row.attempts for row in site.past.past_studies(state=BackfillState.FOUND)} == {0}
        monkeypatch.undo()
        assert site.run(peer(port)).is_clean
    assert site.received() == uids(*studies)


def test_an_archive_that_restarts_is_waited_for(site: Site) -> None:
    studies, port = made(3), free_port()
    result: list[Any] = []

    def run() -> None:
        result.append(site.run(peer(port), patience=(0.0,) * 10_000))

    # SQLite's connections belong to threads; those of the pool do not mind.
    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.5)
    with served(FaultyArchive(studies), port):
        thread.join(60)
    assert result[0].is_clean
    assert any("no answer from" in why for why in site.watcher.waited)


def test_a_query_that_breaks_is_asked_again(site: Site) -> None:
    archive = FaultyArchive(made(2), find_breaks=2)
    with served(archive) as port:
        assert site.run(peer(port), patience=(0.0,) * 5).is_clean


def test_a_silent_archive_is_given_up_after_its_timeout(site: Site) -> None:
    with served(FaultyArchive(made(1), stalls=3.0)) as port:
        result = site.run(peer(port, timeout=timedelta(seconds=1)))
    assert result.ending is Ending.ARCHIVE
    assert "said nothing for too long" in result.message


# --- C-MOVE ----------------------------------------------------------------------------------------------------------


def test_a_move_to_an_unknown_destination_says_what_to_configure(site: Site) -> None:
    with served(FaultyArchive(made(2))) as port:
        result = site.run(peer(port, by_move=True))
    assert result.ending is Ending.ARCHIVE
    assert "0xA801" in result.message
    assert "configure AE title OCUNET there, with the host and port" in result.message
    assert site.past.past_studies(state=BackfillState.FAILED)[0].attempts == 1


def test_a_move_whose_objects_go_elsewhere_fails_with_what_to_check(site: Site, start: Callable[..., Receiver]) -> None:
    elsewhere = start()
    archive = FaultyArchive(made(1), destination=(HOST, elsewhere.port))
    with served(archive) as port:
        result = site.run(peer(port, by_move=True), arrival=timedelta(seconds=1))
    assert result.tally.failed == 1
    [reason] = site.reasons()
    assert "2 of 2 images are not here" in reason
    assert "check that our AE title has our listener's host and port there" in reason


def test_moved_objects_are_named_after_the_archive_or_the_sender_and_counted_once(
    site: Site, start: Callable[..., Receiver]
) -> None:
    receiver = start(files=site.files, ledger=site.ledger)
    studies = made(2)
    with served(FaultyArchive(studies, destination=(HOST, receiver.port))) as port:
        assert site.run(peer(port, by_move=True)).is_clean
    assert site.received() == uids(*studies)
