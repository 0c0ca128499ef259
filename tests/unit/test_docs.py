"""What the pages show as settings is read as settings, and what they refer to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ocunet_pacs.intake.watch import read_name
from ocunet_pacs.settings import from_tree
from tests.conftest import PROJECT

PAGES = [PROJECT / name for name in ("README.md", "CHANGELOG.md")] + sorted((PROJECT / "docs").glob("**/*.md"))


def examples(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "section"),
    [
        ("web-intake.md", "stow"),
        ("delivery.md", "destinations"),
        ("watch-folder.md", "watch"),
        ("record-systems.md", "records"),
        ("notifications.md", "notifications"),
        ("viewers.md", "destinations"),
        ("shadow.md", "shadow"),
        ("drift.md", "drift"),
        ("setup-orthanc.md", "sources"),
        ("setup-dcm4chee.md", "sources"),
        ("audit.md", "audit"),
        ("console.md", "console"),
    ],
)
def test_the_examples_of_a_page_are_settings(page: str, section: str) -> None:
    found = [from_tree(yaml.safe_load(example)) for example in examples(page)]
    assert found
    assert all(getattr(settings, section) for settings in found)


def test_the_example_of_a_pattern_takes_the_names_beside_it() -> None:
    pattern = from_tree(yaml.safe_load(examples("watch-folder.md")[0])).watch[0].pattern
    for name in ("4711_OD_20260301.jpg", "4711_OS_20260301_2.png"):
        facts = read_name(pattern, name)
        assert facts is not None
        assert facts.patient_id == "4711"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        again = next(
            number for number in range(len(found) + 1) if (f"{name}-{number}" if number else name) not in found
        )
        found.add(f"{name}-{again}" if again else name)
    return found


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", without_code(page)))
    broken = []
    for target in targets:
        file, _, anchor = target.partition("#")
        if "://" in file or file.startswith("mailto:"):
            continue
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_and_file_that_is_named_is_there(page: Path) -> None:
    """Names between backticks, from the project's root or from the page's folder."""
    text = " ".join(without_code(page).split())
    named = re.findall(r"`((?:docs|tests|ocunet_pacs|training|config|systemd|migrations)/[\w./-]+\.[a-z]+)`", text)
    assert not [name for name in named if not (PROJECT / name).exists()]


def test_every_page_can_be_found_from_the_readme() -> None:
    seen, todo = set(), [PROJECT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        text = page.read_text(encoding="utf-8")
        names = [page.parent / name for name in re.findall(r"\]\(([^)#\s]+\.md)", text)]
        names += [PROJECT / name for name in re.findall(r"`(docs/[\w-]+\.md)`", text)]
        todo += [name.resolve() for name in names if name.exists()]
    assert not {page.name for page in PAGES if page not in seen}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        assert f"def {name}(" in (PROJECT / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_the_examples_for_any_camera_and_archive_are_settings() -> None:
    for example in examples("setup-generic.md"):
        assert from_tree(yaml.safe_load(example)) != from_tree({})
