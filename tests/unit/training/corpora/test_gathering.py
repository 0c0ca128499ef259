"""Several collections at once: every problem before any reading, one manifest after it, and nothing in it twice."""

from functools import partial
from pathlib import Path

import pytest

from tests.unit.training.test_manifest import row
from training.corpora.folders import list_folders
from training.corpora.gathering import list_all, read_all
from training.corpora.joined import joined
from training.corpora.keys import KEY_BYTES, site_key
from training.corpora.labelled import list_partial
from training.corpora.mappings import FOUR_CLASS
from training.corpora.reading import Reading
from training.data.manifest import Manifest, read_manifest, write_manifest
from training.errors import CorpusError


@pytest.fixture
def two(tmp_path, picture, table):
    """A folder-per-class set and a csv collection, in folders of their own."""
    for name in ("normal", "cataract"):
        picture(tmp_path / "four" / name / "1.jpg")
    picture(tmp_path / "ours" / "images" / "a.png")
    picture(tmp_path / "ours" / "images" / "b.png")
    rows = [{"image": name, "dataset": "ours", "positive": "DR", "negative": ""} for name in ("a.png", "b.png")]
    table(tmp_path / "ours" / "manifest.csv", rows)
    return [partial(list_folders, tmp_path / "four"), partial(list_partial, tmp_path / "ours")]


def test_rows_of_all_find_their_pictures_from_the_manifests_folder(two, tmp_path):
    (tmp_path / "ours" / "images" / "b.png").write_bytes(b"")
    listed = list_all(two, [], incomplete=False)
    assert listed.files == 4
    out = tmp_path / "out" / "all.csv"
    gathered = read_all(listed, Reading(), out.parent)
    write_manifest(gathered.manifest, out)
    again = read_manifest(out)
    assert [row.source for row in again.rows] == ["four-class", "four-class", "ours"]
    assert all(again.path(row).is_file() for row in again.rows)
    assert [entry.image for entry in again.unreadable] == ["../ours/images/b.png"]
    assert gathered.unreadable == {"ours": 1}


def test_a_finished_manifest_joins_as_it_is(two, tmp_path):
    first = tmp_path / "first" / "all.csv"
    write_manifest(read_all(list_all(two[:1], [], incomplete=False), Reading(), first.parent).manifest, first)
    whole = read_all(list_all(two[1:], [first], incomplete=False), Reading(), tmp_path).manifest
    assert {row.source for row in whole.rows} == {"four-class", "ours"}
    assert all(whole.path(row).is_file() for row in whole.rows)


def test_the_problems_of_all_collections_are_told_at_once(two, tmp_path):
    (tmp_path / "ours" / "images" / "a.png").unlink()
    wrong = [*two, partial(list_folders, tmp_path / "nowhere")]
    with pytest.raises(CorpusError) as caught:
        list_all(wrong, [tmp_path / "none.csv"], incomplete=True)
    told = str(caught.value)
    for word in ("nowhere", "none.csv", "a.png"):
        assert word in told
    with pytest.raises(CorpusError, match="--incomplete"):
        list_all(two, [], incomplete=False)
    listed = list_all(two, [], incomplete=True)
    assert listed.files == 3
    assert len(listed.gaps) == 1


def test_a_picture_of_two_collections_is_refused(two, tmp_path):
    listed = list_all([*two, two[1]], [], incomplete=False)
    with pytest.raises(CorpusError, match=r"a\.png.*two collections"):
        read_all(listed, Reading(), tmp_path)


def test_frames_of_one_file_are_no_picture_twice(tmp_path):
    frames = Manifest((row(1, frame=1), row(1, frame=2)), tmp_path)
    assert len(joined([frames], tmp_path).rows) == 2


def test_absolute_paths_stay(tmp_path):
    far = Manifest((row(1, image="/far/1.jpg"),), tmp_path)
    assert joined([far], Path("/elsewhere")).rows[0].image == "/far/1.jpg"


def test_progress_counts_every_file_once(two, tmp_path):
    done = []
    read_all(list_all(two, [], incomplete=False), Reading(progress=done.append), tmp_path)
    assert sum(done) == 4


def test_a_mapping_that_is_named_reads_what_it_names(tmp_path, picture):
    picture(tmp_path / "four" / "glaucoma" / "1.jpg")
    gathered = read_all(
        list_all([partial(list_folders, tmp_path / "four", FOUR_CLASS)], [], incomplete=False), Reading(), tmp_path
    )
    assert [row.positive for row in gathered.manifest.rows] == [{"GLAUCOMA", "Disease_Risk"}]


def test_a_key_is_made_once_kept_and_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "patient.key"
    key, is_new = site_key(path, lambda size: b"x" * size)
    assert (key, is_new) == (b"x" * KEY_BYTES, True)
    assert path.stat().st_mode & 0o077 == 0
    assert site_key(path, lambda size: b"y" * size) == (key, False)
    path.write_bytes(b"short")
    with pytest.raises(CorpusError, match="no key"):
        site_key(path, lambda size: b"y" * size)
