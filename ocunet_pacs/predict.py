"""The interface of OcuNet's model card over this product's network: change the import line and a script runs.

Two rules live here and nowhere else, because OcuNet's evaluation never used them: `detected_diseases` holds at most
`max_predictions` labels, and none under `min_confidence`. Everything else is the daemon's: the crop is padded as in
training (0.05 of the field, OcuNet's own script pads 0.02), thresholds and temperature apply to the same logits.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from ocunet_pacs.classifier import Classifier
from ocunet_pacs.domain.errors import BadInput, BundleError
from ocunet_pacs.domain.labels import BY_NAME
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.calibration import probabilities
from ocunet_pacs.model.calibration_files import read_calibration, read_thresholds
from ocunet_pacs.model.checkpoint import Checkpoint, read_checkpoint
from ocunet_pacs.model.manifest import Manifest
from ocunet_pacs.report.wording import BELOW, DISCLAIMER, UNTRAINED, percent

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from ocunet_pacs.classifier import Reading
    from ocunet_pacs.domain.labels import Label

    PathLike = str | os.PathLike[str]

HIGH: Final = 0.8
MEDIUM: Final = 0.5


class ImprovedMultiLabelClassifier:
    """OcuNet's classifier by name, arguments and results.

    `checkpoint_path` is OcuNet's checkpoint, read without executing anything in it. `config_path` is accepted and not
    read: the checkpoint holds the configuration that its weights were trained with. `thresholds_path` and
    `calibration_path` are optional files, as in OcuNet: without them a warning is given once and the temperature is 1,
    the thresholds the checkpoint's own; a label that they leave out gets the checkpoint's threshold as well. Thresholds
    in `thresholds_path` go before those in `calibration_path`. `device` is "cpu", "cuda:N", a torch.device, or None for
    a GPU where there is one.

    Attributes may be read and, but for the device, changed: `class_names`, `num_classes`, `temperature`, `thresholds`
    (label to threshold), `default_threshold`, `device`, `max_predictions`, `min_confidence`.

    UnsafeCheckpoint, BundleError where a file cannot be used.
    """

    def __init__(
        self,
        checkpoint_path: PathLike = "models/ocunetv4.pth",
        config_path: PathLike = "config/config.yaml",  # noqa: ARG002 -- OcuNet's signature; see the class
        thresholds_path: PathLike | None = "evaluation_results/optimal_thresholds.yaml",
        calibration_path: PathLike | None = "evaluation_results/calibration.yaml",
        device: str | torch.device | None = None,
        max_predictions: int = 5,
        min_confidence: float = 0.3,
    ) -> None:
        path = Path(checkpoint_path)
        checkpoint = read_checkpoint(path)
        self.max_predictions = max_predictions
        self.min_confidence = min_confidence
        self.class_names = list(checkpoint.labels)
        self.num_classes = len(checkpoint.labels)
        self.default_threshold = checkpoint.threshold
        self.temperature, self.thresholds, remarks = _fitted(thresholds_path, calibration_path, checkpoint)
        self.device = _device(device)
        self._trained = checkpoint.trained
        if not checkpoint.trained:
            remarks.append(f"{path.name}: no training record: UNTRAINED weights, and results that mean nothing")
        for remark in remarks:
            # To whoever wrote the script: seen on a terminal and in a notebook, out of the way of what it prints.
            warnings.warn(remark, UserWarning, stacklevel=2)
        self._classifier = _load(path, checkpoint, str(self.device))

    def predict(self, image_path: PathLike, use_optimized_thresholds: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 -- OcuNet's signature
        """What the model says about one photograph (JPEG, PNG, TIFF, or a DICOM file of one frame).

        `detected_diseases`: labels that reached their threshold, most probable first, cut by the two rules;
        `num_diseases`: how many those are; `probabilities`: label to probability, most probable first;
        `all_predictions`: label to `detected` (it reached its threshold, whatever the rules cut), `probability`,
        `threshold`, `full_name`, `description`, `confidence` (HIGH from 0.8, MEDIUM from 0.5, else LOW);
        `image_path`; `temperature`. Without `use_optimized_thresholds` every label has `default_threshold`.

        FileNotFoundError; BadInput, with the reason, for a picture that must not be scored: an empty list of diseases
        would look like a healthy eye. ValueError for a DICOM file of several frames.
        """
        if not Path(image_path).exists():
            raise FileNotFoundError(f"{image_path}: no such file")
        readings = self._classifier.classify(Path(image_path))
        if len(readings) > 1:
            raise ValueError(f"{image_path}: {len(readings)} frames; ocunet_pacs.Classifier reads them all")
        return self._result(readings[0], str(image_path), optimised=use_optimized_thresholds)

    def predict_batch(
        self,
        image_paths: Sequence[PathLike],
        use_optimized_thresholds: bool = True,  # noqa: FBT001, FBT002 -- OcuNet's signature
    ) -> list[dict[str, Any]]:
        """One result for each path, in order. A picture without a result has `image_path` and `error` instead.

        So nothing that asks such an entry for its diseases gets an empty list.
        """
        results: list[dict[str, Any]] = []
        for path in image_paths:
            try:
                results.append(self.predict(path, use_optimized_thresholds))
            except (BadInput, OSError, ValueError) as error:
                results.append({"image_path": str(path), "error": str(error)})
        return results

    def format_result(self, result: Mapping[str, Any], verbose: bool = True) -> str:  # noqa: FBT001, FBT002 -- OcuNet's signature
        """The result as text: labels above their threshold and, if `verbose`, what each means and all other labels."""
        lines = [] if self._trained else [UNTRAINED]
        lines.append(f"Photograph: {result['image_path']}")
        if "error" in result:
            return "\n".join([*lines, f"Not assessed: {result['error']}"])
        predictions = result["all_predictions"]
        shown = result["detected_diseases"]
        reached = [label for label in result["probabilities"] if predictions[label]["detected"]]
        lines.append(f"Above threshold: {len(reached) or 'none'} of {len(predictions)} labels")
        for number, label in enumerate(shown, 1):
            lines.append(f"  {number}. {_line(label, predictions[label])}")
            if verbose:
                lines.append(f"     {predictions[label]['description']}")
        if cut := [label for label in reached if label not in shown]:
            lines.append(
                f"Above threshold too, left out of the list by its limits (at most {self.max_predictions}, "
                f"none under {percent(self.min_confidence)}): {', '.join(cut)}"
            )
        if verbose:
            lines.append("Below threshold:")
            lines += [
                f"  {_line(label, predictions[label])}" for label in result["probabilities"] if label not in reached
            ]
        return "\n".join([*lines, DISCLAIMER])

    def generate_report(self, result: Mapping[str, Any], output_path: PathLike | None = None) -> str:
        """The result as a document, with the model that spoke; written to `output_path` (UTF-8) if given.

        A report is decision support: it recommends no treatment.
        """
        bundle = self._classifier.bundle
        lines = ["OcuNet: reading of a fundus photograph", "Research use. " + DISCLAIMER, ""]
        lines += [self.format_result(result, verbose=True).removesuffix(DISCLAIMER).rstrip(), ""]
        if "error" not in result:
            lines += [BELOW, f"Probability is sigmoid(logit / {result['temperature']:g})."]
        lines.append(f"Model {bundle.name}, sha256 {bundle.digest}.")
        report = "\n".join(lines) + "\n"
        if output_path is not None:
            Path(output_path).write_text(report, encoding="utf-8")
        return report

    def _result(self, reading: Reading, image_path: str, *, optimised: bool) -> dict[str, Any]:
        if not reading.assessed:
            raise BadInput(reading.reasons[0])
        values = probabilities([score.logit for score in reading.scores], self.temperature)
        names = (score.label for score in reading.scores)
        found = dict(sorted(zip(names, map(float, values), strict=True), key=lambda item: -item[1]))
        default = self.default_threshold
        used = {label: self.thresholds.get(label, default) if optimised else default for label in found}
        detected = [label for label, value in found.items() if value >= used[label] and value >= self.min_confidence]
        detected = detected[: self.max_predictions]
        return {
            "detected_diseases": detected,
            "num_diseases": len(detected),
            "probabilities": found,
            "all_predictions": {
                label: {
                    "detected": found[label] >= used[label],
                    "probability": found[label],
                    "threshold": used[label],
                    "full_name": _full_name(BY_NAME[label]),
                    "description": _description(BY_NAME[label]),
                    "confidence": _confidence(found[label]),
                }
                for label in self.class_names
            },
            "image_path": image_path,
            "temperature": self.temperature,
        }


def _fitted(
    thresholds_path: PathLike | None, calibration_path: PathLike | None, checkpoint: Checkpoint
) -> tuple[float, dict[str, float], list[str]]:
    """Temperature, a threshold for each label, and what must be said about where they do not come from."""
    temperature, chosen, remarks = 1.0, dict[str, float](), list[str]()
    if calibration_path is not None and Path(calibration_path).is_file():
        calibration = read_calibration(Path(calibration_path), checkpoint.labels, partial=True)
        temperature, chosen = calibration.temperature, dict(calibration.thresholds or {})
    else:
        remarks.append(f"no calibration file ({calibration_path}): probabilities are not calibrated, temperature 1")
    if thresholds_path is not None and Path(thresholds_path).is_file():
        chosen = read_thresholds(Path(thresholds_path), checkpoint.labels, partial=True)
    if left := [label for label in checkpoint.labels if label not in chosen]:
        which = " ".join(left) if chosen else f"any label, and no thresholds file ({thresholds_path})"
        remarks.append(f"no fitted threshold for {which}: the checkpoint's {checkpoint.threshold:g} is used")
    return temperature, chosen | dict.fromkeys(left, checkpoint.threshold), remarks


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise BundleError(f"device {device!r} is not known") from error


def _load(path: Path, checkpoint: Checkpoint, device: str) -> Classifier:
    """The weights as a bundle that lives as long as it takes to load it; the same file has the same digest."""
    manifest = Manifest(
        name=re.sub(r"[^A-Za-z0-9 ._+-]", "-", f"checkpoint {path.stem}")[:64],
        created_at=datetime.fromtimestamp(int(path.stat().st_mtime), UTC),
        architecture=checkpoint.architecture,
        labels=checkpoint.labels,
        preprocess=checkpoint.preprocess,
        temperature=1.0,  # temperature and thresholds are this module's: a script may change them
        thresholds=dict.fromkeys(checkpoint.labels, checkpoint.threshold),
        quality=QualityLimits().to_dict(),
        calibrated=False,
        trained=checkpoint.trained,
    )
    with tempfile.TemporaryDirectory(prefix="ocunet-") as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(bundle, checkpoint.weights, manifest)
        return Classifier(bundle, device=device, allow_untrained=True)


def _line(label: str, prediction: Mapping[str, Any]) -> str:
    return (
        f"{prediction['full_name']} [{label}] {percent(prediction['probability'])} "
        f"(threshold {percent(prediction['threshold'])}, confidence {prediction['confidence'].lower()})"
    )


def _full_name(label: Label) -> str:
    """The training data's meaning; the model card's name behind it where that says something else."""
    card = label.model_card_name
    if not card or card == label.name or card.casefold() in label.display.casefold():
        return label.display
    return f"{label.display} (model card: {card})"


def _description(label: Label) -> str:
    """What kind of label it is, and what must be known beside it."""
    return f"{label.kind}; {label.caveat}" if label.caveat else label.kind


def _confidence(probability: float) -> str:
    return "HIGH" if probability >= HIGH else "MEDIUM" if probability >= MEDIUM else "LOW"
