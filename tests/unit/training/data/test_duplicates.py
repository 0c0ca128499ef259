"""Copies of photographs: found whatever was done to them, and never between two eyes; read once, and kept."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from tests.unit.training.planting import PLANTED, save
from tests.unit.training.rows import row
from training.data.duplicates import find_duplicates
from training.data.manifest import Manifest
from training.data.near_copies import find_copies
from training.data.photo_fields import read_fields

SIDES = (Laterality.RIGHT, Laterality.LEFT)
LESIONS = ((), (Lesion.HAEMORRHAGES,), (Lesion.HARD_EXUDATES,), (Lesion.DRUSEN,))


def quiet(_what, _done, _total):
    pass


def manifest(folder):
    rows = []
    for path in sorted(folder.glob("*.jpg")):
        rows.append(row(digest=hashlib.sha256(path.read_bytes()).hexdigest(), image=path.name, group=path.name))
    return Manifest(tuple(rows), folder)


@pytest.fixture(scope="module")
def eyes():
    return [
        draw_fundus(seed=seed, laterality=SIDES[seed % 2], size=(384, 288), lesions=LESIONS[seed % 4])
        for seed in range(12)
    ]


@pytest.fixture(scope="module")
def planted(eyes, tmp_path_factory):
    """Twelve eyes, and every kind of copy of the first four; copies are named ORIGINAL=KIND."""
    folder = tmp_path_factory.mktemp("planted")
    for n, eye in enumerate(eyes):
        save(eye, folder / f"{n:02}.jpg")
    for n, eye in enumerate(eyes[:4]):
        for kind, (change, quality, *_) in PLANTED.items():
            save(change(eye), folder / f"{n:02}={kind}.jpg", quality)
    return manifest(folder)


@pytest.fixture(scope="module")
def found(planted):
    names = {one.key: Path(one.image).stem for one in planted.rows}
    pairs = find_duplicates(planted, workers=0, progress=quiet)
    return {(names[pair.first], names[pair.second]): pair for pair in pairs}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("eye", range(4))
def test_a_planted_copy_is_found_with_what_was_done_to_it(found, eye, kind):
    pair = found[f"{eye:02}", f"{eye:02}={kind}"]
    _, _, mirrored, angle = PLANTED[kind]
    assert pair.mirrored is mirrored
    assert min(abs(pair.angle - angle), 360 - abs(pair.angle - angle)) <= 4
    assert not pair.exact


def test_two_eyes_are_never_called_copies(found):
    assert {pair for pair in found if pair[0][:2] != pair[1][:2]} == set()


def test_the_same_file_twice_is_told_without_being_compared(planted, eyes):
    twice = Manifest((*planted.rows[:2], replace(planted.rows[0], image="elsewhere.jpg", group="other")), planted.root)
    exact, *_ = find_duplicates(twice, workers=0, progress=quiet)
    assert (exact.first, exact.second) == (planted.rows[0].key,) * 2
    assert exact.words == "the same file"


def test_processes_find_what_one_process_finds(planted):
    few = Manifest(planted.rows[:40], planted.root)
    heard = []
    alone = read_fields(few, workers=0, progress=quiet)
    fields = read_fields(few, workers=2, progress=lambda *now: heard.append(now))
    assert heard[-1] == ("reading photographs", 40, 40)
    assert fields.keys == alone.keys
    assert np.array_equal(fields.hashes, alone.hashes)
    one = find_copies(fields, workers=0, progress=quiet)
    assert one
    assert find_copies(fields, workers=2, progress=quiet) == one


def test_kept_fields_are_not_read_again_and_new_ones_are_added(eyes, tmp_path):
    cache = tmp_path / "cache" / "all.fields.npz"
    for n, eye in enumerate(eyes[:3]):
        save(eye, tmp_path / f"{n}.jpg")
    whole = manifest(tmp_path)
    first = read_fields(Manifest(whole.rows[:2], tmp_path), workers=0, progress=quiet, cache=cache)
    for path in (tmp_path / "0.jpg", tmp_path / "1.jpg"):
        path.unlink()
    second = read_fields(whole, workers=0, progress=quiet, cache=cache)
    assert second.unreadable == ()
    assert second.keys == tuple(one.key for one in whole.rows)
    assert np.array_equal(second.green[:2], first.green)
    (tmp_path / "2.jpg").unlink()
    assert np.array_equal(read_fields(whole, workers=0, progress=quiet, cache=cache).hashes, second.hashes)


@pytest.mark.parametrize("damage", [lambda old: old[:-500], lambda _old: b"", lambda _old: b"no archive"])
def test_a_damaged_cache_is_made_anew(eyes, tmp_path, damage):
    cache = tmp_path / "all.fields.npz"
    save(eyes[0], tmp_path / "0.jpg")
    whole = manifest(tmp_path)
    first = read_fields(whole, workers=0, progress=quiet, cache=cache)
    cache.write_bytes(damage(cache.read_bytes()))
    again = read_fields(whole, workers=0, progress=quiet, cache=cache)
    assert np.array_equal(again.green, first.green)
    assert read_fields(whole, workers=0, progress=quiet, cache=cache).keys == first.keys


def test_a_photograph_that_cannot_be_read_is_listed_and_the_others_are_compared(eyes, tmp_path):
    save(eyes[0], tmp_path / "0.jpg")
    save(eyes[0][:, ::-1], tmp_path / "1.jpg")
    (tmp_path / "2.jpg").write_bytes((tmp_path / "0.jpg").read_bytes()[:400])
    whole = manifest(tmp_path)
    whole = replace(whole, rows=(*whole.rows, row(9, image="gone.jpg")))
    fields = read_fields(whole, workers=0, progress=quiet)
    assert [one.image for one in fields.unreadable] == ["2.jpg", "gone.jpg"]
    assert all(one.reason for one in fields.unreadable)
    (pair,) = find_duplicates(whole, workers=0, progress=quiet, fields=fields)
    assert pair.mirrored


def test_nothing_is_found_in_nothing():
    assert find_duplicates(Manifest((), Path()), workers=0, progress=quiet) == []
