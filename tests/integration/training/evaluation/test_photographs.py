"""Photographs are evaluated as the daemon would see them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.anyfile import AnyFile
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality_limits import QualityLimits
from tests.integration.training.evaluation.conftest import EYES
from training.errors import ManifestError
from training.evaluation.photographs import check_files, prepared_rows

if TYPE_CHECKING:
    from pathlib import Path

    from training.data.manifest import Manifest

SPEC = PreprocessSpec(image_size=64)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photograph_is_what_the_daemon_reads(eyes: Manifest, workers: int) -> None:
    rows = [*eyes.rows[:3], *eyes.rows[EYES:]]
    reader = AnyFile(SPEC, QualityLimits())
    made = list(prepared_rows(eyes, rows, SPEC, QualityLimits(), workers=workers, keep_shown=True))
    assert [one.facts.key for one in made] == [row.key for row in rows]
    for row, one in zip(rows, made, strict=True):
        (served,) = reader.photographs(eyes.path(row))
        assert one.facts.reasons == served.reasons
        assert one.facts.quality == served.quality
        if served.reasons:
            assert one.photograph is None
            continue
        assert one.photograph is not None
        assert np.array_equal(one.photograph.pixels, served.pixels)
        assert np.array_equal(one.photograph.shown, served.shown)
        assert one.photograph.crop == served.crop


def test_what_cannot_be_decoded_says_why(eyes: Manifest, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    row = replace(eyes.rows[0], image=str(tmp_path / "x.png"))
    (made,) = prepared_rows(eyes, [row], SPEC, QualityLimits(), workers=0)
    assert made.photograph is None
    assert [reason.code for reason in made.facts.reasons] == [ReasonCode.UNREADABLE_PIXELS]


def test_quality_is_measured_where_a_bundle_asks_for_none(eyes: Manifest) -> None:
    (made,) = prepared_rows(eyes, eyes.rows[EYES : EYES + 1], SPEC, None, workers=0)
    assert made.photograph is not None
    assert not made.facts.reasons
    assert dict(made.facts.quality)["brightness"] < 5


def test_a_changed_and_a_missing_file_are_both_named_without_their_names(eyes: Manifest) -> None:
    rows = [
        replace(eyes.rows[0], digest="0" * 64),
        replace(eyes.rows[1], image="gone Lovelace.png"),
        eyes.rows[2],
    ]
    with pytest.raises(ManifestError) as caught:
        check_files(eyes, rows)
    said = str(caught.value).splitlines()
    assert len(said) == 2
    assert rows[0].digest[:12] in said[0]
    assert rows[1].digest[:12] in said[1]
    assert "Lovelace" not in str(caught.value)
    check_files(eyes, eyes.rows)
