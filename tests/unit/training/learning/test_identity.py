"""What a resumption may change, and what it is told where it may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.learning.conftest import LABELS, rows
from training.errors import RunError
from training.learning.identity import Identity, data_digest, identity_of
from training.recipe import Recipe, recipe_of

TRAINING, VALIDATION = rows(12), rows(6, start=50)


def identity(changes: dict[str, Any] | None = None, **other: Any) -> Identity:
    chosen = recipe_of(changes, "test") if changes else Recipe()
    rows_of = {"training": TRAINING, "validation": VALIDATION} | other
    data = data_digest(rows_of["training"], rows_of["validation"])
    return identity_of(chosen, other.get("labels", LABELS), data, other.get("passes", 1))


def refusal(now: Identity) -> str:
    with pytest.raises(RunError) as caught:
        now.check(identity().to_dict(), Path("runs/one"))
    return str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other", "notes": {"terms": "none"}},
        {"data": {"workers": 3, "validation": 0.2}},
        {"optimisation": {"patience": 3, "checkpoint_steps": 7, "accumulation": 2}},  # passes are compared themselves
        {"calibration": {"temperature": "none"}},
    ],
)
def test_what_does_not_change_the_weights_may_change(changes: dict[str, Any]) -> None:
    identity(changes).check(identity().to_dict(), Path("run"))


def test_everything_that_differs_is_listed() -> None:
    said = refusal(
        identity(
            {"seed": 1, "optimisation": {"learning_rate": 1e-3, "epochs": 300}, "preprocess": {"image_size": 256}},
            labels=("MH", "DR", "RP"),
            training=TRAINING[:-1],
            passes=4,
        )
    )
    assert said.splitlines()[0].startswith("runs/one: cannot be resumed, for it is another run's")
    assert [line.strip() for line in said.splitlines()[1:]] == [
        "recipe: optimisation.epochs was 200, is 300",
        "recipe: optimisation.learning_rate was 0.0003, is 0.001",
        "recipe: preprocess.image_size was 384, is 256",
        "recipe: seed was 42, is 1",
        "labels: gone NORMAL; new RP",
        "data: the rows of training or validation are others, or in another order, or labelled otherwise",
        "processes times optimisation.accumulation was 1, is 4",
    ]


def test_the_order_of_labels_counts() -> None:
    assert "the order differs" in refusal(identity(labels=LABELS[::-1]))


@pytest.mark.parametrize("fault", ["order", "side", "label", "pixels"])
def test_other_rows_are_other_data(fault: str) -> None:
    one = TRAINING[0]
    changed = {
        "order": {"training": TRAINING[::-1]},
        "side": {"training": VALIDATION, "validation": TRAINING},
        "label": {"training": [replace(one, positive=one.positive ^ {"RP"}), *TRAINING[1:]]},
        "pixels": {"validation": [replace(VALIDATION[0], digest="0" * 64), *VALIDATION[1:]]},
    }[fault]
    assert "data: " in refusal(identity(**changed))


def test_where_a_file_lies_does_not_matter() -> None:
    moved = [replace(row, image=f"elsewhere/{row.image}") for row in TRAINING]
    identity(training=moved).check(identity().to_dict(), Path("run"))
