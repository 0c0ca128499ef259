"""The recipe of a training run: one YAML file, whose defaults are OcuNet v4's, with every choice in it.

A bundle's manifest holds the digest of the recipe that made it, so that a figure can be traced to all of its choices.
"""
# Annotations are evaluated by pydantic, so this module does not postpone them.

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.manifest import label_problems
from ocunet_pacs.model.network import BACKBONES
from training.errors import RecipeError

Auto: Final = "auto"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Span = Annotated[tuple[float, float], Field(description="lowest and highest, drawn evenly between")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _read_spec(value: object) -> PreprocessSpec:
    if isinstance(value, PreprocessSpec):
        return value
    if not isinstance(value, dict):
        raise ValueError("expected the keys of a preprocessing")  # noqa: TRY004 -- pydantic collects ValueErrors only
    return PreprocessSpec.from_dict(PreprocessSpec().to_dict() | value)


class Data(_Section):
    """What is learned from, and how it is kept apart."""

    labels: Annotated[
        tuple[str, ...] | Literal["auto"],
        Field(description="labels of the network, in order; auto: those with enough positives, in the table's order"),
    ] = "auto"
    minimum_positives: Annotated[
        int, Field(ge=1, description="training positives that a label needs, where labels is auto")
    ] = 10
    validation: Annotated[Share, Field(description="share of the groups for validation, where rows name no split")] = (
        0.15
    )
    test: Annotated[Share, Field(description="share of the groups for the test, where rows name no split")] = 0.15
    cache_size: Annotated[
        int | Literal["auto"],
        Field(description="side of the cached pictures in pixels; auto: the network's; larger keeps detail for zooms"),
    ] = "auto"
    workers: Annotated[
        int | Literal["auto"], Field(description="processes that read, prepare and augment; auto: one a processor")
    ] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ValueError("validation and test leave nothing to train on")
        if self.labels != Auto and (problems := label_problems(self.labels)):
            raise ValueError("; ".join(problems))
        return self


class Network(_Section):
    """Which network, and from where it starts."""

    architecture: Annotated[str, Field(description=f"one of {', '.join(BACKBONES)}")] = "efficientnet_b3"
    dropout: Annotated[Share, Field(description="of the head's first layer; the others have .8, .6 and .4 of it")] = 0.4
    start: Annotated[
        Literal["imagenet", "nothing", "checkpoint", "bundle"],
        Field(
            description="imagenet (timm must reach its weights), nothing, an OcuNet checkpoint, or one of our bundles"
        ),
    ] = "imagenet"
    weights: Annotated[
        Path | None,
        Field(
            description="the checkpoint or the bundle's folder; for imagenet a file of timm's weights, if not fetched"
        ),
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.architecture not in BACKBONES:
            raise ValueError(f"architecture: {self.architecture!r} is not known (known: {', '.join(BACKBONES)})")
        if self.start in {"checkpoint", "bundle"} and self.weights is None:
            raise ValueError(f"weights: start {self.start} needs a path")
        if self.start == "nothing" and self.weights is not None:
            raise ValueError("weights: start nothing takes none")
        return self


class Loss(_Section):
    """What is minimised, over the labels that are known of each photograph."""

    kind: Annotated[Literal["asymmetric", "focal", "bce"], Field(description="asymmetric, focal or bce")] = "asymmetric"
    gamma_positive: Annotated[float, Field(ge=0.0, description="asymmetric: focusing of positives")] = 1.0
    gamma_negative: Annotated[float, Field(ge=0.0, description="asymmetric: focusing of negatives")] = 6.0
    clip: Annotated[Share, Field(description="asymmetric: added to a negative's probability of being right")] = 0.1
    gamma: Annotated[float, Field(ge=0.0, description="focal: focusing of both")] = 2.0
    weights: Annotated[
        Literal["effective_number", "none"], Field(description="of positives: effective_number of samples, or none")
    ] = "effective_number"
    beta: Annotated[float, Field(ge=0.0, lt=1.0, description="of the effective number")] = 0.9999


class Augmentation(_Section):
    """What is random about a picture in each epoch. A fundus is never turned upside down."""

    rand_augment: Annotated[int, Field(ge=0, description="operations of RandAugment for each picture; 0: none")] = 2
    magnitude: Annotated[int, Field(ge=0, le=30, description="of those operations, of 30")] = 7
    rotation: Annotated[float, Field(ge=0.0, le=180.0, description="degrees to either side")] = 45.0
    shear: Annotated[float, Field(ge=0.0, le=45.0, description="degrees to either side")] = 0.0
    zoom: Span = (0.8, 1.2)
    horizontal_flip: Annotated[Share, Field(description="probability")] = 0.5
    brightness: Span = (0.7, 1.3)
    contrast: Span = (0.7, 1.3)
    saturation: Span = (0.8, 1.2)
    hue: Annotated[float, Field(ge=0.0, le=0.5, description="turns of the colour wheel to either side")] = 0.05
    erasing: Annotated[Share, Field(description="probability that a rectangle is erased")] = 0.3
    erased_area: Span = (0.02, 0.2)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("zoom", "brightness", "contrast", "saturation", "erased_area"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(f"{name}: expected two numbers above 0, the lower one first")
        return self


class Optimisation(_Section):
    """How the network learns. `batch_size` is what one optimiser step sees, over all processes and accumulations."""

    epochs: Annotated[int, Field(ge=1, description="at most")] = 200
    batch_size: Annotated[int, Field(ge=1, description="photographs in one optimiser step, over all processes")] = 16
    accumulation: Annotated[int, Field(ge=1, description="passes that one step is made of, for little memory")] = 1
    learning_rate: Annotated[Positive, Field(description="after warm-up")] = 3e-4
    final_learning_rate: Annotated[float, Field(ge=0.0, description="at the end of the cosine")] = 1e-7
    warmup_epochs: Annotated[float, Field(ge=0.0, description="of linear warm-up; then cosine, step by step")] = 5.0
    weight_decay: Annotated[float, Field(ge=0.0, description="AdamW's")] = 1e-4
    clip_norm: Annotated[float, Field(ge=0.0, description="gradients are scaled down to this norm; 0: never")] = 1.0
    ema: Annotated[float, Field(ge=0.0, lt=1.0, description="decay of the averaged weights; 0: none")] = 0.999
    patience: Annotated[int, Field(ge=0, description="epochs without a better validation mAP; 0: never stop early")] = (
        30
    )
    sampler: Annotated[
        Literal["weighted", "shuffled"],
        Field(description="weighted by the inverse frequency of a picture's rarest label, or every picture once"),
    ] = "weighted"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(description="of the passes; auto: bfloat16 or float16 on a GPU, float32 on a CPU"),
    ] = "auto"
    checkpoint_steps: Annotated[
        int, Field(ge=0, description="steps between checkpoints within an epoch; 0: at its end only")
    ] = 500


class Calibration(_Section):
    """What is fitted on the validation split, and on nothing else."""

    temperature: Annotated[
        Literal["one", "per_label", "none"], Field(description="one for all labels, one for each, or none")
    ] = "one"
    thresholds: Annotated[
        Literal["f1", "precision_at_recall", "sensitivity"],
        Field(description="best F1, best precision at `recall` or more, or the highest that keeps `sensitivity`"),
    ] = "f1"
    recall: Annotated[Share, Field(description="for precision_at_recall")] = 0.8
    sensitivity: Annotated[Share, Field(description="for sensitivity, and for the operating point `screening`")] = 0.9
    operating_points: Annotated[
        tuple[Literal["f1", "precision_at_recall", "sensitivity"], ...],
        Field(description="further sets of thresholds that the bundle carries, under these names"),
    ] = ()


class Export(_Section):
    """How the bundle is written, once it is calibrated."""

    half: Annotated[
        bool, Field(description="large weights as float16: half the size; refused where a probability moves by 0.005")
    ] = False
    prepare: Annotated[
        bool, Field(description="the fast CPU runtime's files too: more than the weights; a bundle is good without")
    ] = True
    drift: Annotated[
        bool, Field(description="what the validation photographs look like, for the drift watch; takes 100 of them")
    ] = True


class Evaluation(_Section):
    """What is asked besides how good the bundle is on the test split."""

    without: Annotated[
        tuple[str, ...],
        Field(description="sources, for each of which another network is trained that never saw one of its pictures"),
    ] = ()


class Recipe(_Section):
    """All of it. Equal recipes on equal data, on one device, give equal weights."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}$", description="the bundle's name")] = (
        "ocunet-site"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of everything that is random")] = 42
    preprocess: Annotated[
        PreprocessSpec,
        PlainValidator(_read_spec),
        PlainSerializer(PreprocessSpec.to_dict),
        Field(description="how serving and training alike make a tensor of a photograph; the bundle carries it"),
    ] = PreprocessSpec()
    data: Data = Data()
    network: Network = Network()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    optimisation: Optimisation = Optimisation()
    calibration: Calibration = Calibration()
    export: Export = Export()
    evaluation: Evaluation = Evaluation()
    research: Annotated[
        bool, Field(description="for research only: reports and heatmaps of this bundle say so before anything else")
    ] = False
    notes: Annotated[
        dict[str, str], Field(description="whatever the model card should say: data, terms, known failures")
    ] = {}

    @property
    def cache_spec(self) -> PreprocessSpec:
        """The preprocessing of the cached pictures: the network's, larger where the recipe says so."""
        side = self.preprocess.image_size if self.data.cache_size == Auto else self.data.cache_size
        return PreprocessSpec.from_dict(self.preprocess.to_dict() | {"image_size": side})

    @property
    def digest(self) -> str:
        """sha256 (hex) over every choice."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.optimisation.batch_size % self.optimisation.accumulation:
            raise ValueError("optimisation.batch_size: is not a multiple of optimisation.accumulation")
        if self.cache_spec.image_size < self.preprocess.image_size:
            raise ValueError("data.cache_size: is smaller than preprocess.image_size")
        return self


def read_recipe(path: Path | None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file; OcuNet's where `path` is None. RecipeError lists every problem.

    `changes` are made to it: `section.key=value`, or `key=value`, with the value in YAML.
    """
    content, where = ({}, "recipe") if path is None else (_content(path), path.name)
    if changes and isinstance(content, dict):
        content = _changed(content, changes)
    return recipe_of(content, where)


def _content(path: Path) -> object:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise RecipeError([f"{path}: cannot be read: {error.strerror}"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError([f"{path}: not valid YAML{where}"]) from None
    return {} if content is None else content


def _changed(content: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of the nested mappings with the changes made; whether there are such keys is for the recipe to say."""
    changed = copy.deepcopy(content)
    for change in changes:
        path, equals, text = change.partition("=")
        *sections, key = path.strip().split(".")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            equals = ""
        place = changed
        for section in sections:
            place = place.setdefault(section, {}) if isinstance(place, dict) else {}
        if not (equals and key and isinstance(place, dict)):
            raise RecipeError([f"{change}: expected section.key=value, as optimisation.ema=0.9998"])
        place[key] = value
    return changed


def recipe_of(content: object, where: str) -> Recipe:
    """The recipe in nested mappings; `where` names their file in errors. RecipeError lists every problem."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(
            [
                f"{where}: {'.'.join(str(part) for part in fault['loc']) or 'recipe'}: "
                f"{'unknown key' if fault['type'] == 'extra_forbidden' else fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def recipe_text(recipe: Recipe) -> str:
    """The recipe as commented YAML: every key, what it is for, and its value here."""
    lines = ["# A recipe for `ocunet-train run`: every choice, with its value. Delete what you do not change."]
    for name, field in Recipe.model_fields.items():
        value = getattr(recipe, name)
        lines.append("")
        if isinstance(value, _Section):
            lines += [f"# {type(value).__doc__}", f"{name}:"]
            for key, described in type(value).model_fields.items():
                lines += [f"  # {_described(described)}", f"  {key}: {_yaml(getattr(value, key))}"]
        else:
            lines += [f"# {_described(field)}", f"{name}: {_yaml(value)}"]
    return "\n".join(lines) + "\n"


def _described(field: Any) -> str:  # noqa: ANN401 -- pydantic's FieldInfo, or the description of its annotation
    return str(field.description or next((m.description for m in field.metadata if hasattr(m, "description")), ""))


def _yaml(value: object) -> str:
    if isinstance(value, PreprocessSpec):
        value = value.to_dict()
    plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("...\n").strip()
