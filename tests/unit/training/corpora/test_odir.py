"""ODIR-5K: labels from each eye's keywords, a patient's eyes in one group, nothing negative that nobody looked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.labels import BY_NAME
from training.corpora.odir import list_odir, read_odir
from training.corpora.odir_keywords import CATEGORIES, HIDING, KEYWORDS, NO_FUNDUS, OF_THE_PHOTOGRAPH, eye_findings
from training.errors import CorpusError

LOOKED_FOR = set(CATEGORIES.values())
ANY = st.sets(st.sampled_from([*KEYWORDS, *HIDING, *OF_THE_PHOTOGRAPH, "normal fundus", "a keyword of nobody"]))


def patient(number, left, right, **columns):
    return {
        "ID": number,
        "Patient Age": 60,
        "Patient Sex": "Female",
        "Left-Fundus": f"{number}_left.jpg",
        "Right-Fundus": f"{number}_right.jpg",
        "Left-Diagnostic Keywords": left,
        "Right-Diagnostic Keywords": right,
        **dict.fromkeys("NDGCAHMO", 0),
        **columns,
    }


@pytest.fixture
def odir(tmp_path, picture, table):
    """A folder with the table and a picture for each eye that it names."""

    def make(*patients, images="Training Images"):
        table(tmp_path / "full_df.csv", patients, "utf-8-sig")
        for cells in patients:
            for side in ("Left", "Right"):
                picture(tmp_path / images / cells[f"{side}-Fundus"])
        return tmp_path

    return make


def test_labels_are_the_eyes_and_the_group_is_the_patient(odir):
    manifest = read_odir(
        odir(patient(7, "normal fundus", "cataract\uff0cmoderate non proliferative retinopathy", D=1, C=1))
    )
    left, right = manifest.rows
    assert (left.laterality, right.laterality) == ("L", "R")
    assert left.group == right.group
    assert left.positive == {"NORMAL"}
    assert {"Disease_Risk", "DR", "CATARACT", "GLAUCOMA", "BRVO", "RD"} <= left.negative
    assert right.positive == {"CATARACT", "DR", "Disease_Risk"}
    assert right.negative == {"NORMAL", "GLAUCOMA", "ARMD", "MYA"}


def test_patients_are_apart(odir):
    rows = read_odir(odir(patient(1, "cataract", "cataract", C=1), patient(2, "drusen", "drusen"))).rows
    assert len({row.group for row in rows}) == 2


def test_only_the_photograph_is_dusty(odir):
    dusty, clean = list_odir(odir(patient(1, "lens dust\uff0cnormal fundus", "normal fundus"))).entries
    assert dusty.findings == clean.findings


@pytest.mark.parametrize(
    ("keywords", "positive", "negative"),
    [
        ("a keyword of nobody", set(), set()),
        ("a keyword of nobody,normal fundus", set(), set()),
        ("a keyword of nobody,glaucoma", {"GLAUCOMA", "Disease_Risk"}, {"NORMAL"}),
        ("low image quality", set(), set()),
        ("low image quality,cataract", {"CATARACT", "Disease_Risk"}, {"NORMAL"}),
        ("suspected diabetic retinopathy", set(), LOOKED_FOR - {"DR"}),
        ("hypertensive retinopathy", {"Disease_Risk"}, LOOKED_FOR | {"NORMAL"}),
        ("maculopathy", {"Disease_Risk"}, (LOOKED_FOR | {"NORMAL"}) - {"DR", "ARMD", "MYA"}),
        ("suspected glaucoma", {"GLAUCOMA", "Disease_Risk"}, (LOOKED_FOR | {"NORMAL"}) - {"GLAUCOMA"}),
        ("normal fundus,drusen", {"DN"}, LOOKED_FOR - {"ARMD"}),
        (
            "optic disk photographically invisible,cataract",
            {"CATARACT", "Disease_Risk"},
            {"DR", "ARMD", "MYA", "NORMAL"},
        ),
    ],
)
def test_what_nobody_knows_is_not_negative(keywords, positive, negative):
    findings = eye_findings(keywords.split(","))
    assert findings.positive == positive
    assert findings.negative == negative


@given(ANY)
def test_no_eye_contradicts_itself_and_nothing_unsure_is_negative(keywords):
    positive, negative = eye_findings(keywords)
    assert not positive & negative
    assert positive | negative <= BY_NAME.keys()
    unsure = {label for word in keywords if word in KEYWORDS for label in KEYWORDS[word].unsure}
    assert not negative & unsure
    if "a keyword of nobody" in keywords or "low image quality" in keywords:
        assert negative <= {"NORMAL", "Disease_Risk"}
    assert not {"NORMAL", "Disease_Risk"} <= positive


@given(ANY, ANY)
def test_more_keywords_never_take_a_finding_away(some, more):
    assert eye_findings(some).positive - {"NORMAL", "Disease_Risk"} <= eye_findings(some | more).positive


def test_every_label_of_the_table_is_in_the_table_of_labels():
    named = {label for word in KEYWORDS.values() for label in word.names | word.unsure}
    assert named <= BY_NAME.keys()
    assert not KEYWORDS.keys() & (HIDING.keys() | OF_THE_PHOTOGRAPH | NO_FUNDUS)


def test_where_the_patients_columns_deny_the_keywords_the_label_is_unknown(odir):
    listing = list_odir(
        odir(patient(1, "normal fundus", "cataract", G=1), patient(2, "glaucoma", "maculopathy", A=1, G=1))
    )
    denied, also, _, unsure = (entry.findings for entry in listing.entries)
    for findings in (denied, also):
        assert not {"GLAUCOMA", "CATARACT"} & (findings.positive | findings.negative)
    assert "ARMD" not in unsure.positive | unsure.negative
    assert any("CATARACT 2, GLAUCOMA 2" in remark for remark in listing.remarks), "a maculopathy explains A=1"


def test_a_picture_that_shows_no_fundus_is_left_out_and_listed(odir):
    manifest = read_odir(odir(patient(1, "anterior segment image", "cataract", C=1)))
    assert len(manifest.rows) == 1
    assert [(entry.image, entry.reason.partition(":")[0]) for entry in manifest.unreadable] == [
        ("Training Images/1_left.jpg", "not_a_fundus_photograph")
    ]


def test_keywords_without_a_label_are_listed_with_their_numbers(odir):
    remarks = list_odir(odir(patient(1, "white vessel\uff0clens dust", "a keyword of nobody", O=1))).remarks
    for word in ("white vessel (1)", "lens dust (1)", "a keyword of nobody (1)"):
        assert any(word in remark for remark in remarks)


def test_a_patient_in_two_rows_is_one_unless_they_differ(odir):
    one = patient(1, "cataract", "normal fundus", C=1)
    assert len(list_odir(odir(one, one)).entries) == 2
    with pytest.raises(CorpusError, match=r"1_right\.jpg stands in another row"):
        list_odir(odir(one, one | {"Right-Diagnostic Keywords": "glaucoma", "G": 1}))


def test_originals_go_before_small_copies_of_the_same_names(odir, picture):
    root = odir(patient(1, "cataract", "cataract", C=1))
    for name in ("1_left.jpg", "1_right.jpg"):
        picture(root / "preprocessed_images" / name)
    assert {entry.path.parent.name for entry in list_odir(root).entries} == {"Training Images"}
    picture(root / "Copies" / "1_left.jpg")
    with pytest.raises(CorpusError, match="Copies"):
        list_odir(root)


def test_a_spreadsheet_that_was_not_exported_is_named(tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"PK")
    with pytest.raises(CorpusError, match=r"save data\.xlsx as csv"):
        list_odir(tmp_path)
