"""What tells one camera from another, and what a person reads of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.drift import Camera


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("Acme", "Retina 7", "0815", "ROOM-3", "CAMERA"), "Acme Retina 7, serial 0815, station ROOM-3"),
        (("Acme", "Retina 7", "", "ROOM-3", "CAMERA"), "Acme Retina 7, station ROOM-3"),
        (("Acme", "Retina 7", "", "", "CAMERA"), "Acme Retina 7, of CAMERA"),
        (("", "", "", "", "CAMERA"), "camera, of CAMERA"),
        (("", "", "", "", ""), "camera, of an unknown sender"),
        (("Ac\nme\x1b[2J", "Retina", "1\0", "", ""), "Ac me [2J Retina, serial 1"),
    ],
)
def test_what_a_camera_is_called(said: tuple[str, ...], words: str) -> None:
    assert Camera.of(*said).words == words


def test_a_serial_number_is_the_camera_wherever_it_stands() -> None:
    moved = [Camera.of("Acme", "Retina 7", "0815", *place) for place in (("ROOM-3", "A"), ("ROOM-4", "B"))]
    assert moved[0].digest == moved[1].digest
    assert Camera.of("Acme", "Retina 7", "0816", "ROOM-3", "A").digest != moved[0].digest


@pytest.mark.parametrize("place", [0, 1, 3, 4])
def test_without_a_serial_number_everything_else_tells_cameras_apart(place: int) -> None:
    said = ["Acme", "Retina 7", "", "ROOM-3", "CAMERA"]
    other = [*said]
    other[place] = "another"
    assert Camera.of(*said).digest != Camera.of(*other).digest


@given(st.tuples(*[st.text()] * 5))
def test_whatever_a_header_says_a_camera_has_a_short_name_on_one_line(said: tuple[str, ...]) -> None:
    camera = Camera.of(*said)
    assert len(camera.digest) == 16
    assert camera.words.isprintable()
    assert len(camera.words) < 400
