"""What may be scored: drawn and real photographs pass, spoiled ones and other pictures are refused with a number."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality import QualityLimits, judge, measure
from tests.unit.imaging.not_fundus import NOT_FUNDUS
from tests.unit.imaging.spoiled import SPOILED, blur, darken, inner

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = QualityLimits()
SURE = {
    "blur, sigma in % of the field": 5,
    "darkened, divided by": 12,
    "over-exposed, times": 6,
    "glare, % of the field": 45,
    "cut off, % of the width": 60,
    "colour lost, %": 100,
    "red-free, three equal channels": 1,
    "red-free, green only": 1,
    "red and blue swapped, %": 100,
    "JPEG garbage, % of the rows": 50,
    "grey tail, % of the rows": 70,
}
"""For each way to spoil a photograph a strength at which nobody would grade it."""


def drawn(seed=3, size=(320, 240), lesions=()):
    return draw_fundus(seed=seed, laterality=Laterality.LEFT, size=size, lesions=lesions)


@pytest.mark.parametrize("size", [(128, 96), (320, 240), (600, 900), (2000, 2000)])
@pytest.mark.parametrize("lesions", [(), tuple(Lesion), (Lesion.MEDIA_HAZE,)], ids=["healthy", "all", "hazy"])
def test_a_drawn_photograph_is_scored(size, lesions):
    assert judge(measure(drawn(size=size, lesions=lesions)), LIMITS) == ()


@pytest.mark.parametrize("name", sorted(NOT_FUNDUS.keys() - {"round patch of desert on black"}))
def test_another_picture_is_refused(name):
    for seed in range(4):
        assert judge(measure(NOT_FUNDUS[name](seed)), LIMITS), f"{name} {seed}"


@pytest.mark.parametrize("name", sorted(NOT_FUNDUS.keys() - {"round patch of desert on black"}))
def test_strict_limits_let_no_other_picture_pass(name):
    """Slit lamps and deserts among them, some of which pass the ordinary ones."""
    for seed in (0, 6, 10):
        assert judge(measure(NOT_FUNDUS[name](seed)), LIMITS.strict()), f"{name} {seed}"


def test_strict_limits_refuse_at_least_what_the_ordinary_ones_do():
    narrow = replace(LIMITS, most_outline=0.001, least_warmth=0.5)
    assert narrow.strict().most_outline == 0.001
    assert narrow.strict().least_warmth == 0.5
    assert judge(measure(drawn()), LIMITS.strict()) == ()
    assert judge(measure(inner(drawn(), 60)), LIMITS.strict()), "without a dark surround nothing is proved"
    assert QualityLimits.from_dict(LIMITS.strict().to_dict()) == LIMITS.strict()


@pytest.mark.shared
def test_strict_limits_still_pass_most_real_photographs(shared: Path):
    with (shared / "data/fundus/manifest.csv").open(newline="") as file:
        names = [row["image"] for row in csv.DictReader(file)][::100]
    verdicts = []
    for name in names:
        with Image.open(shared / "data/fundus/images" / name) as picture:
            verdicts.append(judge(measure(np.array(picture.convert("RGB"))), LIMITS.strict()))
    assert sum(not verdict for verdict in verdicts) >= 0.85 * len(names)


@pytest.mark.parametrize("name", SURE)
def test_a_spoiled_photograph_is_refused(name):
    assert judge(measure(SPOILED[name][0](drawn(), SURE[name])), LIMITS)


def test_the_reason_gives_value_and_limit():
    (reason,) = judge(measure(darken(drawn(), 20)), LIMITS)
    assert reason.code is ReasonCode.UNGRADABLE
    assert reason.detail.startswith("too dark: mean brightness of the field ")
    assert reason.detail.endswith("at least 13 is needed")
    grey = np.repeat(drawn()[:, :, 1:2], 3, axis=2)
    assert {reason.code for reason in judge(measure(grey), LIMITS)} == {ReasonCode.NOT_FUNDUS}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 50), st.floats(0.5, 6), st.floats(1.3, 3))
def test_more_blur_never_sharpens(seed, sigma, more):
    rgb = drawn(seed=seed)
    softer, softest = (measure(blur(rgb, by)).structure for by in (sigma, sigma * more))
    assert softest <= softer * 1.02 + 1e-4


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 50), st.floats(1, 4), st.floats(1.2, 3))
def test_less_light_never_brightens(seed, factor, more):
    rgb = drawn(seed=seed)
    assert measure(darken(rgb, factor * more)).brightness < measure(darken(rgb, factor)).brightness


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_any_pixels_give_finite_values(width, height, seed):
    rng = np.random.default_rng(seed)
    rgb = (rng.integers(0, 256, (height, width, 3)) * rng.integers(0, 2, (height, width, 1))).astype(np.uint8)
    assert all(np.isfinite(value) for _, value in measure(rgb).items())


def test_size_hardly_matters():
    rgb = drawn(size=(1600, 1200))
    large = measure(rgb)
    small = measure(np.asarray(cv2.resize(rgb, (640, 480), interpolation=cv2.INTER_AREA)))
    assert small.structure == pytest.approx(large.structure, rel=0.15)
    assert small.brightness == pytest.approx(large.brightness, abs=2)


def test_prepare_judges_only_with_limits():
    grey = np.repeat(drawn()[:, :, 1:2], 3, axis=2)
    silent = prepare(PreprocessSpec(), grey)
    assert (silent.reasons, silent.quality) == ((), ())
    judged = prepare(PreprocessSpec(), grey, LIMITS)
    assert judged.reasons
    assert dict(judged.quality)["colour"] == 0
    assert np.array_equal(judged.pixels, silent.pixels)


def test_limits_survive_a_manifest():
    limits = QualityLimits(least_brightness=21)
    assert QualityLimits.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"least_fun": 1.0}, "unknown key 'least_fun'"),
        ({"least_field": "1"}, "'least_field' is not a number"),
        ({"least_field": True}, "'least_field' is not a number"),
        ({"least_field": float("inf")}, "least_field must be finite"),
    ],
)
def test_limits_that_are_not_understood_whole_are_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        QualityLimits.from_dict({**LIMITS.to_dict(), **change})


def test_limits_must_name_every_choice():
    values = LIMITS.to_dict()
    del values["least_field"]
    with pytest.raises(ValueError, match="missing key 'least_field'"):
        QualityLimits.from_dict(values)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


@pytest.mark.shared
def test_every_original_and_every_golden_photograph_is_scored(shared):
    golden = json.loads((shared / "reference" / "golden.json").read_text())
    names = {image["image"] for image in golden["images"]}
    names |= {f"fullres/{path.name}" for path in (shared / "data/fullres").glob("*.jpg")}
    assert len(names) >= 19
    refused = {name: said for name in names if (said := judge(measure(read(shared / "data" / name)), LIMITS))}
    assert refused == {}


@pytest.mark.shared
def test_real_photographs_pass_and_their_spoiled_copies_do_not(shared):
    folder = shared / "data/fundus"
    with (folder / "manifest.csv").open(newline="") as file:
        images = [row["image"] for row in csv.DictReader(file)]
    rng = np.random.default_rng(8)
    photographs = [read(folder / "images" / images[i]) for i in rng.permutation(len(images))[:120]]
    good = [rgb for rgb in photographs if not judge(measure(rgb), LIMITS)]
    assert len(good) >= 0.96 * len(photographs)
    few = good[:24]
    for name, strength in SURE.items():
        caught = sum(bool(judge(measure(SPOILED[name][0](rgb, strength)), LIMITS)) for rgb in few)
        assert caught >= 0.75 * len(few), f"{name}: {caught} of {len(few)}"
    whole = sum(not judge(measure(inner(rgb, 60)), LIMITS) for rgb in few)
    assert whole >= 0.5 * len(few)
