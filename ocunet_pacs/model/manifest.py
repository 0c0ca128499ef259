"""What a bundle says about its weights: `manifest.json`, read strictly and written in exactly one way.

The digest that identifies a bundle everywhere (reports, the keys of analyses) is the sha256 over the canonical manifest
without its digest fields, followed by the sha256 of the weights.
"""
# Annotations are evaluated by pydantic, so this module does not postpone them.

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from ocunet_pacs.domain.errors import BundleError, UntrainedBundle
from ocunet_pacs.domain.labels import BY_NAME
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.imaging.quality_limits import QualityLimits

MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "model.safetensors"
DEFAULT_POINT: Final = "default"
"""The name of the operating point that `Manifest.thresholds` are."""
_DIGESTS: Final = {"weights_sha256", "bundle_sha256"}
_ABSENT_WHEN_EMPTY: Final = ("label_temperatures", "operating_points", "quality", "research")


def _read_spec(value: object) -> PreprocessSpec:
    if isinstance(value, PreprocessSpec):
        return value
    if not isinstance(value, dict):
        raise ValueError("is not a mapping")  # noqa: TRY004 -- pydantic collects ValueErrors only
    return PreprocessSpec.from_dict(value)


Spec = Annotated[PreprocessSpec, PlainValidator(_read_spec), PlainSerializer(PreprocessSpec.to_dict)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PointName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}$")]
"""At most 64 plain characters: the name goes into DICOM elements of value representation LO (PS3.5 section 6.2)."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Provenance(_Strict):
    """Where the weights and their calibration come from; empty where nobody knows.

    `source_sha256` is the file that the weights were taken from, `epoch` and `metrics` are its training record,
    `config_sha256` identifies the training configuration, `software` maps packages to versions, `temperature_from` and
    `thresholds_from` say in words who chose them, `notes` holds whatever else a model card needs (data, terms).
    """

    source_sha256: Sha256 | None = None
    epoch: int | None = None
    metrics: dict[str, float] = {}
    config_sha256: Sha256 | None = None
    software: dict[str, str] = {}
    temperature_from: str = ""
    thresholds_from: str = ""
    notes: dict[str, str] = {}


class Manifest(_Strict):
    """Everything but the numbers. `labels` are in the order of the network's outputs.

    `label_temperatures` are those of labels that have one of their own; the others have `temperature`.
    `calibrated`: temperature and thresholds were fitted to this model. `trained`: the weights come out of a training
    run. `research`: they are for research only, and whatever they say says so first. `operating_points` are thresholds
    under other names ("screening"), of which a site may choose one; `quality` are the limits of a gradable photograph.
    The two digests are empty until the bundle is written (`sealed`).
    """

    format_version: Literal[1] = 1
    name: Name
    created_at: AwareDatetime
    architecture: str
    labels: tuple[str, ...]
    preprocess: Spec
    temperature: float
    label_temperatures: dict[str, float] = {}
    thresholds: dict[str, float]
    operating_points: dict[PointName, dict[str, float]] = {}
    quality: dict[str, Any] = {}
    calibrated: bool
    trained: bool
    research: bool = False
    provenance: Provenance = Provenance()
    weights_sha256: str = ""
    bundle_sha256: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [
            *label_problems(self.labels),
            *temperature_problems(self.temperature),
            *self._label_temperature_problems(),
            *threshold_problems(self.thresholds, self.labels),
            *self._point_problems(),
            *self._quality_problems(),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _label_temperature_problems(self) -> list[str]:
        problems = [
            f"label_temperatures.{label}: the model has no such label"
            for label in self.label_temperatures
            if label not in self.labels
        ]
        for label, temperature in self.label_temperatures.items():
            problems += [f"label_temperatures.{label}.{problem}" for problem in temperature_problems(temperature)]
        return problems

    def _point_problems(self) -> list[str]:
        problems = [
            f"operating_points.{point}.{problem}"
            for point, thresholds in self.operating_points.items()
            for problem in threshold_problems(thresholds, self.labels)
        ]
        if DEFAULT_POINT in self.operating_points:
            problems.append(f"operating_points.{DEFAULT_POINT}: this name is for `thresholds`")
        return problems

    def _quality_problems(self) -> list[str]:
        try:
            QualityLimits.from_dict(self.quality or QualityLimits().to_dict())
        except ValueError as error:
            return [str(error)]
        return []

    def thresholds_at(self, operating_point: str) -> Mapping[str, float]:
        """Each label's threshold at a named operating point; "default" are `thresholds`. BundleError."""
        points = {DEFAULT_POINT: self.thresholds, **self.operating_points}
        if operating_point not in points:
            raise BundleError(
                f"bundle {self.name!r} has no operating point {operating_point!r} (it has: {', '.join(points)})"
            )
        return points[operating_point]

    @property
    def temperatures(self) -> tuple[float, ...]:
        """What each label's logit is divided by, in the order of `labels`."""
        return tuple(self.label_temperatures.get(label, self.temperature) for label in self.labels)

    @property
    def missing_labels(self) -> tuple[str, ...]:
        """OcuNet's labels that this bundle does not know: it says nothing about them, which is not a negative."""
        return tuple(label for label in BY_NAME if label not in self.labels)

    @property
    def quality_limits(self) -> QualityLimits | None:
        """What the bundle asks of a photograph; None where it was made without such limits."""
        return QualityLimits.from_dict(self.quality) if self.quality else None

    @property
    def digest(self) -> str:
        """sha256 (hex) that identifies the bundle: everything in this manifest, and through it the weights."""
        content = {key: value for key, value in self._content().items() if key not in _DIGESTS}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256((canonical + self.weights_sha256).encode("ascii")).hexdigest()

    def require_trained(self, *, allow_untrained: bool) -> None:
        """UntrainedBundle unless the weights were trained or the settings allow it all the same."""
        if not (self.trained or allow_untrained):
            raise UntrainedBundle(
                f"the weights of bundle {self.name!r} are untrained and their results mean nothing; "
                "set model.allow_untrained: true to run them all the same (for tests and demonstrations)"
            )

    def sealed(self, weights_sha256: str) -> "Manifest":
        """The same manifest with both digests filled in."""
        manifest = self.model_copy(update={"weights_sha256": weights_sha256})
        return manifest.model_copy(update={"bundle_sha256": manifest.digest})

    def to_bytes(self) -> bytes:
        """The file: ASCII JSON, two spaces, fields in the order of this class, a line end."""
        return json.dumps(self._content(), indent=2, allow_nan=False).encode("ascii") + b"\n"

    def _content(self) -> dict[str, Any]:
        """Plain JSON. Fields that older bundles lack are left out while they are empty, so that those stay valid."""
        content = self.model_dump(mode="json")
        return {key: value for key, value in content.items() if value or key not in _ABSENT_WHEN_EMPTY}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`, as `parse_manifest` checks it. Reads no weights and loads no torch."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_manifest(content, str(path))


def read_weights(folder: Path, manifest: Manifest) -> bytes:
    """The content of the bundle's file of weights. BundleError when it is not the manifest's."""
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != manifest.weights_sha256:
        raise BundleError(f"{path}: its sha256 is not the manifest's weights_sha256")
    return content


def parse_manifest(content: bytes, where: str) -> Manifest:
    """The sealed manifest in `content`; `where` names the file in errors.

    BundleError names every unknown or missing key and wrong value; it also refuses a digest that does not belong to the
    content, and any other way to write the same content than `Manifest.to_bytes`.
    """
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise BundleError("\n".join(f"{where}: {line}" for line in validation_problems(error))) from None
    if manifest.bundle_sha256 != manifest.digest or manifest.to_bytes() != content:
        raise BundleError(f"{where}: bundle_sha256 does not match, the file was changed after it was written")
    return manifest


def validation_problems(error: ValidationError) -> list[str]:
    """One line for each problem that pydantic found: the key's path and what is wrong with it."""
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        text = str(problem.get("ctx", {}).get("error", problem["msg"]))
        lines.append(f"{path}: {text}" if path else text)
    return lines


def label_problems(labels: Sequence[str]) -> list[str]:
    """One line for each fault: labels are those of `domain.labels`, each at most once, at least one."""
    if not labels:
        return ["labels: there are none"]
    problems = [f"labels: {label!r} is not in the table of labels" for label in labels if label not in BY_NAME]
    if len(set(labels)) != len(labels):
        problems.append("labels: one occurs twice")
    return problems


def temperature_problems(temperature: object) -> list[str]:
    """A line unless it is a positive, finite number."""
    if _is_number(temperature, 0.0, math.inf) and temperature != 0:
        return []
    return [f"temperature: {temperature!r} is not a positive number"]


def threshold_problems(thresholds: Mapping[str, object], labels: Sequence[str]) -> list[str]:
    """One line for each label without a threshold in [0, 1], and for each threshold without a label."""
    problems = [f"thresholds.{label}: is missing" for label in labels if label not in thresholds]
    for label, value in thresholds.items():
        if label not in labels:
            problems.append(f"thresholds.{label}: the model has no such label")
        elif not _is_number(value, 0.0, 1.0):
            problems.append(f"thresholds.{label}: {value!r} is not a number from 0 to 1")
    return problems


def _is_number(value: object, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and low <= value <= high
