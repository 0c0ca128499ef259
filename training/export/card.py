"""The model card of a bundle, in the sections of Mitchell et al. 2019 (arXiv:1810.03993), as Markdown.

All of it comes from the bundle's manifest, the table of labels and an evaluation's report. It lies beside a bundle: a
bundle's folder holds its own files only.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.labels import BY_NAME
from training.errors import RunError
from training.export.evaluated import Figure
from training.export.record import Record, own_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ocunet_pacs.model.manifest import Manifest
    from training.export.evaluated import Evaluated, Without
    from training.export.record import Known

_INTENDED: Final = "intended use"
_NOT_FOR: Final = "not for"
_DATA: Final = ("data", "terms")
_FAILURES: Final = "known failures"
_USE: Final = (
    "Decision support in research: a label above its threshold is a reason for a person to look at the photograph. "
    "The daemon's report says so of each of its results."
)
_LIMITS: Final = (
    "A diagnosis, or the exclusion of a disease: a label below its threshold excludes nothing.",
    "Clinical use without a study of its own on the site's photographs: nothing here is evidence of safety or benefit.",
    "Anything but colour fundus photographs; others are refused where their pixels show what they are.",
)
_NO_FAILURES: Final = "None were recorded, which does not mean that there are none."
_WITHOUT: Final = (
    "AUROC on a source's test photographs: of this bundle, which learned from the source, and of another network by "
    "the same recipe that never saw a photograph of it. The difference is what knowing the source is worth."
)
_FIGURES: Final = {
    "average_precision": "average precision",
    "auroc": "AUROC",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "calibration_error": "calibration error",
}


def model_card(manifest: Manifest, evaluated: Evaluated | None = None, without: Sequence[Without] = ()) -> str:
    """The card; `without` is what was found without some of the sources. RunError where `evaluated` is of another."""
    if evaluated and evaluated.bundle_sha256 not in {"", manifest.digest}:
        raise RunError(
            f"the evaluation is of another bundle (digest {evaluated.bundle_sha256[:12]}, this one has "
            f"{manifest.digest[:12]}): evaluate this one"
        )
    record, notes = Record.from_notes(manifest.provenance.notes), own_notes(manifest.provenance.notes)
    parts = [
        [f"# Model card: {manifest.name}"],
        _status(manifest),
        _details(manifest, record),
        ["## Intended use", _said(notes, _INTENDED) or _USE],
        ["## What it is not for", _list([_said(notes, _NOT_FOR), *_LIMITS])],
        _labels(manifest),
        _training_data(record, notes),
        _metrics(manifest, evaluated),
        _shortcuts(evaluated, without),
        _thresholds(manifest, record),
        [
            "## Known failures",
            _said(notes, _FAILURES) or "None were recorded, which does not mean that there are none.",
        ],
        _further(notes),
        _provenance(manifest, record),
    ]
    return "\n\n".join(paragraph for part in parts for paragraph in part if paragraph) + "\n"


def write_card(text: str, out: Path, bundle: Path) -> None:
    """Write the card, whole or not at all. RunError, also where it would lie in the bundle's folder."""
    if out.resolve().parent == bundle.resolve():
        raise RunError(f"{out}: a bundle's folder holds its own files only; write the card beside it")
    unfinished = out.with_name(f".{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror}") from None


def _status(manifest: Manifest) -> list[str]:
    said = []
    if not manifest.trained:
        said.append("**The weights are untrained: every result of this bundle means nothing.**")
    if manifest.research:
        said.append("**For research only, not for clinical use. Reports and heatmaps of this bundle say so.**")
    if not manifest.calibrated:
        said.append("**Temperature and thresholds were not fitted to these weights.**")
    return said


def _details(manifest: Manifest, record: Record) -> list[str]:
    spec = manifest.preprocess
    rows = {
        "architecture": f"{manifest.architecture}, global average pooling, OcuNet's head",
        "input": f"colour fundus photograph, {spec.image_size} x {spec.image_size} pixels",
        "output": f"{len(manifest.labels)} independent probabilities, sigmoid(logit / temperature)",
        "made": manifest.created_at.isoformat(timespec="seconds"),
        "weights of epoch": str(manifest.provenance.epoch),
        "started from": record.start,
        "differs from OcuNet's recipe in": _flat(record.recipe),
    }
    return ["## Model details", _table(("", ""), [(name, value) for name, value in rows.items() if value])]


def _labels(manifest: Manifest) -> list[str]:
    rows = [(name, BY_NAME[name].display, BY_NAME[name].caveat) for name in manifest.labels]
    missing = ", ".join(f"{name} ({BY_NAME[name].display})" for name in manifest.missing_labels)
    return [
        "## Labels",
        _table(("label", "meaning", "caveat"), rows),
        f"It says nothing about these, which is not a negative: {missing}." if missing else "",
    ]


def _training_data(record: Record, notes: Mapping[str, str]) -> list[str]:
    said = ["## Training data", *(_said(notes, name) for name in _DATA)]
    if not record.photographs:
        return [*said, "The bundle does not say what it was trained on."]
    splits = list(record.photographs)
    sources = sorted({source for counts in record.photographs.values() for source in counts})
    rows = [(source, *(str(record.photographs[split].get(source, 0)) for split in splits)) for source in sources]
    total = ("all", *(str(sum(record.photographs[split].values())) for split in splits))
    known = [(label, *(_known(counts, split) for split in splits)) for label, counts in record.labels.items()]
    return [
        *said,
        "Photographs by source and split:",
        _table(("source", *splits), [*rows, total]),
        "Positive / negative / unknown by label and split. Unknown is not negative: nothing was learned from it.",
        _table(("label", *splits), known),
    ]


