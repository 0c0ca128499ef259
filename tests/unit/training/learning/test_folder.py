"""One process trains in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.training.learning.conftest import LABELS
from training.errors import RunError
from training.learning.folder import describe, held
from training.recipe import Recipe, read_recipe


def test_two_do_not_train_in_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with held(folder), pytest.raises(RunError, match="another process trains there"), held(folder):
        pass
    with held(folder):  # it is free again
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunError, match="file/run: cannot be made or opened: Not a directory"),
        held(tmp_path / "file" / "run"),
    ):
        pass


def test_recipe_and_labels_lie_there_to_be_read(tmp_path: Path) -> None:
    chosen = Recipe(seed=7)
    describe(tmp_path, chosen, LABELS)
    assert read_recipe(tmp_path / "recipe.yaml") == chosen
    assert (tmp_path / "labels.txt").read_text().split() == list(LABELS)
