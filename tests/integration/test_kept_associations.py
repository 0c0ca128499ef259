"""Objects that share an association: none is lost, none is taken for another, and the peer is not left hanging."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_STORE

from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.domain.errors import DeliveryError, PeerBusy, PeerRefused, PeerUnavailable
from tests.dcmtk import HOST, free_port, storescp
from tests.integration.objects import OP_8_BIT, photograph, write
from tests.integration.results import COMPREHENSIVE_3D, SECONDARY_CAPTURE, heatmap, report
from tests.integration.small_archive import SmallArchive, small_archive

if TYPE_CHECKING:
    from pathlib import Path

    from pynetdicom import evt

TAKES = dict.fromkeys((COMPREHENSIVE_3D, SECONDARY_CAPTURE, OP_8_BIT), (ExplicitVRLittleEndian,))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """A study's results: two heatmaps and a report."""
    return [write(made(), tmp_path / f"{n}.dcm") for n, made in enumerate((heatmap, heatmap, report))]


def sender(port: int, *, idle: float = 5.0, timeout: float = 20.0) -> CStoreSender:
    destination = Destination("pacs", "ARCHIVE", HOST, port, timedelta(seconds=timeout))
    return CStoreSender(destination, "OCUNET", idle=timedelta(seconds=idle))


def test_the_results_of_a_study_share_one(paths: list[Path]) -> None:
    with small_archive(TAKES) as archive:
        ours = sender(archive.port)
        for path in paths:
            assert ours.send(path).status == 0x0000
        assert len(archive.associations) == 1
        assert archive.open_associations() == 1
        ours.close()
        archive.wait_until_empty()
        assert (len(archive.received), archive.released) == (3, 1)


def test_it_is_released_when_nothing_more_comes(paths: list[Path]) -> None:
    with small_archive(TAKES) as archive:
        ours = sender(archive.port, idle=0.2)
        ours.send(paths[0])
        archive.wait_until_empty()
        ours.send(paths[1])
        archive.wait_until_empty()
        assert (len(archive.associations), archive.released) == (2, 2)


def test_without_a_moment_each_object_has_its_own(paths: list[Path]) -> None:
    with small_archive(TAKES) as archive:
        ours = sender(archive.port, idle=0)
        for path in paths:
            ours.send(path)
        archive.wait_until_empty()
        assert (len(archive.associations), archive.released) == (3, 3)


def test_a_refused_object_does_not_end_it(paths: list[Path]) -> None:
    answers = iter([0xC000, 0x0000])
    with small_archive(TAKES, lambda event, archive: next(answers)) as archive:
        ours = sender(archive.port)
        with pytest.raises(PeerRefused):
            ours.send(paths[0])
        ours.send(paths[1])
        assert len(archive.associations) == 1
        ours.close()


def test_an_object_of_another_kind_is_offered_on_one_that_has_its_kind(paths: list[Path], tmp_path: Path) -> None:
    with small_archive(TAKES) as archive:
        ours = sender(archive.port)
        ours.send(paths[0])
        ours.send(write(photograph(), tmp_path / "photograph.dcm"))
        ours.send(paths[2])
        assert len(archive.received) == 3
        assert len(archive.associations) == 2
        ours.close()
        archive.wait_until_empty()


@pytest.mark.parametrize("how", ["abort", "release", "close"])
def test_a_peer_that_ended_it_meanwhile_gets_the_next_object_over_another(how: str, paths: list[Path]) -> None:
    with small_archive(TAKES) as archive:
        ours = sender(archive.port)
        ours.send(paths[0])
        (association,) = archive.associations
        if how == "close":
            association.dul.socket.close()
        else:
            getattr(association, how)()
        assert ours.send(paths[1]).status == 0x0000
        assert archive.uids == [uid(path) for path in paths[:2]]
        assert len(archive.associations) == 2
        ours.close()


def test_a_peer_that_ends_it_with_each_object_is_asked_twice_at_most(paths: list[Path]) -> None:
    def abort(event: evt.Event, archive: SmallArchive) -> int:
        if len(archive.received) > 1:
            event.assoc.abort()
        return 0x0000

    with small_archive(TAKES, abort) as archive:
        ours = sender(archive.port)
        ours.send(paths[0])
        with pytest.raises(PeerBusy, match="before an answer came; yet it answers a C-ECHO"):
            ours.send(paths[1])
        assert archive.uids == [uid(paths[0]), uid(paths[1]), uid(paths[1])]
        archive.wait_until_empty()


def test_an_answer_that_comes_too_late_is_nobodys(paths: list[Path]) -> None:
    late = threading.Event()

    def answer(event: evt.Event, archive: SmallArchive) -> int:
        if len(archive.received) == 1:
            late.wait(20)
            return 0xC000
        return 0x0000

    with small_archive(TAKES, answer) as archive:
        ours = sender(archive.port, timeout=1)
        with pytest.raises(PeerBusy, match="no answer came within"):
            ours.send(paths[0])
        late.set()
        for path in paths:
            assert ours.send(path).status == 0x0000
        ours.close()


