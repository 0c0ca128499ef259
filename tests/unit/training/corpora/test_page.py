"""What docs/training-data.md says of options, mappings and layouts is what the command does."""

import re

import pytest
from typer.main import get_command

from tests.conftest import PROJECT
from training.cli.main import app
from training.corpora.labelled import list_csv
from training.corpora.mappings import folder_name, read_mapping, shipped

PAGE = (PROJECT / "docs" / "training-data.md").read_text(encoding="utf-8")


def test_every_option_on_the_page_exists_and_every_option_is_on_the_page():
    command = get_command(app).commands["manifest"]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert named <= options
    plain = {"--workers", "--decode", "--uid-column", "--frame-column", "--help", "-h"}
    assert options - named <= plain


def test_the_mapping_on_the_page_is_one(tmp_path):
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    mapping = read_mapping(tmp_path / "mine.yaml")
    assert mapping.findings("dr with glaucoma").positive == {"DR", "GLAUCOMA", "Disease_Risk"}
    assert mapping.classes["blurred"].left_out


def test_the_shipped_mappings_are_those_of_the_page():
    for mapping in shipped():
        [folders] = re.findall(rf"\| `{mapping.name}` \| (.*) \|", PAGE)
        listed = [part.strip().rpartition(": ") for part in re.split(r"[;,]", folders)]
        assert {folder_name(folder or label) for folder, _, label in listed} == mapping.classes.keys()
        for folder, _, label in listed:
            if folder:
                one = mapping.classes[folder_name(folder)]
                assert one.labels == ({label} if label != "left out" else set())


@pytest.mark.parametrize(
    "name", re.findall(r"^\| (?:picture|patient or group|eye[^|]*) \| ([^|]*) \|", PAGE, re.MULTILINE)
)
def test_the_usual_names_on_the_page_are_found(name, tmp_path, picture, table):
    for usual in name.split(", "):
        cells = {"image": "a.png", "DR": "1"} | {usual: "R"} if "image" not in name else {usual: "a.png", "DR": "1"}
        picture(tmp_path / "a.png")
        listing = list_csv(table(tmp_path / "a.csv", [cells]), key=b"x" * 32)
        assert len(listing.entries) == 1
        assert not any("not used" in remark for remark in listing.remarks)
