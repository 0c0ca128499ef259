"""The recipe: OcuNet's by default, whole in one file, every mistake reported at once."""

import re

import pytest
import yaml

from tests.conftest import PROJECT
from training.errors import RecipeError
from training.recipe import Recipe, read_recipe, recipe_of, recipe_text


def test_the_defaults_are_ocunets():
    made = Recipe()
    learning, loss, random = made.optimisation, made.loss, made.augmentation
    assert (learning.learning_rate, learning.weight_decay, learning.batch_size) == (3e-4, 1e-4, 16)
    assert (learning.epochs, learning.warmup_epochs, learning.patience, learning.ema) == (200, 5, 30, 0.999)
    assert (loss.kind, loss.gamma_positive, loss.gamma_negative, loss.clip, loss.beta) == (
        "asymmetric",
        1,
        6,
        0.1,
        0.9999,
    )
    assert (random.rand_augment, random.magnitude, random.rotation, random.erasing) == (2, 7, 45, 0.3)
    assert (made.preprocess.roi_padding, made.preprocess.image_size, made.seed) == (0.05, 384, 42)


def test_what_is_printed_is_what_it_was(tmp_path):
    made = recipe_of({"name": "site", "data": {"labels": ["DR", "MYA"]}, "preprocess": {"image_size": 512}}, "x")
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(made))
    assert read_recipe(path) == made
    assert read_recipe(path).digest == made.digest != Recipe().digest


def test_every_choice_is_described():
    lines = recipe_text(Recipe()).splitlines()
    keys = [n for n, line in enumerate(lines) if ":" in line and not line.lstrip().startswith("#")]
    assert len(keys) > 40
    for n in keys:
        assert lines[n - 1].lstrip().startswith("# "), lines[n]
        assert len(lines[n - 1].strip()) > 5, lines[n]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"optimisation": {"epoch": 3}}, "optimisation.epoch: unknown key"),
        ({"optimisation": {"batch_size": 10, "accumulation": 4}}, "is not a multiple"),
        ({"network": {"architecture": "vgg"}}, "'vgg' is not known"),
        ({"network": {"start": "bundle"}}, "start bundle needs a path"),
        ({"data": {"labels": ["DR", "DRX"]}}, "'DRX' is not in the table"),
        ({"data": {"validation": 0.6, "test": 0.4}}, "leave nothing to train on"),
        ({"data": {"cache_size": 128}}, "smaller than preprocess.image_size"),
        ({"preprocess": {"image_sizes": 3}}, "unknown key 'image_sizes'"),
        ({"augmentation": {"zoom": [1.2, 0.8]}}, "the lower one first"),
        ([1], "r.yaml: recipe"),
    ],
)
def test_a_mistake_is_named(content, said):
    with pytest.raises(RecipeError) as caught:
        recipe_of(content, "r.yaml")
    assert said in str(caught.value)


def test_a_change_counts_as_if_the_file_said_it(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("optimisation: {epochs: 7}\n")
    changes = ["optimisation.ema=0.5", "data.labels=[DR, MYA]", "name=another", "network.start=nothing"]
    made = read_recipe(path, changes)
    assert (made.optimisation.epochs, made.optimisation.ema, made.name) == (7, 0.5, "another")
    assert (made.data.labels, made.network.start) == (("DR", "MYA"), "nothing")
    for change, said in [
        ("optimisation.emma=1", "optimisation.emma: unknown key"),
        ("ema", "ema: expected section.key=value"),
        ("name.first=x", "name.first=x: expected"),
        ("data.labels=[DR", "data.labels=[DR: expected"),
    ]:
        with pytest.raises(RecipeError, match=re.escape(said)):
            read_recipe(path, [*changes, change])


def test_a_file_that_is_no_yaml_says_where(tmp_path):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"seed": 1}) + "x: [1\n")
    with pytest.raises(RecipeError, match="line 3"):
        read_recipe(tmp_path / "r.yaml")


def test_the_sample_that_ships_is_what_the_command_prints():
    shipped = PROJECT / "config" / "training" / "ocunet-v4.yaml"
    assert shipped.read_text() == recipe_text(Recipe()), "ocunet-train recipe > config/training/ocunet-v4.yaml"
