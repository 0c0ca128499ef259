"""Real photographs: copies that their collection does not know of are found, and other eyes are not called copies."""

import csv
from pathlib import Path

import pytest

from tests.unit.training.planting import PLANTED, save
from tests.unit.training.rows import row
from training.data.duplicates import find_duplicates
from training.data.manifest import Manifest
from training.data.pixels import read_pixels

pytestmark = pytest.mark.shared

KNOWN = {
    ("kaggle4class-29c7fe834581.jpg", "kaggle4class-af13de8e497d.jpg"): False,  # brightened
    ("kaggle4class-0768861d907d.jpg", "kaggle4class-b984b0ab983d.jpg"): True,  # mirrored and brightened
}
"""Pairs that lie in different groups of the collection's own list, and whether one is mirrored."""


def found_among(paths, folder):
    rows = [row(n, image=str(path)) for n, path in enumerate(paths)]
    pairs = find_duplicates(Manifest(tuple(rows), folder), workers=0, progress=lambda *_: None)
    names = {one.key: Path(one.image).name for one in rows}
    return {(names[pair.first], names[pair.second]): pair for pair in pairs}


def test_copies_are_found_among_photographs_of_all_collections(shared):
    folder = shared / "data" / "fundus" / "images"
    with (folder.parent / "manifest.csv").open(encoding="utf-8") as file:
        others = [record["image"] for record in csv.DictReader(file)][::120]
    known = [name for pair in KNOWN for name in pair]
    found = found_among([*known, *(name for name in others if name not in known)], folder)
    assert {pair: copy.mirrored for pair, copy in found.items()} == KNOWN


@pytest.mark.parametrize("kind", ["mirrored", "half turn", "half the size", "brighter", "turned a little", "squeezed"])
def test_planted_copies_of_photographs_in_full_resolution_are_found(shared, tmp_path, kind):
    with (shared / "data" / "fullres" / "manifest.csv").open(encoding="utf-8") as file:
        record = next(csv.DictReader(file))
    original = next((shared / "data" / "fullres").rglob(Path(record["image"]).name))
    change, quality, mirrored, _ = PLANTED[kind]
    save(change(read_pixels(original)), tmp_path / "copy.jpg", quality)
    (pair,) = found_among([original, tmp_path / "copy.jpg"], tmp_path).values()
    assert pair.mirrored is mirrored
    assert pair.likeness > 0.8
