"""Nothing is installed with the product under a licence that nobody has accepted, and the page says all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.release.licences import Accepted, page, problems
from tests.release.parts import Part, Unknown, parts, pins


@pytest.fixture(scope="module")
def accepted() -> Accepted:
    return Accepted.read(PROJECT / "tests" / "release" / "accepted-licences.yaml")


@pytest.fixture(scope="module")
def installed() -> list[Part]:
    return parts(pins(PROJECT / "constraints.txt"))


def test_every_licence_was_accepted(installed: list[Part], accepted: Accepted) -> None:
    assert not problems(installed, accepted)


def test_the_page_is_the_one_that_the_metadata_makes(installed: list[Part], accepted: Accepted) -> None:
    written = (PROJECT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert written == page(installed, accepted), "make licences"


def test_what_the_daemon_needs_and_what_comes_with_an_extra_are_told_apart(installed: list[Part]) -> None:
    extras = {part.name: part.extras for part in installed}
    assert extras["torch"] == ("", "postgres", "train")
    assert extras["psycopg-binary"] == ("postgres",), "an extra of a requirement of an extra"
    assert extras["tensorboard"] == ("train",)
    assert extras["mdurl"] == ("", "postgres", "train"), "three steps away"
    assert "pytest" not in extras


@pytest.mark.parametrize(
    ("licence", "problem"),
    [
        ("MIT", None),
        ("MIT OR GPL-3.0-only", None),
        ("MIT AND GPL-3.0-only", "GPL-3.0-only"),
        ("GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("Apache-2.0 WITH LLVM-exception", None),
        ("Free for non-commercial use", "non-commercial"),
        ("", "nothing said"),
    ],
)
def test_a_dependency_under_another_licence_is_refused(
    licence: str, problem: str | None, installed: list[Part], accepted: Accepted
) -> None:
    newcomer = replace(next(part for part in installed if part.name == "rich"), licence=licence)
    others = [part for part in installed if part.name != "rich"]
    found = problems([*others, newcomer], accepted)
    assert not found if problem is None else problem in "".join(found)


def test_an_explanation_is_for_the_licence_that_it_explains(installed: list[Part], accepted: Accepted) -> None:
    changed = [replace(part, licence="AGPL-3.0-only") if part.name == "fpdf2" else part for part in installed]
    (found,) = problems(changed, accepted)
    assert "AGPL" in found


def test_an_explanation_goes_with_its_package(installed: list[Part], accepted: Accepted) -> None:
    found = problems([part for part in installed if part.name != "fpdf2"], accepted)
    assert found == ["fpdf2: stands under explained, and is no part of an installation"]


def test_a_wheel_that_brings_libraries_is_named(installed: list[Part], accepted: Accepted) -> None:
    silent = replace(accepted, bundled={key: value for key, value in accepted.bundled.items() if key != "scipy"})
    assert problems(installed, silent) == ["scipy: its wheel brings libraries of others, which nobody has named"]


def test_a_package_without_a_version_is_named(tmp_path: Path) -> None:
    lines = (PROJECT / "constraints.txt").read_text().splitlines(keepends=True)
    fewer = tmp_path / "constraints.txt"
    fewer.write_text("".join(line for line in lines if not line.startswith(("Mako", "h11"))))
    with pytest.raises(Unknown, match="h11, mako"):
        parts(pins(fewer))
