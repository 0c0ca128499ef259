"""What a file is: facts or a coded reason for each, and nothing that a file holds ends the reading of the others."""

import hashlib
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.integration.objects import photograph, write
from training.data.inspection import Inspected, inspect_file, inspect_files, patient_group
from training.harvest.deidentify import Pseudonyms

KEY = b"a key that stays at the site"


@pytest.fixture(scope="module")
def eye():
    return Image.fromarray(draw_fundus(seed=1, laterality=Laterality.RIGHT, size=(96, 80)))


@pytest.fixture
def folder(tmp_path, eye):
    """Every kind of file that a collection was seen to hold."""
    eye.save(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[0x0110] = "TRC-NW300\0\0"
    eye.save(tmp_path / "camera.jpg", exif=exif)
    eye.save(tmp_path / "camera.tif", exif=exif)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "camera.jpg").read_bytes()[:-900])
    (tmp_path / "words.jpg").write_text("404 not found")
    (tmp_path / "empty.png").write_bytes(b"")
    eye.convert("L").save(tmp_path / "grey.png")
    eye.resize((32, 32)).save(tmp_path / "tiny.png")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    one = photograph(rows=80, columns=96)
    one.Manufacturer, one.ManufacturerModelName = "Topcon", "TRC-NW8"
    write(one, tmp_path / "one.dcm")
    two = photograph(rows=80, columns=96)
    two.NumberOfFrames, two.PixelData = 2, two.PixelData * 2
    two.Manufacturer = "Zeiss"
    write(two, tmp_path / "two")
    two.NumberOfFrames = 3
    write(two, tmp_path / "short")
    del two.PixelData
    write(two, tmp_path / "bare.dcm")
    return tmp_path


def test_each_file_has_frames_or_a_coded_reason(folder):
    paths = sorted(folder.iterdir())
    found = dict(zip([path.name for path in paths], inspect_files(paths, workers=0), strict=True))
    assert {name: facts.frames for name, facts in found.items() if not facts.reason} == {
        "plain.png": (None,),
        "camera.jpg": (None,),
        "camera.tif": (None,),
        "one.dcm": (None,),
        "two": (1, 2),
    }
    assert {name: facts.reason.partition(":")[0] for name, facts in found.items() if facts.reason} == {
        "cut.jpg": "unreadable_pixels",
        "words.jpg": "unreadable_pixels",
        "empty.png": "unreadable_pixels",
        "grey.png": "not_colour",
        "tiny.png": "too_small",
        "gone.jpg": "file_missing",
        "short": "unreadable_pixels",
        "bare.dcm": "no_pixel_data",
    }
    for name, facts in found.items():
        if name != "gone.jpg":
            assert facts.digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_cameras_come_from_exif_and_from_the_header(folder):
    cameras = {path.name: inspect_file(path).camera for path in folder.iterdir()}
    assert {name: camera for name, camera in cameras.items() if camera} == {
        "camera.jpg": "TRC-NW300",
        "camera.tif": "TRC-NW300",
        "one.dcm": "TRC-NW8",
        "two": "Zeiss",
        "short": "Zeiss",
        "bare.dcm": "Zeiss",
    }


def test_without_decoding_only_the_pixels_are_taken_on_trust(folder):
    found = {path.name: inspect_file(path, decode=False) for path in folder.iterdir()}
    assert found["cut.jpg"].frames == (None,)
    assert found["short"].frames == (1, 2, 3)
    assert found["bare.dcm"].reason.startswith("no_pixel_data")
    assert found["plain.png"] == inspect_file(folder / "plain.png")


def test_a_header_says_which_eye(folder):
    assert inspect_file(folder / "one.dcm").laterality(None) == "R"
    assert inspect_file(folder / "plain.png").laterality(None) == ""


def test_processes_find_what_this_one_finds_and_a_file_that_hangs_costs_nothing_but_itself(folder):
    for number in range(4):
        os.link(folder / "plain.png", folder / f"x-{number}.png")
    os.mkfifo(folder / "pipe.jpg")  # whoever opens it waits for ever, as for a decoder that loops
    paths = sorted(folder.iterdir())
    done = []
    found = inspect_files(paths, workers=1, patience=timedelta(seconds=2), progress=done.append)
    for path, facts in zip(paths, found, strict=True):
        if path.name == "pipe.jpg":
            assert facts == Inspected(reason="decoder_failed: it ended its decoder, or kept it for 2 s")
        else:
            assert facts == inspect_file(path)
    assert sum(done) == len(paths)


def test_a_script_whose_processes_cannot_start_is_told_so_and_no_file_is_blamed(folder):
    script = folder / "unguarded.py"
    script.write_text(
        "from pathlib import Path\n"
        "from training.data.inspection import inspect_files\n"
        f"print(inspect_files([Path({str(folder / 'plain.png')!r})], workers=1))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "__main__" in done.stderr.splitlines()[-1]
    assert "decoder_failed" not in done.stdout


def test_a_group_stands_for_a_patient_under_a_key_alone():
    assert patient_group("a", KEY) == patient_group("a", KEY)
    assert patient_group("a", KEY) == Pseudonyms(KEY).patient("a"), "a harvest under the same key joins them"
    assert len({patient_group("a", KEY), patient_group("b", KEY), patient_group("a", KEY[::-1])}) == 3
    with pytest.raises(ValueError, match="16"):
        patient_group("a", b"short")
