"""The audit of packages: what is known and not accepted fails, and so does what nobody looked up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.release.audit import LONGEST, Exemption, Outcome, ask, judge, read_exemptions

TODAY = date(2026, 11, 28)
KNOWN = {"id": "PYSEC-2026-7", "aliases": ["CVE-2026-1234"], "fix_versions": ["3.2"]}


def package(name: str, *found: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "3.1", "vulns": list(found)}


def exemption(until: date, name: str = "CVE-2026-1234") -> Exemption:
    return Exemption(name, "Jinja2", "Only templates of ours are rendered here.", until)


def test_nothing_known_is_clean() -> None:
    outcome, said = judge({"dependencies": [package("jinja2"), package("rich")]}, [], TODAY)
    assert outcome is Outcome.CLEAN
    assert said == ["2 packages were looked up; 0 vulnerabilities to see to"]


def test_a_vulnerability_fails_and_says_what_mends_it() -> None:
    outcome, said = judge({"dependencies": [package("jinja2", KNOWN)]}, [], TODAY)
    assert outcome is Outcome.FOUND
    assert said[0] == "jinja2 3.1: PYSEC-2026-7, mended in 3.2"


@pytest.mark.parametrize("name", ["CVE-2026-1234", "PYSEC-2026-7"])
def test_an_accepted_one_passes_under_any_of_its_names(name: str) -> None:
    answer = {"dependencies": [package("jinja2", KNOWN)]}
    assert judge(answer, [exemption(TODAY, name)], TODAY)[0] is Outcome.CLEAN


def test_an_acceptance_ends_and_is_for_one_package() -> None:
    answer = {"dependencies": [package("jinja2", KNOWN)]}
    outcome, said = judge(answer, [exemption(date(2026, 11, 27))], TODAY)
    assert outcome is Outcome.FOUND
    assert "was accepted until 2026-11-27" in said[0]
    assert judge({"dependencies": [package("rich", KNOWN)]}, [exemption(TODAY)], TODAY)[0] is Outcome.FOUND


def test_a_package_that_was_not_looked_up_is_not_clean() -> None:
    """pip-audit itself says "No known vulnerabilities found" here, and ends with success."""
    answer = {"dependencies": [package("rich"), {"name": "jinja2", "skip_reason": "Dependency not found"}]}
    outcome, said = judge(answer, [], TODAY)
    assert outcome is Outcome.NOT_LOOKED_UP
    assert said[0].startswith("1 of 2 packages were looked up")
    answer["dependencies"].append(package("mako", KNOWN))
    assert judge(answer, [], TODAY)[0] is Outcome.FOUND


@pytest.mark.parametrize("answer", [{"dependencies": []}, {"dependencies": [], "failure": "no route to host"}])
def test_no_answer_is_not_clean(answer: dict[str, Any]) -> None:
    assert judge(answer, [], TODAY)[0] is Outcome.NOT_LOOKED_UP


def test_a_service_that_cannot_be_reached_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip-audit, with every way out of this machine closed."""
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("rich==15.0.0\n")
    for key in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(key, "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_AUDIT_PROGRESS_SPINNER", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    outcome, said = judge(ask(constraints), [], TODAY)
    assert outcome is Outcome.NOT_LOOKED_UP
    assert said[0].startswith("0 of ")


def test_what_this_release_goes_out_with_is_explained_and_will_be_looked_at_again() -> None:
    today = datetime.now(UTC).date()
    for entry in read_exemptions(PROJECT / "tests" / "release" / "accepted-vulnerabilities.yaml"):
        assert today <= entry.until <= today + LONGEST, entry.id


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{id: CVE-1, package: rich, until: 2027-01-01}", "must have"),
        ("{id: CVE-1, package: rich, reason: because, until: 2027-01-01}", "a sentence"),
        ("{id: CVE-1, package: rich, reason: nothing here ever calls it, until: soon}", "a day"),
    ],
)
def test_an_exemption_says_why_and_how_long(line: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(f"- {line}\n")
    with pytest.raises(ValueError, match=wrong):
        read_exemptions(path)
