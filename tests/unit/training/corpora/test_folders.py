"""A folder for each class: what a class excludes is negative, all else unknown; copies and a patient's eyes join."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.labels import BY_NAME
from training.corpora.folders import list_folders, read_folders
from training.corpora.mappings import read_mapping, shipped, ten_folder
from training.corpora.names import named
from training.errors import CorpusError

FOUR = ("cataract", "diabetic_retinopathy", "glaucoma", "normal")
TEN = (
    "Central Serous Chorioretinopathy [Color Fundus]",
    "Diabetic Retinopathy",
    "Disc Edema",
    "Glaucoma",
    "Healthy",
    "Macular Scar",
    "Myopia",
    "Pterygium",
    "Retinal Detachment",
    "Retinitis Pigmentosa",
)


@pytest.fixture
def classes(tmp_path, picture):
    """Folders with pictures of the given names in each."""

    def make(folders, names=("1.jpg",)):
        for folder in folders:
            for name in names:
                picture(tmp_path / folder / name)
        return tmp_path

    return make


def findings(listing):
    return {entry.path.parent.name: entry.findings for entry in listing.entries}


def test_a_disease_excludes_normal_alone_and_normal_excludes_what_the_set_looked_for(classes):
    manifest = read_folders(classes(FOUR))
    found = {row.image.partition("/")[0]: row for row in manifest.rows}
    assert {row.source for row in manifest.rows} == {"four-class"}
    for folder, label in zip(FOUR, ("CATARACT", "DR", "GLAUCOMA"), strict=False):
        assert found[folder].positive == {label, "Disease_Risk"}
        assert found[folder].negative == {"NORMAL"}
    assert found["normal"].positive == {"NORMAL"}
    assert found["normal"].negative == {"CATARACT", "DR", "GLAUCOMA", "Disease_Risk"}


def test_the_ten_folders_map_and_pterygium_is_left_out_unless_somebody_asks(classes):
    root = classes(TEN)
    listing = list_folders(root)
    assert {entry.source for entry in listing.entries} == {"ten-folder"}
    assert "Pterygium" not in findings(listing)
    assert [entry.image for entry in listing.left_out] == ["Pterygium/1.jpg"]
    assert any("pterygium lies on the cornea" in remark for remark in listing.remarks)
    assert {label for found in findings(listing).values() for label in found.positive | found.negative} == {
        *("Disease_Risk", "NORMAL", "CSR", "DR", "ODE", "GLAUCOMA", "MS", "MYA", "RD", "RP"),
    }
    asked = findings(list_folders(root, ten_folder(pterygium_as_pt=True)))
    assert asked["Pterygium"].positive == {"PT", "Disease_Risk"}
    assert "PT" in asked["Healthy"].negative


def test_no_shipped_mapping_offers_pt():
    assert not any("PT" in one.labels for mapping in shipped() for one in mapping.classes.values())


def test_classes_may_lie_deeper_and_their_spelling_does_not_matter(classes):
    listing = list_folders(classes(["x/Augmented Dataset/" + name.upper().replace(" ", "_") for name in TEN]))
    assert len(listing.entries) == 9


def test_folders_of_splits_are_not_believed(classes):
    root = classes([f"{split}/{name}" for split in ("train", "test") for name in FOUR])
    listing = list_folders(root)
    assert len(listing.entries) == 8
    assert not any(entry.split for entry in listing.entries)
    assert any("test, train are not taken for splits" in remark for remark in listing.remarks)


def test_folders_that_no_mapping_names_are_told_at_once(classes, picture):
    root = classes(FOUR)
    for name in ("drusen/1.jpg", "drusen/2.jpg", "odd ones/3.jpg"):
        picture(root / name)
    with pytest.raises(CorpusError, match=r"cataract, .*drusen, .*odd ones"):
        list_folders(root)
    gaps = list_folders(root, shipped()[0]).gaps
    assert len(gaps) == 2
    assert "2 pictures in 'drusen'" in gaps[0]
    assert "1 picture in 'odd ones'" in gaps[1]


def test_a_set_that_two_mappings_name_is_not_guessed(classes):
    with pytest.raises(CorpusError, match="each of several mappings"):
        list_folders(classes(["Glaucoma"]))


def test_a_written_mapping(classes, tmp_path_factory):
    path = tmp_path_factory.mktemp("mapping") / "ours.yaml"
    path.write_text("name: ours\nfolders: {Both: [DR, GLAUCOMA], Well: NORMAL, Blurred: leave out}\n")
    listing = list_folders(classes(["both", "well", "blurred"]), read_mapping(path))
    assert {entry.source for entry in listing.entries} == {"ours"}
    assert findings(listing)["both"].positive == {"DR", "GLAUCOMA", "Disease_Risk"}
    assert findings(listing)["well"].negative == {"DR", "GLAUCOMA", "Disease_Risk"}
    path.write_text("folders: {A: XX, B: [DR, YY], C: [NORMAL, DR]}\n")
    with pytest.raises(CorpusError) as caught:
        read_mapping(path)
    assert len(str(caught.value).splitlines()) == 3


def test_a_patients_eyes_are_one_group_over_classes_and_other_numbers_are_not(classes, picture):
    root = classes(FOUR, ("7.jpg",))
    picture(root / "normal" / "2329_left.jpg")
    picture(root / "cataract" / "2329_right.jpg")
    entries = {entry.path.relative_to(root).as_posix(): entry for entry in list_folders(root).entries}
    left, right = entries["normal/2329_left.jpg"], entries["cataract/2329_right.jpg"]
    assert left.group == right.group
    assert (left.laterality, right.laterality) == ("L", "R")
    assert entries["normal/7.jpg"].group != entries["cataract/7.jpg"].group


@pytest.mark.parametrize(
    ("copies", "original"),
    [
        (
            ("Glaucoma12", "Glaucoma12_flip_0", "aug_3_Glaucoma12", "Glaucoma12 rotated 45"),
            "glaucoma-12",
        ),
        (("DR7", "DR7_aug_12", "dr7-hflip", "DR7_brightness_contrast"), "dr-7"),
        (("2329_left", "2329_right", "2329_left_flipped", "2329-OD"), "2329"),
    ],
)
def test_copies_have_their_originals_name(copies, original):
    assert {named(copy).original for copy in copies} == {original}


@pytest.mark.parametrize("stem", ["aug_0_3512", "_0_4015166", "flip", "image_color", "Übersicht", "rotated"])
def test_names_that_give_nothing_away_stay_apart(stem):
    assert named(stem).original != named(stem + "1").original
    assert named(stem).laterality == ""


def test_the_eye_of_a_copy_is_unknown_because_it_may_be_flipped():
    assert named("2329_left").laterality == "L"
    assert named("2329_left_flipped").laterality == ""


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_numbers_are_never_one_original(one, other):
    assert (named(f"Myopia{one}_flip").original == named(f"Myopia{other}").original) == (one == other)


@given(st.sampled_from(shipped()))
def test_what_a_class_says_is_consistent(mapping):
    for name in mapping.classes:
        found = mapping.findings(name)
        assert not found.positive & found.negative
        assert found.positive | found.negative <= BY_NAME.keys()
        if found.positive:
            assert ("NORMAL" in found.positive) != ("Disease_Risk" in found.positive)
