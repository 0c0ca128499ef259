"""The pictures of the documentation: `python -m tests.pictures docs/pictures`.

Eyes are drawn and scores are invented; everything else is what the product makes of them. Needs poppler.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pydicom import dcmread

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.domain.result import Box, BundleRef, Classification, LabelScore, Photograph
from ocunet_pacs.domain.routes import JPEG, Form
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.report.readable import heatmap_png
from tests.unit.report.made import image, photograph, reporter, stored, study

BUNDLE = BundleRef("example", "0123abcd" * 8, trained=True, temperature=1.2)
SIZE = (1024, 768)
WIDTH = 1024
SHOWN = {"DR": (Lesion.HAEMORRHAGES,), "EDN": (Lesion.HARD_EXUDATES,), "ODC": (Lesion.CUPPING,)}
"""Where a label's invented explanation lies: where the lesions were drawn."""


def scores(seed: int, **positive: float) -> tuple[LabelScore, ...]:
    """Thresholds and the probabilities beneath them by chance, those above by name."""
    chance = np.random.default_rng(seed)
    found = []
    for label in LABELS:
        threshold = round(float(chance.uniform(0.25, 0.6)), 3)
        probability = positive.get(label.name, float(chance.beta(1.2, 9) * threshold))
        found.append(LabelScore(label.name, 0.0, probability, threshold, probability >= threshold))
    return tuple(found)


def explained(seed: int, side: Laterality, said: tuple[LabelScore, ...]) -> Classification:
    """Maps that show where the eye with lesions differs from the eye without."""
    plain = draw_fundus(seed=seed, laterality=side, size=SIZE).astype(int)
    maps = np.zeros((len(said), 16, 16), dtype=np.float32)
    for place, score in enumerate(said):
        lesions = SHOWN.get(score.label, ())
        if not lesions:
            continue
        changed = np.abs(draw_fundus(seed=seed, laterality=side, size=SIZE, lesions=lesions) - plain).sum(axis=2)
        square = changed[:, 128:896].astype(np.float32)
        maps[place] = cv2.GaussianBlur(cv2.resize(square, (16, 16), interpolation=cv2.INTER_AREA), (0, 0), 1.3)
        maps[place] /= max(float(maps[place].max()), 1e-6)
    return Classification(said, maps)


def save(picture: Image.Image, path: Path) -> None:
    """As wide as a page of documentation."""
    height = round(picture.height * WIDTH / picture.width)
    picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS).save(path, optimize=True)


def main(out: Path, folder: Path) -> None:
    """Write heatmap.png and report-pdf.png into `out`."""
    reports = reporter()
    eyes = (
        (Laterality.RIGHT, 3, {"DR": 0.913, "EDN": 0.742, "Disease_Risk": 0.957}),
        (Laterality.LEFT, 12, {"ODC": 0.641, "Disease_Risk": 0.71}),
    )
    images, sources, pictures, files = [], {}, {}, {}
    for ordinal, (side, seed, positive) in enumerate(eyes, 1):
        one = replace(image(ordinal, str(side)), scores=scores(seed, **positive))
        source = photograph(folder / f"{ordinal}", ordinal, ImageLaterality=str(side))
        lesions = [lesion for name in positive for lesion in SHOWN.get(name, ())]
        pixels = draw_fundus(seed=seed, laterality=side, size=SIZE, lesions=lesions)
        seen = Photograph(pixels, pixels, Box(128, 0, 896, 768), *SIZE)
        made = reports.heatmap(one, seen, explained(seed, side, one.scores), BUNDLE, source, encoding=JPEG)
        uid = made.sop_instance_uid
        files[uid] = folder / uid
        files[uid].write_bytes(made.content)
        pictures[uid] = stored(made)
        sources[one.sop_instance_uid] = source
        images.append(replace(one, heatmap_uid=reports.heatmap_uid(one, BUNDLE)))
    save(Image.open(io.BytesIO(heatmap_png(dcmread(next(iter(files.values())))))), out / "heatmap.png")
    report = reports.report(study(*images, bundle=BUNDLE), sources, pictures, Form(heatmap=JPEG))
    document = dcmread(io.BytesIO(reports.pdf(report, files).content))
    pdf = folder / "report.pdf"
    pdf.write_bytes(document.EncapsulatedDocument[: document.EncapsulatedDocumentLength])
    page = ["pdftoppm", "-png", "-r", "150", "-f", "1", "-l", "1", "-singlefile", str(pdf), str(folder / "page")]
    subprocess.run(page, check=True)
    save(Image.open(folder / "page.png"), out / "report-pdf.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]), Path(scratch))
