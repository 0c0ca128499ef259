from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.labels import LABELS, Urgency
from ocunet_pacs.domain.result import ImageResult
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.urgency import study_urgency, urgency_words
from tests.unit.report.made import image

USUAL = ReportSettings()
REFUSED = (Reason(ReasonCode.UNGRADABLE, "out of focus"),)
RANKS = {label.name: label.urgency for label in LABELS}


def refused(ordinal: int, eye: str) -> ImageResult:
    return replace(image(ordinal, eye), scores=(), reasons=REFUSED)


@given(st.sets(st.sampled_from([label.name for label in LABELS])), st.sampled_from("RLU"))
def test_the_study_is_as_urgent_as_its_most_urgent_label(positive: set[str], eye: str) -> None:
    images = [image(1, "R"), image(2, eye, **dict.fromkeys(positive, 0.9))]
    expected = max((RANKS[name] for name in positive), key=lambda urgency: urgency.rank, default=Urgency.NONE)
    assert study_urgency(images, USUAL) is expected


@pytest.mark.parametrize("label", ["PT", "NORMAL", "Disease_Risk"])
def test_what_must_not_triage_by_itself_does_not(label: str) -> None:
    assert study_urgency([image(1, **{label: 1.0})], USUAL) is Urgency.NONE


def test_a_site_s_word_counts_also_for_the_flag_and_never_for_the_normal_class() -> None:
    site = ReportSettings(
        urgencies=(("Disease_Risk", Urgency.SOON), ("NORMAL", Urgency.URGENT), ("RD", Urgency.ROUTINE))
    )
    assert study_urgency([image(1, Disease_Risk=0.9, NORMAL=0.9)], site) is Urgency.SOON
    assert study_urgency([image(1, RD=0.9)], site) is Urgency.ROUTINE
    assert urgency_words([image(1, RD=0.9)], site) == "Suggested urgency of review: routine (OD: Retinal detachment)."


NOTHING = "none suggested: no finding is above its threshold, which does not exclude disease."
ALONE = "Composite abnormality flag above threshold without any specific label: a person should read it"


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([image(1, "R", CRVO=0.7, DR=0.9)], "urgent (OD: Central retinal vein occlusion)."),
        (
            [image(1, "R", RD=0.7), image(2, "L", ODE=0.9, AION=0.8)],
            "emergency (OD: Retinal detachment; OS: Optic disc edema, Anterior ischemic optic neuropathy).",
        ),
        ([image(1, "L", MH=0.8)], "repeat the photograph (OS: Media haze)."),
        (
            [image(1, "L", MH=0.8), image(2, "R", DR=0.9)],
            "soon (OD: Diabetic retinopathy). Also repeat the photograph (OS: Media haze).",
        ),
        ([image(1, "R", DR=0.9), refused(2, "L")], "soon (OD: Diabetic retinopathy). Not assessed: OS."),
        ([image(1, "R", DR=0.9), refused(2, "R")], "soon (OD: Diabetic retinopathy)."),
        ([image(1, "L", PT=0.8)], "none by the labels above threshold (OS: Parafoveal telangiectasia)."),
        ([image(1, "R", NORMAL=0.9)], NOTHING),
        ([image(1, "R")], NOTHING),
        ([image(1, "R", Disease_Risk=0.9)], f"none by a specific label. {ALONE} (OD)."),
        (
            [image(1, "R", Disease_Risk=0.9), image(2, "L", RD=0.9)],
            f"emergency (OS: Retinal detachment). {ALONE} (OD).",
        ),
        ([refused(1, "R"), refused(2, "L")], "not determined, because no photograph was assessed."),
        ([], "not determined, because no photograph was assessed."),
    ],
)
def test_the_first_sentence_says_how_soon_and_because_of_what(images: list[ImageResult], words: str) -> None:
    assert urgency_words(images, USUAL) == f"Suggested urgency of review: {words}"


def test_an_untrained_model_s_urgency_is_called_meaningless() -> None:
    assert "UNTRAINED MODEL, meaningless" in urgency_words([image(1, RD=0.9)], USUAL, trained=False)
