"""Anybody's csv file: columns by name, patients under a key, every fault told at once; and the project's own csv."""

import csv

import pytest

from training.corpora.columns import Columns
from training.corpora.labelled import list_csv, list_partial, read_csv, read_partial
from training.data.manifest import Split
from training.errors import CorpusError

KEY = b"a key that stays at the site"


@pytest.fixture
def labelled(tmp_path, picture, table):
    """A csv file of these rows, and the pictures that they name."""

    def make(*rows, image="image", folder="images"):
        for row in rows:
            picture(tmp_path / folder / row[image])
        return table(tmp_path / "site.csv", rows)

    return make


def test_one_column_a_label(labelled):
    path = labelled(
        {"image": "a.jpg", "patient": "4711", "eye": "OD", "split": "val", "DR": "1", "glaucoma": "0", "MYA": ""},
        {"image": "b.jpg", "patient": "4711", "eye": "left", "split": "", "DR": "0", "glaucoma": "1.0", "MYA": "no"},
    )
    one, two = read_csv(path, key=KEY).rows
    assert (one.positive, one.negative) == ({"DR"}, {"GLAUCOMA"})
    assert (two.positive, two.negative) == ({"GLAUCOMA"}, {"DR", "MYA"})
    assert (one.laterality, two.laterality) == ("R", "L")
    assert (one.split, two.split) == (Split.VALIDATION, Split.NONE)
    assert one.group == two.group
    assert one.source == "site"


def test_lists_of_labels_and_names_of_ones_own(labelled):
    path = labelled(
        {"picture": "a.jpg", "who": "1", "findings": "DR | Macular hole", "without": "NORMAL"},
        {"picture": "b.jpg", "who": "2", "findings": "", "without": "DR;Macular hole"},
        image="picture",
    )
    columns = Columns(
        image="picture", group="who", positive="findings", negative="without", labels={"Macular hole": "MHL"}
    )
    one, two = read_csv(path, key=KEY, columns=columns).rows
    assert (one.positive, one.negative) == ({"DR", "MHL"}, {"NORMAL"})
    assert (two.positive, two.negative) == (set(), {"DR", "MHL"})
    assert one.group != two.group


def test_no_patient_is_in_the_manifest_in_clear_and_another_key_gives_other_groups(labelled):
    path = labelled({"image": "a.jpg", "patient_id": "Mustermann-4711", "DR": "1"})
    [row] = read_csv(path, key=KEY).rows
    assert "4711" not in row.group
    assert "Mustermann" not in row.group
    assert read_csv(path, key=KEY).rows == (row,)
    assert read_csv(path, key=KEY[::-1]).rows[0].group != row.group


def test_a_patient_with_pictures_of_two_sources_is_one_group(labelled):
    rows = ({"image": f"{name}.jpg", "patient": "1", "source": name, "DR": "1"} for name in "ab")
    one, two = list_csv(labelled(*rows), key=KEY).entries
    assert one.source != two.source
    assert one.group == two.group


def test_without_patients_each_picture_is_its_own_group_and_that_is_said(labelled):
    listing = list_csv(labelled({"image": "a.jpg", "DR": "1"}, {"image": "b.jpg", "DR": "0"}), key=KEY)
    assert len({entry.group for entry in listing.entries}) == 2
    assert any("no column says whose pictures" in remark for remark in listing.remarks)


def test_the_source_is_the_name_that_was_given_or_its_column_or_the_files(labelled):
    path = labelled({"image": "a.jpg", "dataset": "x", "clinic": "y", "DR": "1"})

    def source(columns=None, name=""):
        return list_csv(path, key=KEY, columns=columns, source=name).entries[0].source

    assert source() == "x"
    assert source(name="ours") == "ours"
    assert source(Columns(source="clinic"), "ours") == "y"
    assert list_csv(labelled({"image": "a.jpg", "DR": "1"}), key=KEY).entries[0].source == "site"


def test_every_cell_that_cannot_be_read_is_told_at_once(labelled):
    path = labelled(
        {"image": "a.jpg", "eye": "third", "split": "dev", "DR": "2", "positive": "MYA", "negative": "MYA"},
        {"image": "a.jpg", "eye": "", "split": "", "DR": "", "positive": "", "negative": ""},
    )
    with pytest.raises(CorpusError) as caught:
        list_csv(path, key=KEY)
    assert sorted(str(caught.value).splitlines()) == [
        "site.csv: line 2: MYA is positive and negative",
        "site.csv: line 2: column DR: '2' is none of 1, 0 and empty",
        "site.csv: line 2: column eye: 'third' is none of R, L and empty",
        "site.csv: line 2: column split: 'dev' is none of train, validation, test and empty",
        "site.csv: line 3: a.jpg stands in a row above: keep one",
    ]