def answer_as_well(event: evt.Event, *, status: int, message_id: int) -> None:
    """An answer beside the one that the library sends when the handler returns."""
    answer = C_STORE()
    answer.MessageIDBeingRespondedTo = message_id
    answer.AffectedSOPClassUID = event.request.AffectedSOPClassUID
    answer.AffectedSOPInstanceUID = event.request.AffectedSOPInstanceUID
    answer.Status = status
    event.assoc.dimse.send_msg(answer, event.context.context_id)


def test_a_second_answer_is_not_taken_for_the_next_objects(paths: list[Path]) -> None:
    def answer(event: evt.Event, archive: SmallArchive) -> int:
        if len(archive.received) == 1:
            answer_as_well(event, status=0x0000, message_id=event.request.MessageID)
            return 0x0000
        return 0xA900

    with small_archive(TAKES, answer) as archive:
        ours = sender(archive.port)
        with suppress(PeerBusy):
            ours.send(paths[0])
        with pytest.raises((PeerRefused, PeerBusy)):
            ours.send(paths[1])
        ours.close()


def test_an_answer_to_another_request_is_not_believed(paths: list[Path]) -> None:
    def answer(event: evt.Event, archive: SmallArchive) -> int:
        answer_as_well(event, status=0x0000, message_id=event.request.MessageID + 1)
        return 0xA900

    with small_archive(TAKES, answer) as archive:
        ours = sender(archive.port)
        with pytest.raises(PeerBusy, match="answered what was not asked"):
            ours.send(paths[0])
        archive.wait_until_empty()


def test_threads_have_one_each_and_every_object_arrives_once(tmp_path: Path) -> None:
    everything = [write(report(), tmp_path / f"{n}.dcm") for n in range(60)]
    refused = {uid(path) for path in everything[::7]}

    def answer(event: evt.Event, archive: SmallArchive) -> int:
        return 0xC000 if event.request.AffectedSOPInstanceUID in refused else 0x0000

    outcomes: dict[str, bool] = {}
    with small_archive(TAKES, answer, maximum_associations=20) as archive:
        ours = sender(archive.port)

        def work(some: list[Path]) -> None:
            for path in some:
                try:
                    ours.send(path)
                    outcomes[uid(path)] = True
                except PeerRefused:
                    outcomes[uid(path)] = False

        threads = [threading.Thread(target=work, args=(everything[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(archive.associations) <= 4
        ours.close()
        archive.wait_until_empty()
        assert sorted(archive.uids) == sorted(outcomes)
    assert {u for u, stored in outcomes.items() if not stored} == refused
    assert len(outcomes) == 60


@pytest.mark.parametrize("idle", [0.0, 5.0])
def test_threads_share_what_a_peer_allows(idle: float, tmp_path: Path) -> None:
    everything = [write(report(), tmp_path / f"{n}.dcm") for n in range(24)]
    other = write(photograph(), tmp_path / "photograph.dcm")
    problems: list[Exception] = []
    with small_archive(TAKES, maximum_associations=1) as archive:
        ours = sender(archive.port, idle=idle)

        def work(some: list[Path]) -> None:
            try:
                for path in some:
                    ours.send(path)
            except DeliveryError as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(everything[n::4],)) for n in range(4)]
        threads.append(threading.Thread(target=work, args=([other] * 3,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ours.close()
    assert problems == []
    assert sorted(archive.uids) == sorted([*map(uid, everything), *[uid(other)] * 3])


def test_a_peer_that_others_keep_busy(paths: list[Path]) -> None:
    with small_archive(TAKES, maximum_associations=1) as archive:
        others = sender(archive.port, idle=60)
        others.send(paths[0])
        with pytest.raises(PeerUnavailable, match="rejects associations for now"):
            sender(archive.port).send(paths[1])
        others.close()
        archive.wait_until_empty()


def test_it_is_released_after_a_hundred_objects(tmp_path: Path) -> None:
    path = write(report(), tmp_path / "report.dcm")
    with small_archive(TAKES) as archive:
        ours = sender(archive.port)
        for _ in range(101):
            ours.send(path)
        assert len(archive.associations) == 2
        ours.close()


@pytest.mark.peers
def test_an_archive_that_was_started_again_meanwhile(paths: list[Path], tmp_path: Path) -> None:
    port = free_port()
    archived = tmp_path / "archive"
    archived.mkdir()
    ours = sender(port)
    with storescp(archived, port=port):
        ours.send(paths[0])
    with pytest.raises(PeerUnavailable):
        ours.send(paths[1])
    with storescp(archived, port=port):
        for path in paths:
            ours.send(path)
        ours.close()
    assert len(list(archived.iterdir())) == 3


def uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
