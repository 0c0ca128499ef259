"""`predict`: photographs and DICOM files through the product's own pipeline, with no daemon, queue or database.

The same eligibility, decoding, preprocessing, network and reports as the daemon's: `predict` on a file says what the
daemon would say about it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocunet_pacs import __version__
from ocunet_pacs.app.parts import eligibility_by
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.app.readable import write_readable
from ocunet_pacs.domain.errors import BadInput, ConfigError
from ocunet_pacs.domain.result import ImageResult, Output, StudyResult, derive_uid, work_key
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.anyfile import PHOTOGRAPH_SUFFIXES, AnyFile, is_dicom, is_photograph
from ocunet_pacs.imaging.header import read_header
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.intake.eligibility import OPHTHALMIC_PHOTOGRAPHY_8_BIT
from ocunet_pacs.pipeline.examine import Source, examine
from ocunet_pacs.report.reporter import Reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.gates import Rules
    from ocunet_pacs.domain.result import BundleRef, MadeObject
    from ocunet_pacs.model.predictor import Predictor
    from ocunet_pacs.pipeline.examine import Examined
    from ocunet_pacs.report.report_settings import ReportSettings

_IN_FOLDERS = PHOTOGRAPH_SUFFIXES | {".dcm", ".dicom", ""}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one file, or about one frame of it; `sop_instance_uid` is None for a photograph."""

    path: Path
    sop_instance_uid: str | None
    image: ImageResult

    def as_json(self, bundle: BundleRef) -> dict[str, Any]:
        """The documented shape of `predict --json`, one entry an image."""
        entry: dict[str, Any] = {
            "path": str(self.path),
            "sop_instance_uid": self.sop_instance_uid,
            "laterality": None if self.image.laterality is Laterality.UNKNOWN else self.image.laterality.value,
            "eligible": self.image.assessed,
            "reasons": [str(reason) for reason in self.image.reasons],
            "labels": {
                score.label: {
                    "logit": score.logit,
                    "probability": score.probability,
                    "threshold": score.threshold,
                    "positive": score.positive,
                }
                for score in self.image.scores
            },
            "bundle": {
                "name": bundle.name,
                "digest": bundle.digest,
                "trained": bundle.trained,
                "research": bundle.research,
            },
        }
        if self.image.frame is not None:
            entry["frame"] = self.image.frame
        if self.image.despite:
            entry["despite"] = [str(reason) for reason in self.image.despite]
        return entry


@dataclass(frozen=True, slots=True)
class _Input:
    """One file: where the user has it, where its DICOM object lies (the same, unless it was wrapped), its study."""

    given: Path
    path: Path
    study_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    is_photograph: bool


def find_inputs(paths: Sequence[Path]) -> list[Path]:
    """Files as given, and those in folders (all levels, sorted) that look like photographs or DICOM. ConfigError."""
    found: list[Path] = []
    missing: list[str] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith("."))
            found += [p for p in inside if p.suffix.lower() in _IN_FOLDERS]
        elif path.is_file():
            found.append(path)
        else:
            missing.append(f"{path}: no such file or folder")
    if missing:
        raise ConfigError(missing)
    return found


