"""The bar: a flipped, re-encoded copy of a training photograph in the test split is caught by the commands."""

import hashlib
import random
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.unit.training.planting import save
from tests.unit.training.rows import row
from training.cli.main import app
from training.data.manifest import Manifest, Split, read_manifest, write_manifest
from training.data.pixels import read_pixels


@pytest.fixture(scope="module")
def eyes():
    sides = (Laterality.RIGHT, Laterality.LEFT)
    return [draw_fundus(seed=100 + n, laterality=sides[n % 2], size=(320, 240)) for n in range(12)]


@pytest.fixture
def collection(eyes, tmp_path):
    """The path of a manifest without splits: twelve patients of one photograph, every third with DR."""
    rows = []
    for n, eye in enumerate(eyes):
        path = tmp_path / "images" / f"{n}.jpg"
        path.parent.mkdir(exist_ok=True)
        save(eye, path)
        rows.append(made(path, n, positive=["DR"] * (n % 3 == 0), negative=["DR"] * (n % 3 != 0)))
    write_manifest(Manifest(tuple(rows), tmp_path), tmp_path / "all.csv")
    return tmp_path / "all.csv"


def made(path, n, **given):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return row(n, image=f"images/{path.name}", digest=digest, **given)


def ran(*words):
    result = CliRunner().invoke(app, [*map(str, words), "--workers", "0"], env={"COLUMNS": "120"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def line_of(manifest, image):
    return 2 + [one.image for one in manifest.rows].index(image)


def test_a_flipped_re_encoded_copy_of_a_training_photograph_in_the_test_split_is_caught(collection):
    out = collection.with_name("split.csv")
    code, said = ran("split", collection, "--out", out, "--seed", 3)
    assert code == 0, said
    assert ran("check", out)[0] == 0

    clean = read_manifest(out)
    victim = random.Random(3).choice(clean.of(Split.TRAIN))
    copy = collection.parent / "images" / "copy.jpg"
    save(read_pixels(clean.path(victim))[:, ::-1], copy, quality=60)
    planted = replace(clean, rows=(*clean.rows, made(copy, 99, split=Split.TEST)))
    write_manifest(planted, out)

    code, said = ran("check", out)
    assert code == 1
    told = [line for line in said.splitlines() if line.startswith("copies on two sides")]
    assert len(told) == 1
    assert "mirrored" in told[0]
    assert f"line {line_of(clean, victim.image)} (train), {line_of(planted, 'images/copy.jpg')} (test)" in told[0]


def test_splitting_again_refuses_the_copy_and_takes_it_to_its_original_where_its_split_is_left_open(collection):
    out, again = collection.with_name("split.csv"), collection.with_name("again.csv")
    ran("split", collection, "--out", out)
    clean = read_manifest(out)
    victim = clean.of(Split.TRAIN)[0]
    copy = collection.parent / "images" / "copy.jpg"
    save(np.rot90(read_pixels(clean.path(victim)), 2), copy, quality=70)

    write_manifest(replace(clean, rows=(*clean.rows, made(copy, 99, split=Split.TEST))), out)
    code, said = ran("split", out, "--out", again)
    assert code == 1
    assert "copies on two sides (turned by 180 degrees" in said
    assert not again.exists()

    write_manifest(replace(clean, rows=(*clean.rows, made(copy, 99))), out)
    code, said = ran("split", out, "--out", again)
    assert code == 0, said
    dealt = read_manifest(again)
    assert dealt.rows[-1].split is Split.TRAIN
    assert dealt.rows[-1].group == dealt.rows[clean.rows.index(victim)].group
    assert [one.split for one in dealt.rows[:-1]] == [one.split for one in clean.rows]
    assert ran("check", again)[0] == 0


def test_the_tables_count_what_is_known_on_each_side_and_say_what_is_missing(collection):
    out = collection.with_name("split.csv")
    rows = read_manifest(collection).rows
    sides = [Split.TEST if n in {1, 2} else Split.TRAIN for n in range(len(rows))]
    given = tuple(replace(one, split=side) for one, side in zip(rows, sides, strict=True))
    write_manifest(Manifest(given, collection.parent), out)
    code, said = ran("check", out)
    assert code == 0
    numbers = {tuple(word for word in line.split() if word.isalnum()) for line in said.splitlines()}
    assert {("DR", "train", "4", "4", "6", "6", "0"), ("test", "0", "0", "2", "2", "0")} <= numbers
    assert "attention: DR: test has no positive" in said


def test_a_file_that_is_there_twice_with_two_opinions_is_told_by_its_lines(collection):
    whole = read_manifest(collection)
    second = replace(whole.rows[0], group="another", positive=frozenset(), negative=frozenset({"DR"}))
    write_manifest(replace(whole, rows=(*whole.rows, second)), collection)
    code, said = ran("split", collection, "--out", collection.with_name("split.csv"))
    assert code == 0
    assert "the same file, DR: positive in line 2, negative in line 14" in said
    dealt = read_manifest(collection.with_name("split.csv")).rows
    assert dealt[0].split is dealt[-1].split
    assert dealt[-1].negative == {"DR"}


def test_a_photograph_that_is_gone_is_listed_and_does_not_end_the_check(collection):
    whole = read_manifest(collection)
    whole.path(whole.rows[4]).unlink()
    code, said = ran("check", collection)
    assert code == 0
    assert "line 6: cannot be read" in said


def test_what_was_read_is_kept_beside_the_manifest(collection):
    ran("check", collection)
    for path in (collection.parent / "images").iterdir():
        path.unlink()
    code, said = ran("check", collection)
    assert code == 0
    assert "cannot be read" not in said
