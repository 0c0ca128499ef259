"""What the drift watch is told of a study, and what it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ocunet_pacs.domain.gates import Verdict
from ocunet_pacs.domain.job import BACKGROUND
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode
from ocunet_pacs.pipeline.steps import analyse
from tests.unit.pipeline.fakes import Reader, received
from tests.unit.pipeline.test_steps import House

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.drift import Observation
    from ocunet_pacs.domain.result import Photograph

PATTERN = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)


class Camera(Reader):
    """Photographs that were measured, by a camera with a name."""

    refused: tuple[Reason, ...] = ()

    def header(self, path: Path) -> ImageHeader:
        return replace(super().header(path), manufacturer="Acme", model_name="Retina 7", device_serial="0815")

    def photographs(self, path: Path) -> Iterator[Photograph]:
        for photograph in super().photographs(path):
            yield replace(
                photograph,
                quality=(("structure", 0.5),),
                appearance=(("red", 120.0),),
                pattern=PATTERN,
                reasons=self.refused,
            )


class WatchedHouse(House):
    """Keeps what the watch is told."""

    def __init__(self, archives: Sequence[str] = ()) -> None:
        super().__init__()
        self.reader = Camera()
        self.archives = frozenset(archives)
        self.watched: list[Observation] = []
        self.bundles: list[str] = []

    def watch(self, observations: Sequence[Observation], bundle_digest: str) -> None:
        self.watched += observations
        self.bundles.append(bundle_digest)

    def work(self, job=None) -> None:
        tools = replace(self.tools(), watch=self.watch, archives=self.archives)
        analyse(job or self.claim(), tools, lambda: None)


def reported(house: WatchedHouse, *numbers: int) -> list[Observation]:
    house.receive(*numbers)
    house.close()
    house.work()
    return house.watched


def test_every_photograph_is_told_with_its_camera_looks_and_scores() -> None:
    house = WatchedHouse()
    first, second = reported(house, 1, 2)
    kept = house.jobs.find_instance(received(1, house.clock).sop_instance_uid)
    assert kept is not None
    assert first.instance_id == kept.id != second.instance_id
    assert first.camera.words == "Acme Retina 7, serial 0815"
    assert first.measures == {"structure": 0.5, "red": 120.0}
    assert (first.scores, first.refused, first.frame) == ({"DR": 0.88}, "", None)
    assert first.pattern == PATTERN.tobytes()
    assert house.bundles == [house.classifier.bundle.digest]


def test_each_frame_is_told_by_itself() -> None:
    house = WatchedHouse()
    house.receive(1)
    uid = house.files.path(received(1, house.clock).file_key).name
    house.reader.frames_of[uid] = 2
    house.close()
    house.work()
    assert [one.frame for one in house.watched] == [1, 2]


def test_what_its_pixels_refuse_is_told_without_scores() -> None:
    house = WatchedHouse()
    house.reader.refused = (Reason(ReasonCode.UNGRADABLE, "too dark"),)
    [one] = reported(house, 1)
    assert (one.refused, one.scores) == ("ungradable", {})
    assert one.measures


def test_what_is_not_a_photograph_for_the_model_at_all_is_not_told() -> None:
    house = WatchedHouse()
    house.receive(1)
    uid = house.files.path(received(1, house.clock).file_key).name
    house.verdicts[uid] = Verdict(stop=Reason(ReasonCode.CHILD, "too young"))
    house.close()
    house.work()
    assert house.watched == []


@pytest.mark.parametrize(("priority", "told"), [(BACKGROUND, 0), (0, 1)])
def test_what_is_asked_for_anew_is_not_how_the_camera_is_today(priority: int, told: int) -> None:
    house = WatchedHouse()
    reported(house, 1)
    house.watched.clear()
    [study] = house.jobs.studies_like()
    assert house.jobs.request_revision(study.id, house.clock(), 3, priority) is not None
    house.classifier.bundle = replace(house.classifier.bundle, digest="c" * 64)
    house.work()
    assert len(house.watched) == told


def test_what_comes_from_an_archive_is_of_the_past() -> None:
    house = WatchedHouse(archives=["archive"])
    house.jobs.record_instance(replace(received(1, house.clock), source="archive"))
    house.jobs.record_instance(replace(received(2, house.clock), source="camera"))
    house.close()
    house.work()
    [one] = house.watched
    kept = house.jobs.find_instance(received(2, house.clock).sop_instance_uid)
    assert kept is not None
    assert one.instance_id == kept.id