def _known(counts: Mapping[str, Known], split: str) -> str:
    found = counts.get(split)
    return f"{found.positive} / {found.negative} / {found.unknown}" if found else ""


def _metrics(manifest: Manifest, evaluated: Evaluated | None) -> list[str]:
    said = ["## Metrics"]
    if manifest.provenance.metrics:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in manifest.provenance.metrics.items())
        said.append(f"On the validation split, which chose the epoch and the thresholds: {figures}.")
    if evaluated is None:
        return [*said, "No evaluation on other photographs is given here."]
    where = " and ".join(evaluated.splits) or "unnamed"
    said.append(
        f"The exported bundle through the daemon's own predictor, on the {where} split: {evaluated.photographs} "
        f"photographs of {evaluated.groups} groups (patients, where those are known), {evaluated.scored} scored. "
        f"Operating point {evaluated.operating_point}; intervals by group."
    )
    mean = ("mean", "", *(str(evaluated.means.get(name, Figure())) for name in _FIGURES))
    rows = [
        (label, f"{one.positives} / {one.negatives}", *(str(one.figures.get(name, Figure())) for name in _FIGURES))
        for label, one in evaluated.labels.items()
    ]
    said += [_list(evaluated.remarks), _table(("label", "positive / negative", *_FIGURES.values()), [*rows, mean])]
    if evaluated.sources:
        parts = [
            (part.value, str(part.scored), str(part.mean_average_precision), str(part.mean_auroc))
            for part in evaluated.sources
        ]
        said += ["By source:", _table(("source", "photographs", "mean average precision", "mean AUROC"), parts)]
    return said


def _shortcuts(evaluated: Evaluated | None, without: Sequence[Without]) -> list[str]:
    """Whether the source of a photograph may have been learned instead of what it shows."""
    said = []
    if evaluated and len(evaluated.sources) > 1:
        rows = [
            (label, *(str(one) for one in (of.figures.get("auroc", Figure()), of.within_sources, of.by_source)))
            for label, of in evaluated.labels.items()
        ]
        said += [
            "A label that the source alone gives away is worth what it is worth within a source.",
            _table(("label", "AUROC", "within sources", "of the source alone"), rows),
        ]
    if evaluated and evaluated.healthy:
        healthy = [
            (one.source, str(one.photographs), "" if math.isnan(share := one.alarmed.value) else f"{share:.1%}")
            for one in evaluated.healthy
        ]
        said += [
            "Photographs that show nothing, and how often a label is called on them all the same:",
            _table(("source", "photographs", "with a label called"), healthy),
        ]
    if without:
        others = [
            (of.source, one.label, f"{one.positives} / {one.negatives}", *map(str, (one.within, one.without, one.lead)))
            for of in without
            for one in of.labels
        ]
        said += [
            _WITHOUT,
            _table(("source", "label", "positive / negative", "this bundle", "without it", "difference"), others),
        ]
    return ["## Shortcuts", *said] if said else []


def _thresholds(manifest: Manifest, record: Record) -> list[str]:
    points = {"threshold": manifest.thresholds, **manifest.operating_points}
    rows = [
        (label, f"{temperature:.4g}", *(f"{chosen[label]:.3f}" for chosen in points.values()))
        for label, temperature in zip(manifest.labels, manifest.temperatures, strict=True)
    ]
    temperature_from, thresholds_from = manifest.provenance.temperature_from, manifest.provenance.thresholds_from
    return [
        "## Calibration and thresholds",
        "A label is positive when its probability reaches its threshold.",
        f"Temperature: {temperature_from or 'origin unknown'}. Thresholds: {thresholds_from or 'origin unknown'}.",
        _table(("label", "temperature", *points), rows),
        _list(record.calibration),
    ]


def _further(notes: Mapping[str, str]) -> list[str]:
    shown = {_INTENDED, _NOT_FOR, _FAILURES, *_DATA}
    rows = [(name, text) for name, text in notes.items() if _plain(name) not in shown]
    return ["## Further notes", _table(("", ""), rows)] if rows else []


def _provenance(manifest: Manifest, record: Record) -> list[str]:
    source = manifest.provenance
    digests = {
        "bundle": manifest.digest,
        "weights": manifest.weights_sha256,
        "recipe": source.config_sha256,
        "training data": record.data_sha256,
        "code": record.code_sha256,
        "source of the weights": source.source_sha256,
    }
    software = ", ".join(f"{name} {version}" for name, version in source.software.items())
    return [
        "## Provenance",
        _table(("sha256 of", ""), [(name, f"`{value}`") for name, value in digests.items() if value]),
        f"Software: {software}." if software else "",
    ]


def _said(notes: Mapping[str, str], name: str) -> str:
    return next((text for key, text in notes.items() if _plain(key) == name), "")


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").strip()


def _flat(recipe: str) -> str:
    """The recipe's differences as `section.key: value`."""
    try:
        changes = json.loads(recipe) if recipe else {}
    except ValueError:
        return recipe
    lines = []
    for name, value in changes.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        lines += [f"{name}{'.' if key else ''}{key}: {json.dumps(one)}" for key, one in inner]
    return "; ".join(lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines if line)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
