"""What doctors said, weighed: what nobody said is unknown, and so is what they disagree about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.labels import LABELS
from training.errors import CorpusError
from training.harvest.verdict_files import read_verdicts
from training.harvest.verdicts import ABNORMAL, Verdict, by_subject, completed, of_photograph, weigh

NAMES = [label.name for label in LABELS]


def said(positive=(), negative=(), at="", **subject):
    return Verdict(frozenset(positive), frozenset(negative), "test", at=at, **subject)


def test_an_abnormality_makes_the_eye_abnormal_and_nothing_else_is_concluded():
    assert completed(["DR"], []) == ({"DR", "Disease_Risk"}, {"NORMAL"})
    assert completed(["MH"], []) == ({"MH"}, set()), "a hazy photograph is no sick eye"
    assert completed([], ["DR"]) == (set(), {"DR"}), "an eye without one disease may have another"
    assert completed(["DR"], ["Disease_Risk"]) == ({"DR"}, {"Disease_Risk", "NORMAL"}), "what was said stays"


def test_a_normal_eye_excludes_what_a_fundus_shows_and_not_what_it_may_hide():
    positive, negative = completed(["NORMAL"], [])
    assert positive == {"NORMAL"}
    assert {"DR", "RD", "CRVO", "Disease_Risk"} <= negative
    assert not {"GLAUCOMA", "CATARACT", "TSLN", "DN"} & negative


def test_the_latest_document_counts_and_an_undated_verdict_must_agree_with_it():
    first, second = said(["DR"], at="20260101"), said([], ["DR"], at="20260301")
    assert "DR" in weigh([second, first]).negative
    assert weigh([first, second, said(["DR"])]).contradicted == {"DR"}
    assert "DR" in weigh([first, said(["MYA"])]).positive
    assert weigh([]).positive == frozenset()


def test_a_normal_eye_with_a_disease_is_a_contradiction():
    weighed = weigh([said(["NORMAL"]), said(["DR"])])
    assert {"NORMAL", "DR", "Disease_Risk"} <= weighed.contradicted
    assert not {"NORMAL", "DR", "Disease_Risk"} & (weighed.positive | weighed.negative)


@given(
    st.lists(
        st.builds(
            said,
            st.sets(st.sampled_from(NAMES), max_size=4),
            st.just(()),
            at=st.sampled_from(["", "1", "2"]),
        )
        | st.builds(said, st.just(()), st.sets(st.sampled_from(NAMES), max_size=4), at=st.sampled_from(["", "1", "2"])),
        max_size=5,
    )
)
def test_no_label_is_ever_two_things(verdicts):
    weighed = weigh(verdicts)
    assert not weighed.positive & weighed.negative
    assert not weighed.contradicted & (weighed.positive | weighed.negative)
    assert not ("NORMAL" in weighed.positive and weighed.positive & ABNORMAL)
    assert weigh(list(reversed(verdicts))) == weighed


def test_what_is_said_of_an_eye_is_there_in_its_only_photograph_and_absent_in_all():
    verdicts = by_subject([said(["DR"], ["MYA"], study_instance_uid="1.2", laterality="R")])
    alone = weigh(of_photograph(("1.9", None), ("1.2", "R"), 1, verdicts))
    one_of_two = weigh(of_photograph(("1.9", None), ("1.2", "R"), 2, verdicts))
    assert ("DR" in alone.positive, "MYA" in alone.negative) == (True, True)
    assert (one_of_two.positive, "MYA" in one_of_two.negative) == (frozenset(), True)
    assert of_photograph(("1.9", None), ("1.2", ""), 1, verdicts) == [], "an eye that nobody knows"


def test_a_normal_eye_is_normal_in_every_photograph():
    verdicts = by_subject([said(["NORMAL"], study_instance_uid="1.2", laterality="L")])
    assert "NORMAL" in weigh(of_photograph(("1.9", None), ("1.2", "L"), 3, verdicts)).positive


def test_a_grading_sheet_is_read(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text(
        "sop_instance_uid,frame,study_instance_uid,laterality,positive,negative,DR,MYA,comment\n"
        "1.2.3,,,,GLAUCOMA|ODC,NORMAL,1,0,any text\n"
        "1.2.4,2,,,,,,1,\n"
        ",,1.9,OS,,,0,,\n"
    )
    whole, frame, eye = read_verdicts(path)
    assert (whole.positive, whole.negative) == ({"GLAUCOMA", "ODC", "DR"}, {"NORMAL", "MYA"})
    assert (frame.sop_instance_uid, frame.frame, frame.positive) == ("1.2.4", 2, {"MYA"})
    assert (eye.study_instance_uid, eye.laterality, eye.negative) == ("1.9", "L", {"DR"})


def test_every_row_that_cannot_be_understood_is_named(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text(
        "sop_instance_uid,frame,study_instance_uid,laterality,positive,DR\n"
        ",,,,DR,\n1.2,,,,XX,\n1.2,0,,,DR,\n1.2,,,,,yes\n1.2,,1.3,B,DR,\nErika,,,,DR,\n1.2,,,,DR,0\n"
    )
    with pytest.raises(CorpusError) as caught:
        read_verdicts(path)
    lines = str(caught.value).splitlines()
    assert [line.partition(": line ")[2].partition(":")[0] for line in lines] == ["2", "3", "4", "5", "6", "7", "8"]
    assert "Erika" not in str(caught.value)
    path.write_text("sop_instance_uid,diagnosis\n1.2,x\n")
    with pytest.raises(CorpusError, match="'diagnosis'"):
        read_verdicts(path)
