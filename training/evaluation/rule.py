"""A site's rule for promotion: what a candidate must show before it takes the active bundle's place."""
# Annotations are evaluated by pydantic, so this module does not postpone them.

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ocunet_pacs.domain.labels import BY_NAME, Urgency
from training.errors import PromotionError

Least = Annotated[float | None, Field(ge=-1.0, le=1.0)]


class Rule(BaseModel):
    """Every condition must hold. A condition that is null is not asked.

    Differences are the candidate's figure less the active bundle's, and their lower bounds are those of the paired
    bootstrap by patient at `level`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum_groups: Annotated[
        int, Field(ge=1, description="patients on whom both must have been judged; fewer show nothing")
    ] = 100
    unseen: Annotated[
        bool, Field(description="ask for proof that the candidate was not made with the photographs that judge it")
    ] = True
    unscored: Annotated[
        float | None,
        Field(ge=0.0, le=1.0, description="at most this share of what the active bundle scores may be refused"),
    ] = 0.02
    lost_labels: Annotated[
        tuple[str, ...] | None, Field(description="labels of the active bundle that the candidate need not know")
    ] = ()
    mean_average_precision: Annotated[Least, Field(description="lower bound of the difference of the mAP")] = -0.01
    mean_specificity: Annotated[
        Least, Field(description="lower bound of the difference of the mean specificity, against false alarms")
    ] = -0.02
    label_auroc: Annotated[
        Least, Field(description="lower bound of the difference of each label's AUROC, where it has enough positives")
    ] = -0.05
    label_auroc_positives: Annotated[
        int, Field(ge=1, description="positives that a label needs for that; with fewer the bound is always far below")
    ] = 50
    urgent_sensitivity: Annotated[
        Least,
        Field(description="difference of the sensitivity at the thresholds, to all urgent labels' positives together"),
    ] = 0.0
    urgent_label_lower: Annotated[
        bool, Field(description="refuse as well where the sensitivity to one urgent label is lower beyond chance")
    ] = True
    urgencies: Annotated[tuple[Urgency, ...], Field(description="urgencies of the labels meant by these two")] = (
        Urgency.URGENT,
        Urgency.EMERGENCY,
    )
    urgent_positives: Annotated[int, Field(ge=1, description="positives that an urgent label needs for the second")] = 5
    calibration_error: Annotated[
        float | None, Field(ge=0.0, le=1.0, description="at most: the candidate's expected calibration error, mean")
    ] = 0.08
    draws: Annotated[int, Field(ge=100, description="resamplings of the patients behind every bound")] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of those resamplings")] = 0
    level: Annotated[
        float,
        Field(gt=0.5, lt=1.0, description="of the intervals whose lower bounds are meant: 0.95 leaves 2.5 % below"),
    ] = 0.95

    @model_validator(mode="after")
    def _consistent(self) -> "Rule":
        if unknown := [label for label in self.lost_labels or () if label not in BY_NAME]:
            raise ValueError(f"lost_labels: {', '.join(unknown)}: not in the table of labels")
        return self


def read_rule(path: Path | None) -> Rule:
    """The rule in a YAML file; the default one where `path` is None. PromotionError lists every problem."""
    if path is None:
        return Rule()
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise PromotionError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise PromotionError(f"{path}: not valid YAML{where}") from None
    try:
        return Rule.model_validate({} if content is None else content)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise PromotionError("\n".join(f"{path.name}: {_fault(fault)}" for fault in faults)) from None


def rule_text(rule: Rule) -> str:
    """The rule as commented YAML: every condition, what it asks, and its figure here."""
    lines = [
        "# When may a candidate take the active bundle's place? The rule of `ocunet-train promote`.",
        "# Every condition must hold; null switches one off. Differences are candidate less active bundle.",
    ]
    for name, field in Rule.model_fields.items():
        described = field.description or next(m.description for m in field.metadata if hasattr(m, "description"))
        value = rule.model_dump(mode="json")[name]
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
        lines += ["", f"# {described}", f"{name}: {text}"]
    return "\n".join(lines) + "\n"


def _fault(fault: Any) -> str:  # noqa: ANN401 -- pydantic's ErrorDetails
    path = ".".join(str(part) for part in fault["loc"]) or "rule"
    said = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return f"{path}: {said}"
