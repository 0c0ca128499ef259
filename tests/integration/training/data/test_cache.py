"""The cache holds what serving prepares, whatever happens: bad files, damage, kills, two fills at once, a full disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ocunet_pacs.domain.errors import StoreFull
from ocunet_pacs.imaging.preprocess import PreprocessSpec, apply
from tests.integration.hostile import EYE, jpeg_object, written
from tests.integration.small_disk import small_disk
from tests.unit.imaging.conftest import plain
from tests.unit.training.data.pictures import drawn_manifest
from training.data.cache import PixelCache
from training.data.filling import prepare_files
from training.data.manifest import Manifest, Row, write_manifest
from training.data.pixels import read_pixels
from training.errors import CacheMiss, TrainingError

SPEC = PreprocessSpec(image_size=64)


def row_of(folder, name, *, frame=None, digest=None):
    path = folder / name
    digest = digest or (hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64)
    return Row(name, digest, name, frozenset(), frozenset({"DR"}), "test", frame=frame)


def serving(manifest, row, spec=SPEC):
    return apply(spec, read_pixels(manifest.path(row), row.frame)).pixels


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Manifest:
    """Files of every kind, and of every fault."""
    folder = tmp_path_factory.mktemp("mixed")
    stack = np.stack([np.roll(EYE, 7 * n, axis=1) for n in range(3)])
    (folder / "one.dcm").write_bytes(written(jpeg_object()))
    (folder / "three.dcm").write_bytes(written(plain(stack)))
    Image.fromarray(EYE).save(folder / "good.png")
    Image.fromarray(EYE[:, ::-1]).save(folder / "abort.png")
    Image.fromarray(EYE[::-1]).save(folder / "quote.png")
    Image.fromarray(EYE).convert("L").save(folder / "grey.png")
    Image.fromarray(EYE[::2]).save(folder / "half.jpg")
    (folder / "cut.jpg").write_bytes((folder / "half.jpg").read_bytes()[:900])
    (folder / "words.dcm").write_bytes(b"not a picture at all" * 30)
    names = [
        "one.dcm",
        "good.png",
        "half.jpg",
        "abort.png",
        "quote.png",
        "grey.png",
        "cut.jpg",
        "words.dcm",
        "gone.jpg",
    ]
    rows = [row_of(folder, name) for name in names]
    rows += [row_of(folder, "three.dcm", frame=frame) for frame in (3, 1, 7)]
    rows.append(row_of(folder, "half.jpg", digest="f" * 64))
    return Manifest(tuple(rows), folder)


def test_every_file_ends_as_pixels_or_as_a_reason_and_none_costs_another(mixed):
    kept, told = {}, []
    unreadable = prepare_files(
        mixed,
        mixed.rows,
        SPEC,
        lambda row, pixels: kept.setdefault((row.image, row.frame, row.digest), pixels),
        workers=2,
        progress=lambda done, total: told.append((done, total)),
        worker_module="tests.integration.training.data.faulty_filling_worker",
    )
    assert [f"{entry.image} {entry.reason.partition(':')[0]}" for entry in unreadable] == [
        "abort.png decoder_failed",
        "quote.png decoder_failed",
        "grey.png not_colour",
        "cut.jpg unreadable_pixels",
        "words.dcm not_dicom",
        "gone.jpg cannot be read",
        "three.dcm unreadable_pixels",
        "half.jpg is not the file that the manifest means",
    ]
    assert "Drawn" not in str(unreadable)
    assert len(kept) == len(mixed.rows) - len(unreadable)
    for row in mixed.rows:
        if (row.image, row.frame, row.digest) in kept:
            assert np.array_equal(kept[row.image, row.frame, row.digest], serving(mixed, row))
    assert told[-1] == (len(mixed.rows), len(mixed.rows))
    assert told == sorted(told)


def test_real_photographs_are_cached_as_serving_prepares_them(shared, tmp_path):
    folder = shared / "data" / "fullres"
    rows = tuple(row_of(folder, path.name) for path in sorted(folder.glob("*.jpg"))[:4:3])
    manifest = Manifest(rows, folder)
    cache = PixelCache(tmp_path, PreprocessSpec())
    assert cache.fill(manifest, rows, workers=2) == []
    for row in rows:
        assert np.array_equal(cache.load(row), serving(manifest, row, PreprocessSpec()))


@pytest.fixture(scope="module")
def eyes(tmp_path_factory) -> Manifest:
    return drawn_manifest(tmp_path_factory.mktemp("eyes"), 12)


@pytest.fixture(scope="module")
def first_three(eyes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert PixelCache(folder, SPEC).fill(eyes, eyes.rows[:3], workers=2) == []
    return folder


@pytest.fixture
def filled(first_three, tmp_path) -> PixelCache:
    """A cache of one's own with the first three eyes."""
    shutil.copytree(first_three, tmp_path / "cache")
    return PixelCache(tmp_path / "cache", SPEC)


