"""Judgements made up of numbers, for everything that is counted from one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.manifest import Manifest as BundleManifest
from ocunet_pacs.model.manifest import Provenance
from training.data.manifest import Manifest, Row, Split
from training.evaluation.photographs import PhotoFacts
from training.evaluation.predict import Judgement
from training.evaluation.summary import Summary, summarise
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = ("Disease_Risk", "DR", "CATARACT", "RD", "NORMAL")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def make_bundle(*, trained: bool = True, notes: dict[str, str] | None = None) -> BundleManifest:
    return BundleManifest(
        name="made-up",
        created_at=NOW,
        architecture="mobilenetv3_small_050",
        labels=LABELS,
        preprocess=PreprocessSpec(image_size=64),
        temperature=1.5,
        thresholds=dict.fromkeys(LABELS, 0.5),
        calibrated=True,
        trained=trained,
        provenance=Provenance(notes=notes or {}),
    ).sealed("0" * 64)


def make_row(number: int, values: Sequence[float], **others: object) -> Row:
    """`values`: 1 there, 0 absent, nan unknown, in the order of LABELS."""
    told = dict(zip(LABELS, values, strict=True))
    fields: dict[str, object] = {
        "image": f"Lovelace Ada/{number}.jpg",
        "digest": f"{number:012x}" + 52 * "0",
        "group": f"patient {number // 2}",
        "source": "abc"[number % 3],
        "camera": f"camera {number % 11}",
        "laterality": ("R", "L", "")[number % 3],
        "split": Split.TEST,
    }
    positive = frozenset(label for label, value in told.items() if value == 1)
    negative = frozenset(label for label, value in told.items() if value == 0)
    return Row(positive=positive, negative=negative, **(fields | others))  # type: ignore[arg-type]


def make_judgement(rows: Sequence[Row], logits: np.ndarray, refused: Sequence[int] = (), **bundle: object) -> Judgement:
    """Logits (rows, labels) for `rows`, of which some, by their places, were refused."""
    manifest = make_bundle(**bundle)  # type: ignore[arg-type]
    facts = [
        PhotoFacts(
            row.key,
            (Reason(ReasonCode.UNGRADABLE, "too dark"),) if place in refused else (),
            (("structure", 0.01 * (place % 7)), ("brightness", 60.0 + place)),
            640,
            480,
        )
        for place, row in enumerate(rows)
    ]
    scored = [place for place in range(len(rows)) if place not in refused]
    values = np.array([[label in rows[place].positive for label in LABELS] for place in scored], np.float32)
    known = np.array([[label not in rows[place].unknown for label in LABELS] for place in scored], np.bool_)
    judged = Judged(
        keys=tuple(rows[place].key for place in scored),
        groups=tuple(rows[place].group for place in scored),
        labels=LABELS,
        targets=values.reshape(len(scored), len(LABELS)),
        known=known.reshape(len(scored), len(LABELS)),
        logits=logits[scored],
        probabilities=probabilities(logits[scored], 1.5),
        thresholds=np.full(len(LABELS), 0.5),
        bundle=manifest.digest,
        name=manifest.name,
    )
    return Judgement(judged, tuple(rows), tuple(facts), manifest, "default", "torch float32")


def make_random(seed: int = 0, number: int = 60, refused: Sequence[int] = (3, 10)) -> Judgement:
    """Photographs of which a third of the labels is unknown, and RD always; only source a has CATARACT."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 2, (number, len(LABELS))).astype(float)
    values[random.random(values.shape) < 1 / 3] = np.nan
    values[:, LABELS.index("RD")] = np.nan
    cataract = LABELS.index("CATARACT")
    values[[n for n in range(number) if n % 3 and values[n, cataract] == 1], cataract] = 0
    logits = np.nan_to_num(values) + random.normal(0, 1.5, values.shape)
    return make_judgement([make_row(n, values[n]) for n in range(number)], logits, refused)


def make_summary(judgement: Judgement, most_mistakes: int = 2) -> Summary:
    manifest = Manifest(judgement.rows, Path("/data/Lovelace"))
    return summarise(
        judgement,
        manifest,
        judgement.rows,
        made=NOW,
        software={"torch": "2"},
        draws=50,
        seed=0,
        most_mistakes=most_mistakes,
    )
