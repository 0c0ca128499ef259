"""The figures of docs/drift.md: what the watch costs, how often it is wrong, and what it sees in its first night.

Drawn eyes, and the real photographs that lie outside the project (OCUNET_SHARED), each data set as one camera. Of a
data set the same photographs are taken through a clean lens and through others, so nothing but the lens differs.
"""

from __future__ import annotations

import copy
import csv
import itertools
import sys
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ocunet_pacs.imaging.appearance import measure_appearance
from ocunet_pacs.imaging.prepare import prepare
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality import small_copy
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.pipeline.drift_watch import WatchRule
from tests.conftest import SHARED
from tests.nights import (
    CAMERA,
    Clinic,
    Measured,
    RememberedNights,
    drawn_eyes,
    dusty,
    looked_at,
    photographed,
    smeared,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocunet_pacs.domain.drift import Night

SETS = ("kaggle4class", "tvhl", "palm", "rahim", "idrid")
PHOTOGRAPHS = 80
"""Of each data set: pairs of photographs stand for patients."""
SEEDS = 10
DAYS = WatchRule().days
LENSES = {
    "dust": dusty,
    "fingerprint": smeared,
    "a quarter darker": lambda rgb: (rgb * 0.75).astype(np.uint8),
    "bluer by a tenth": lambda rgb: (rgb * np.array([0.95, 1.0, 1.1])).clip(0, 255).astype(np.uint8),
    "out of focus": lambda rgb: cv2.GaussianBlur(rgb, (0, 0), rgb.shape[1] / 300),
}


def out(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def alerts(night: Night) -> list[str]:
    return [found.measure for found in night.findings if found.alert]


def cost() -> None:
    """One photograph of a camera's own size, on one processor."""
    path = min((SHARED / "data/fullres").glob("idrid*.jpg"))
    rgb = np.asarray(Image.open(path).convert("RGB"))
    small, outline = small_copy(cv2.resize(rgb, (1024, 680), interpolation=cv2.INTER_AREA))
    spec, limits = PreprocessSpec(), QualityLimits()

    def least(run: Callable[[], object]) -> float:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        return min(times)

    whole, part = (
        least(lambda: prepare(spec, rgb, limits)),
        least(lambda: measure_appearance(small, outline.field, 4288)),
    )
    out(
        f"\nAppearance of a photograph: {part * 1e3:.2f} ms of {whole * 1e3:.0f} ms, {part / whole:.2%} of preparing it"
    )


def false_alerts(name: str, pool: Sequence[Measured], seeds: int, differ: float) -> None:
    """Months of ordinary nights."""
    nights, wrong, what = 0, 0, Counter[str]()
    for seed in range(seeds):
        clinic = Clinic(RememberedNights(), seed, days_differ=differ)
        clinic.ordinary(pool, DAYS + 30)
        for night in clinic.nights[DAYS:]:
            nights += 1
            wrong += bool(alerts(night))
            what.update(alerts(night))
    said = ", ".join(f"{measure} {number}" for measure, number in what.most_common(3))
    out(f"| {name} | {differ:g} | {nights} | {wrong} | {said} |")


def begun(pool: Sequence[Measured]) -> list[Clinic]:
    """Clinics whose camera just got its reference."""
    clinics = [Clinic(RememberedNights(), seed) for seed in range(SEEDS)]
    for clinic in clinics:
        clinic.ordinary(pool, DAYS)
    return clinics


def first_night(before: Clinic, after: Sequence[Measured], shift: float, patients: int) -> Night:
    """The next night of that clinic, which stays as it is: of its past the references are all that counts."""
    clinic = Clinic(RememberedNights(), before.seed, patients=patients, day=before.day, taken=before.taken)
    clinic.rng = copy.deepcopy(before.rng)
    clinic.open((CAMERA, after, shift))
    [camera] = clinic.ledger.cameras()
    for baseline in before.ledger.baselines(camera.id):
        clinic.ledger.keep_baseline(baseline)
    return clinic.night()


def seen(clinics: Sequence[Clinic], after: Sequence[Measured], shift: float, patients: int) -> tuple[int, str]:
    """In how many first nights a change is seen, and by what."""
    told = [alerts(first_night(clinic, after, shift, patients)) for clinic in clinics]
    what = Counter(measure for measures in told for measure in measures)
    return sum(map(bool, told)), ", ".join(measure for measure, _ in what.most_common(3))


def real() -> dict[str, dict[str, list[Measured]]]:
    """By data set, through every lens. Photographs of one group come one after the other."""
    with (SHARED / "data/fundus/manifest.csv").open(newline="") as file:
        named = sorted((row["group"], row["image"], row["dataset"]) for row in csv.DictReader(file))
    found: dict[str, dict[str, list[Measured]]] = {}
    for dataset in SETS:
        images = [image for _, image, of in named if of == dataset][:PHOTOGRAPHS]
        through: dict[str, list[Measured]] = defaultdict(list)
        for image in images:
            # As `prepare` would: what is measured is smaller still.
            picture = Image.open(SHARED / "data/fundus/images" / image).convert("RGB")
            picture.thumbnail((768, 768), Image.Resampling.BOX)
            rgb = np.asarray(picture)
            through["clean"].append(looked_at(rgb))
            for name, lens in LENSES.items():
                through[name].append(looked_at(lens(rgb)))
        # The kind of a patient, by which days differ: how red the first photograph is.
        red = np.asarray([one.measures["redness"] for one in through["clean"]])
        kinds = ((red - red.mean()) / red.std()).clip(-2, 2)
        found[dataset] = {
            name: [Measured(float(kind), m.measures, m.pattern, m.refused) for kind, m in zip(kinds, pool, strict=True)]
            for name, pool in through.items()
        }
    return found


def main() -> None:
    """All tables."""
    cv2.setNumThreads(1)
    cost()
    eyes = drawn_eyes(48)
    drawn = [one for seed in range(3) for one in photographed(eyes, seed)]
    sets = real()
    out("\n| photographs | days differ | nights | with an alert | most often |\n|---|---|---|---|---|")
    for differ in (0.0, 0.25, 0.5):
        false_alerts("drawn", drawn, SEEDS, differ)
    for name, pools in sets.items():
        false_alerts(name, pools["clean"], SEEDS, 0.25)
    clinics = {name: begun(pools["clean"]) for name, pools in sets.items()}
    out(f"\n| camera | {' | '.join(LENSES)} |\n|---|{'---|' * len(LENSES)}")
    for patients, (name, pools) in itertools.product((20, 40), sets.items()):
        cells = [seen(clinics[name], pools[lens], 0.0, patients) for lens in LENSES]
        out(f"| {name}, {patients} patients | {' | '.join(f'{number} ({what})' for number, what in cells)} |")
    out("\n| under the same name | became | seen | by |\n|---|---|---|---|")
    for one, other in itertools.permutations(SETS, 2):
        number, what = seen(clinics[one], sets[other]["clean"], 0.0, 40)
        out(f"| {one} | {other} | {number} of {SEEDS} | {what} |")
    at_drawn = begun(drawn)
    out("\n| logits higher by | 20 patients | 40 | 100 |\n|---|---|---|---|")
    for shift in (0.0, 0.5, 0.75, 1.0, 1.5):
        cells = [str(seen(at_drawn, drawn, shift, patients)[0]) for patients in (20, 40, 100)]
        out(f"| {shift:g} | {' | '.join(cells)} |")