def test_what_is_missing_or_unknown_is_a_gap_that_a_person_may_leave(labelled, picture, tmp_path):
    path = labelled({"image": "a.jpg", "positive": "DR|Hypertension"}, {"image": "b.jpg", "positive": "Hypertension"})
    (tmp_path / "images" / "b.jpg").unlink()
    picture(tmp_path / "images" / "stray.png")
    listing = list_csv(path, key=KEY)
    assert len(listing.gaps) == 2
    for told in ("'Hypertension' (2 rows)", "1 row without a picture (b.jpg)"):
        assert any(told in gap for gap in listing.gaps)
    assert any("without a row, and so left out (stray.png)" in remark for remark in listing.remarks)
    assert listing.entries[0].findings.positive == {"DR"}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (Columns(group="patient"), "no column 'patient'"),
        (Columns(labels={"AMD": "ARMD"}), "no column 'AMD'"),
        (Columns(labels={"DR": "XX"}), "'XX' is not in the table"),
    ],
)
def test_columns_that_are_not_there_are_refused(labelled, columns, told):
    with pytest.raises(CorpusError, match=told):
        list_csv(labelled({"image": "a.jpg", "DR": "1"}), key=KEY, columns=columns)


def test_a_table_without_labels_or_without_pictures_says_what_it_has(labelled):
    with pytest.raises(CorpusError, match=r"no column is a label.*image, AMD"):
        list_csv(labelled({"image": "a.jpg", "AMD": "1"}), key=KEY)
    with pytest.raises(CorpusError, match=r"no column names the pictures.*photo, DR"):
        list_csv(labelled({"photo": "a.jpg", "DR": "1"}, image="photo"), key=KEY)


def test_files_as_spreadsheets_save_them(tmp_path, picture):
    picture(tmp_path / "7.png")
    (tmp_path / "a.csv").write_bytes("\ufeffimage;patient;DR;note\r\n7;x;1;ok\r\n;;;\r\n".encode())
    listing = list_csv(tmp_path / "a.csv", key=KEY)
    assert [entry.path.name for entry in listing.entries] == ["7.png"]
    assert any("1 column not used (note)" in remark for remark in listing.remarks)
    (tmp_path / "b.csv").write_bytes("image;patient;DR\r\n7;Jörg;1\r\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="UTF-8"):
        list_csv(tmp_path / "b.csv", key=KEY)


def test_the_projects_csv_keeps_sources_groups_and_what_is_unknown(labelled):
    path = labelled(
        {"image": "a.jpg", "dataset": "idrid", "group": "g1", "positive": "Disease_Risk|DR", "negative": "NORMAL"},
        {"image": "b.jpg", "dataset": "hrf", "group": "g1", "positive": "", "negative": "DR"},
    )
    one, two = read_partial(path).rows
    assert (one.source, two.source) == ("idrid", "hrf")
    assert one.group == two.group == "g1", "a group is never split, whatever sources it has pictures of"
    assert (two.positive, two.negative) == (set(), {"DR"})
    assert "GLAUCOMA" in one.unknown
    assert read_partial(path.rename(path.with_name("manifest.csv")).parent).rows == (one, two)


def test_the_real_collection_reads_as_its_table_says(shared):
    path = shared / "data" / "fundus" / "manifest.csv"
    listing = list_partial(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    by_name = {entry.path.name: entry for entry in listing.entries}
    assert len(by_name) == len(listing.entries)
    assert len(by_name) == len(rows)
    assert listing.gaps == ()
    groups = {}
    for row in rows:
        entry = by_name[row["image"]]
        assert entry.findings.positive == set(filter(None, row["positive"].split("|")))
        assert entry.findings.negative == set(filter(None, row["negative"].split("|")))
        assert entry.source == row["dataset"]
        groups.setdefault(row["group"], set()).add(entry.group)
    assert all(len(names) == 1 for names in groups.values())
    assert len({name for names in groups.values() for name in names}) == len(groups)


def test_originals_without_groups_or_negatives(shared):
    manifest = read_partial(shared / "data" / "fullres")
    assert len(manifest.rows) == 9
    assert len({row.group for row in manifest.rows}) == 9
    assert not any(row.negative for row in manifest.rows)
    assert any("CC BY 4.0 (9 pictures)" in remark for remark in list_partial(shared / "data" / "fullres").remarks)
