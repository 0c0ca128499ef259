"""RFMiD as it is downloaded: each set with its own numbers and its own split, 0 a known negative, NORMAL unknown."""

import pytest

from training.corpora.reading import Reading
from training.corpora.rfmid import list_rfmid, read_rfmid
from training.data.manifest import Split
from training.errors import CorpusError

JUDGED = ("Disease_Risk", "DR", "MH", "RP", "TV")
LAYOUTS = {
    "nested": (
        "Training_Set/Training_Set/RFMiD_Training_Labels.csv",
        "Training_Set/Training_Set/Training",
        "Evaluation_Set/Evaluation_Set/RFMiD_Validation_Labels.csv",
        "Evaluation_Set/Evaluation_Set/Validation",
        "Test_Set/Test_Set/RFMiD_Testing_Labels.csv",
        "Test_Set/Test_Set/Test",
    ),
    "the publisher's": (
        "2. Groundtruths/a. RFMiD_Training_Labels.csv",
        "1. Original Images/a. Training Set",
        "2. Groundtruths/b. RFMiD_Validation_Labels.csv",
        "1. Original Images/b. Validation Set",
        "2. Groundtruths/c. RFMiD_Testing_Labels.csv",
        "1. Original Images/c. Testing Set",
    ),
    "flat": (
        "RFMiD_Training_Labels.csv",
        "Training",
        "RFMiD_Validation_Labels.csv",
        "Validation",
        "RFMiD_Testing_Labels.csv",
        "Test",
    ),
    "a folder a set": (
        "train/RFMiD_Training_Labels.csv",
        "train",
        "val/RFMiD_Validation_Labels.csv",
        "val",
        "test/RFMiD_Testing_Labels.csv",
        "test",
    ),
}


def judged(one, *positive):
    return {"ID": one, **{column: int(column in positive) for column in JUDGED}}


@pytest.fixture
def rfmid(tmp_path, picture, table):
    """The three sets, each with the pictures 1 and 2, in a layout."""

    def make(layout="nested", root=tmp_path / "rfmid"):
        parts = LAYOUTS[layout]
        for file, folder in zip(parts[::2], parts[1::2], strict=True):
            table(root / file, [judged(1, "Disease_Risk", "DR"), judged(2)])
            for number in (1, 2):
                picture(root / folder / f"{number}.png")
        return root

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows_with_the_publishers_splits(rfmid, layout):
    manifest = read_rfmid(rfmid(layout))
    assert [(row.split, row.image.rpartition("/")[2], sorted(row.positive)) for row in manifest.rows] == [
        (split, name, positive)
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
        for name, positive in (("1.png", ["DR", "Disease_Risk"]), ("2.png", []))
    ]
    assert len({row.group for row in manifest.rows}) == 6, "numbers start again in each set: nobody is joined by them"
    words = {Split.TRAIN: "rain", Split.VALIDATION: "al", Split.TEST: "est"}
    for row in manifest.rows:
        assert words[row.split] in row.image.rpartition("/")[0]
        assert manifest.path(row).is_file()
    assert manifest.unreadable == ()


def test_zero_is_a_known_negative_and_normal_is_unknown(rfmid):
    sick, well = read_rfmid(rfmid()).rows[:2]
    assert sick.negative == {"MH", "RP"}
    assert well.negative == {"Disease_Risk", "DR", "MH", "RP"}
    for row in (sick, well):
        assert {"NORMAL", "GLAUCOMA", "CATARACT", "RD"} <= set(row.unknown)


def test_who_asks_for_it_gets_normal_from_pictures_without_a_finding_and_its_negatives_with_it(rfmid):
    sick, well = read_rfmid(rfmid(), normal=True).rows[:2]
    assert "NORMAL" in sick.negative
    assert "NORMAL" in well.positive


@pytest.mark.parametrize("finding", ["DR", "TV"])
def test_a_finding_beside_disease_risk_0_leaves_the_flag_and_normal_unknown(rfmid, table, finding):
    root = rfmid()
    table(root / LAYOUTS["nested"][0], [judged(1, finding), judged(2)])
    listing = list_rfmid(root, normal=True)
    first = listing.entries[0]
    assert not {"Disease_Risk", "NORMAL"} & (first.findings.positive | first.findings.negative)
    assert any("Disease_Risk 0 (1)" in remark for remark in listing.remarks)


def test_columns_that_are_no_labels_of_ours_are_named_once(rfmid):
    remarks = list_rfmid(rfmid()).remarks
    assert sum("TV" in remark for remark in remarks) == 1


def test_all_that_is_missing_is_told_at_once_and_can_be_done_without(rfmid, picture):
    root = rfmid()
    (root / "Training_Set/Training_Set/Training/2.png").unlink()
    (root / "Evaluation_Set/Evaluation_Set/Validation/1.png").unlink()
    picture(root / "Test_Set/Test_Set/Test/99.png")
    with pytest.raises(CorpusError) as caught:
        read_rfmid(root)
    told = str(caught.value)
    assert "RFMiD_Training_Labels.csv: 1 row without a picture (2)" in told
    assert "RFMiD_Validation_Labels.csv: 1 row without a picture (1)" in told
    assert len(read_rfmid(root, Reading(incomplete=True)).rows) == 4
    assert any("1 picture beside its own without a row" in remark for remark in list_rfmid(root).remarks)


def test_tables_that_cannot_be_read_are_refused_with_every_line(rfmid, table, tmp_path):
    root = rfmid()
    table(root / LAYOUTS["nested"][0], [judged(1) | {"DR": "maybe"}, judged(2) | {"RP": "2"}, judged(2)])
    with pytest.raises(CorpusError) as caught:
        list_rfmid(root)
    told = str(caught.value).splitlines()
    assert len(told) == 3
    assert any("ID 2 stands in 2 rows" in line for line in told)
    assert any("line 2: column DR: 'maybe'" in line for line in told)
    assert any("line 3: column RP: '2'" in line for line in told)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="RFMiD_Training_Labels"):
        list_rfmid(tmp_path / "empty")


def test_a_picture_that_cannot_be_read_is_listed_with_its_reason(rfmid):
    root = rfmid()
    (root / "Training_Set/Training_Set/Training/1.png").write_bytes(b"\x89PNG cut off")
    manifest = read_rfmid(root)
    assert len(manifest.rows) == 5
    assert [(entry.image, entry.reason.partition(":")[0]) for entry in manifest.unreadable] == [
        ("Training_Set/Training_Set/Training/1.png", "unreadable_pixels")
    ]