def test_what_is_there_is_not_made_again_and_what_was_damaged_is(eyes, filled):
    first, second, third = eyes.rows[:3]
    filled.path(first).write_bytes(filled.path(first).read_bytes()[:-1])
    filled.path(second).write_bytes(filled.path(third).read_bytes())  # whole, but another's
    untouched = filled.path(third).stat().st_ino
    assert filled.absent(eyes.rows[:4]) == [eyes.rows[3]]
    told = []
    assert filled.fill(eyes, eyes.rows[:4], workers=2, progress=lambda *of: told.append(of)) == []
    assert filled.path(third).stat().st_ino == untouched
    for row in eyes.rows[:4]:
        assert np.array_equal(filled.load(row), serving(eyes, row))
    assert told[-1] == (4, 4)  # three that were made, and one to compare


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60, derandomize=True)
@given(st.data())
def test_any_damage_is_noticed(eyes, filled, data):
    path = filled.path(eyes.rows[0])
    whole = path.read_bytes()
    if data.draw(st.booleans(), "cut"):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1), "at")]
    else:
        at = data.draw(st.integers(0, len(whole) - 1), "at")
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255), "bits")]) + whole[at + 1 :]
    path.write_bytes(damaged)
    with pytest.raises(CacheMiss):
        filled.load(eyes.rows[0])
    assert not path.exists()
    path.write_bytes(whole)
    filled.load(eyes.rows[0])


def test_pixels_that_this_release_would_not_make_are_not_used(eyes, filled):
    (kept,) = eyes.rows[:1]
    filled.path(kept).unlink()
    filled._keep(kept, 255 - serving(eyes, kept))  # as if another OpenCV had made them
    with pytest.raises(TrainingError, match="holds other pixels than this release prepares"):
        filled.fill(eyes, eyes.rows[:1], workers=1)


def test_a_preprocessing_has_a_folder_that_says_so(eyes, tmp_path):
    usual, larger, other_mean = (
        PixelCache(tmp_path, spec)
        for spec in (SPEC, replace(SPEC, image_size=96), replace(SPEC, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
    )
    assert usual.folder == other_mean.folder != larger.folder
    usual.fill(eyes, eyes.rows[:1], workers=1)
    assert usual.absent(eyes.rows[:1]) == []
    assert larger.absent(eyes.rows[:1]) == [eyes.rows[0]]
    said = json.loads((usual.folder / "cache.json").read_text())
    assert PreprocessSpec.from_dict(said["preprocess"]) == SPEC
    with pytest.raises(CacheMiss, match="fill it"):
        larger.load(eyes.rows[0])


def test_a_cached_picture_can_be_looked_at(eyes, filled):
    picture = np.asarray(Image.open(filled.path(eyes.rows[0])))
    assert np.array_equal(picture, serving(eyes, eyes.rows[0]))


FILLER = """
import sys
from pathlib import Path
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from training.data.cache import PixelCache
from training.data.manifest import read_manifest
manifest = read_manifest(Path(sys.argv[1]))
def tell(done, total):
    print(done, flush=True)
PixelCache(Path(sys.argv[2]), PreprocessSpec(image_size=64)).fill(manifest, manifest.rows, workers=2, progress=tell)
"""


def test_a_fill_that_is_killed_or_not_alone_loses_nothing(eyes, tmp_path):
    write_manifest(eyes, tmp_path / "eyes.csv")
    command = [sys.executable, "-c", FILLER, str(tmp_path / "eyes.csv"), str(tmp_path / "cache")]
    killed, beside = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    assert killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    beside.communicate()
    assert beside.returncode == 0
    cache = PixelCache(tmp_path / "cache", SPEC)
    left_behind = cache.path(eyes.rows[0]).with_name(".left-behind.part")
    under_way = left_behind.with_name(".under-way.part")
    for part in (left_behind, under_way):
        part.write_bytes(b"half")
    os.utime(left_behind, times=(time.time() - 7200,) * 2)
    assert cache.fill(eyes, eyes.rows, workers=2) == []
    assert not left_behind.exists()
    assert under_way.exists()
    for row in eyes.rows:
        assert np.array_equal(cache.load(row), serving(eyes, row))


def test_a_full_disk_is_said_and_more_room_is_enough(eyes, tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        cache = PixelCache(disk.root, SPEC)
        disk.leave(30_000)
        with pytest.raises(StoreFull, match="make room"):
            cache.fill(eyes, eyes.rows, workers=2)
        disk.empty()
        assert cache.fill(eyes, eyes.rows, workers=2) == []
        assert not list(cache.folder.rglob("*.part"))
        assert np.array_equal(cache.load(eyes.rows[-1]), serving(eyes, eyes.rows[-1]))


def test_a_folder_that_cannot_be_written_is_said(eyes, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="cannot be written: Not a directory"):
        PixelCache(tmp_path / "file", SPEC).fill(eyes, eyes.rows, workers=1)