def predict(
    paths: Sequence[Path],
    *,
    predictor: Predictor,
    report_settings: ReportSettings,
    rules: Rules,
    source: str,
    out: Path | None,
    progress: Callable[[Path], None],
) -> list[Prediction]:
    """One prediction for each file and frame, in order of the studies' first files, by the rules of `source`.

    With `out`, each study gets a folder there with its report and heatmaps, and the wrapped form of a photograph that
    was not DICOM: every photograph is a study of its own, because nothing says which ones belong to one patient.
    """
    reader = AnyFile(predictor.manifest.preprocess, predictor.manifest.quality_limits)
    studies: dict[str, list[_Input]] = {}
    for path in find_inputs(paths):
        prepared = _prepare(path, out)
        studies.setdefault(prepared.study_instance_uid, []).append(prepared)
    predictions: list[Prediction] = []
    for study_instance_uid, inputs in studies.items():
        reporter = Reports(report_settings, clock=utc_now, software_version=__version__)
        heatmaps: list[MadeObject] = []
        examined = examine(
            [Source(i.sop_instance_uid, i.sop_class_uid, n, i.path, source) for n, i in enumerate(inputs, 1)],
            reader=reader,
            eligibility=eligibility_by(rules),
            classifier=predictor,
            reporter=reporter if out else None,
            keep_picture=heatmaps.append,
            batch_size=predictor.batch_size,
            alive=lambda: None,
        )
        if out:
            _write_study(out, study_instance_uid, inputs, examined, heatmaps, reporter, predictor.bundle, rules)
        for image in examined.images:
            given = inputs[image.ordinal - 1]
            uid = None if given.is_photograph and not out else image.sop_instance_uid
            predictions.append(Prediction(given.given, uid or None, image))
            progress(given.given)
    return predictions


def study_folder(out: Path, study_instance_uid: str) -> Path:
    """Where a study's results go under `out`: a digest, because a UID leads to a patient."""
    return out / hashlib.sha256(study_instance_uid.encode()).hexdigest()[:12]


def _prepare(path: Path, out: Path | None) -> _Input:
    """Find out what the file is; a photograph is wrapped where results are written: they must refer to an object."""
    if not is_photograph(path):
        try:
            header = read_header(path)
        except BadInput:
            return _Input(path, path, f"unreadable {path}", "", "", is_photograph=False)
        return _Input(
            path, path, header.study_instance_uid, header.sop_instance_uid, header.sop_class_uid, is_photograph=False
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    study_instance_uid, sop_instance_uid = derive_uid("predict study", digest), derive_uid("predict image", digest)
    wrapped = path
    if out:
        wrapped = study_folder(out, study_instance_uid) / "photograph.dcm"
        try:
            dataset = wrap_photograph(
                path,
                laterality=None,
                patient_id="",
                patient_name="",
                study_instance_uid=study_instance_uid,
                series_instance_uid=derive_uid("predict series", digest),
                sop_instance_uid=sop_instance_uid,
                instance_number=1,
                now=utc_now(),
            )
        except BadInput:
            wrapped = path  # the reader gives the same reason again, where it is recorded
        else:
            wrapped.parent.mkdir(parents=True, exist_ok=True)
            write_dicom(dataset, wrapped)
    return _Input(path, wrapped, study_instance_uid, sop_instance_uid, OPHTHALMIC_PHOTOGRAPHY_8_BIT, is_photograph=True)


def _write_study(
    out: Path,
    study_instance_uid: str,
    inputs: Sequence[_Input],
    examined: Examined,
    heatmaps: Sequence[MadeObject],
    reporter: Reports,
    bundle: BundleRef,
    rules: Rules,
) -> None:
    """Report and heatmaps of one study, where at least one of its files is a DICOM object that they can refer to."""
    referable = {i.sop_instance_uid: i.path for i in inputs if i.sop_instance_uid and is_dicom(i.path)}
    if not referable:
        return
    folder = study_folder(out, study_instance_uid)
    folder.mkdir(parents=True, exist_ok=True)
    outputs: dict[str, Output] = {}
    for number, made in enumerate(heatmaps, 1):
        name = f"heatmap-{number}.dcm"
        (folder / name).write_bytes(made.content)
        outputs[made.sop_instance_uid] = Output(
            made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, name
        )
    result = StudyResult(
        study_instance_uid=study_instance_uid,
        revision=1,
        key=work_key(referable, bundle.identity, f"{reporter.settings_digest} {rules.digest}"),
        bundle=bundle,
        images=tuple(image for image in examined.images if image.sop_instance_uid in referable),
        stereo_pairs=examined.stereo_pairs,
    )
    report = reporter.report(result, referable, outputs)
    (folder / "report.dcm").write_bytes(report.content)
    write_readable([folder / "report.dcm", *(folder / output.file_key for output in outputs.values())], folder)
