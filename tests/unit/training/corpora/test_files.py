"""Folders and tables as they lie about: links, odd names, whatever a csv file may turn out to hold."""

import csv
import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.corpora.files import files_under, found_image, pictures_under
from training.corpora.tables import read_table, yes_or_no
from training.errors import CorpusError


def test_linked_folders_are_followed_once_and_round_in_circles_never(tmp_path, picture):
    picture(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "set")
    assert [path.relative_to(tmp_path).as_posix() for path in files_under(tmp_path / "set")] == ["set/images/a.jpg"]


def test_what_systems_leave_behind_is_passed_over_and_what_was_meant_as_a_picture_is_not(tmp_path):
    for name in (".hidden.jpg", "__MACOSX/._a.jpg", ".cache/a.jpg", "Thumbs.db", "b.JPG", "c.bmp", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in pictures_under(tmp_path)] == ["b.JPG", "c.bmp"]
    assert [path.name for path in files_under(tmp_path)] == ["Thumbs.db", "b.JPG", "c.bmp", "d.txt"]


def test_names_that_no_manifest_can_hold_are_refused(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    with pytest.raises(CorpusError, match="1 file with a name that is not UTF-8"):
        files_under(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        files_under(tmp_path / "nowhere")


def test_a_picture_is_found_beside_its_table_or_in_images_with_or_without_its_suffix(tmp_path, picture):
    beside, inside = picture(tmp_path / "a.jpg"), picture(tmp_path / "images" / "b.c.png")
    assert found_image(tmp_path, "a.jpg") == found_image(tmp_path, "a") == beside
    assert found_image(tmp_path, "b.c.png") == found_image(tmp_path, "b.c") == inside
    assert found_image(tmp_path, "images/b.c.png") == inside
    for nothing in ("", ".", "c.jpg", "images"):
        assert found_image(tmp_path, nothing) is None


@settings(max_examples=40)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_a_csv_file_holds_it_is_a_table_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    path.write_bytes(content)
    with suppress(CorpusError):
        table = read_table(path)
        assert all(set(cells) <= set(table.columns) for _, cells in table.rows)


@given(st.lists(st.lists(st.text("aé,;|\n\"'\u2028\x0b", min_size=1), min_size=2, max_size=2), min_size=1, max_size=5))
def test_cells_survive_quotes_commas_and_new_lines(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["one", "two"], *rows])
    read = [[cells.get("one", ""), cells.get("two", "")] for _, cells in read_table(path).rows]
    assert read == [stripped for row in rows if any(stripped := [cell.strip() for cell in row])]


@pytest.mark.parametrize(
    ("cell", "said"), [("1", True), ("1.0", True), ("TRUE", True), ("0", False), ("no", False), ("", None)]
)
def test_yes_and_no(cell, said):
    assert yes_or_no(cell) is said


@pytest.mark.parametrize("cell", ["2", "0.5", "?", "maybe", "NaN"])
def test_neither_yes_nor_no_is_refused(cell):
    with pytest.raises(ValueError, match="none of 1, 0 and empty"):
        yes_or_no(cell)
