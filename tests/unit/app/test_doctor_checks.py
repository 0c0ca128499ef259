"""How the checks of `doctor` are made: at once, each with its time, none the end of another."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ocunet_pacs.app.doctor import checks
from ocunet_pacs.app.doctor_checks import (
    Check,
    Finding,
    Level,
    Verdict,
    examine,
    fault,
    fault_of,
    ok,
    together,
    warning,
)
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.cli.doctor import as_document, line, show
from ocunet_pacs.cli.main import app
from ocunet_pacs.domain.errors import ConfigError, PeerUnavailable
from ocunet_pacs.settings import from_tree
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from typing import NoReturn

VERDICTS = st.builds(Verdict, st.sampled_from(Level), st.text(max_size=9), st.text(max_size=9))


def test_checks_run_side_by_side_and_are_found_in_their_order() -> None:
    """The first can end only when the last has begun."""
    begun = threading.Event()

    def first() -> Verdict:
        return ok("others run too") if begun.wait(20) else fault("nobody else runs", "")

    def last() -> Verdict:
        begun.set()
        return warning("there", "look")

    found = examine([Check("first", first, 30), Check("middle", lambda: ok("here")), Check("last", last)])
    assert found == [
        Finding("first", ok("others run too")),
        Finding("middle", ok("here")),
        Finding("last", warning("there", "look")),
    ]


def test_one_that_hangs_is_late_and_the_others_are_heard() -> None:
    never = threading.Event()

    def hang() -> Verdict:
        never.wait(60)
        return ok("at last")

    late = warning("large", "wait")
    found = examine([Check("hangs", hang, 0.1), Check("large", hang, 0.1, late), Check("well", lambda: ok("here"))])
    never.set()
    assert [finding.verdict.level for finding in found] == [Level.FAULT, Level.WARNING, Level.OK]
    assert found[0].verdict.found == "no answer in time"
    assert found[1].verdict == late


def test_a_crash_is_the_checks_own_finding_without_what_it_choked_on() -> None:
    def crash() -> NoReturn:
        raise ValueError("MARKED^PATIENT")

    def refuse() -> NoReturn:
        raise ConfigError(["tls.key: /a.key cannot be read", "tls.certificate: /a.pem cannot be read"])

    crashed, refused = examine([Check("crash", crash), Check("refuse", refuse)])
    assert crashed.verdict.level is Level.FAULT
    assert "ValueError at test_doctor_checks.py line" in crashed.verdict.found
    assert "MARKED" not in line(crashed)
    assert refused.verdict.found == "tls.key: /a.key cannot be read; tls.certificate: /a.pem cannot be read"


@pytest.mark.parametrize(("level", "status"), [(Level.OK, 0), (Level.WARNING, 0), (Level.FAULT, 1)])
def test_only_a_fault_is_an_exit_status(
    level: Level, status: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    findings = [Finding("store", ok("there")), Finding("clock", Verdict(level, "it ticks", "wind it"))]
    monkeypatch.setattr("ocunet_pacs.app.doctor.doctor", lambda _: findings)
    # The command writes its log to the runner's file, which is closed when the next test logs.
    request.addfinalizer(structlog.reset_defaults)
    done = CliRunner().invoke(app, ["doctor"])
    assert (done.exit_code, done.stdout) == (status, "".join(f"{line(one)}\n" for one in findings))
    assert json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout) == as_document(findings)


def test_a_terminal_gets_a_table_with_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("store", ok("[there]")), Finding("clock", fault("it stands", "wind it"))]
    show(findings)
    shown = capsys.readouterr().out
    assert [row.split() for row in shown.splitlines()] == [
        ["ok", "store", "[there]"],
        ["fault", "clock", "it", "stands"],
        ["->", "wind", "it"],
    ]


def test_the_page_names_every_check() -> None:
    tree = {
        "tls": {"enabled": True, "certificate": "/a.pem", "key": "/a.key", "plain": True},
        "shadow": {"bundle": "/candidate"},
        "watch": [{"name": "name", "path": "/export"}],
        "destinations": [{"name": "name", "ae_title": "A", "host": "h", "port": 1}],
        "notifications": [{"name": "told", "mail_to": ["a@b.example"]}],
        "records": [{"name": "record", "folder": "/srv"}],
        "archives": [{"name": "name", "ae_title": "A", "host": "h", "port": 1}],
        "audit": {"to": "file"},
    }
    called_for = {check.name for check in checks(Path("/site.yaml"), from_tree(tree), utc_now)} | {
        "database pages",
        "database clock",
    }
    page = (PROJECT / "docs" / "doctor.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)

    def fits(name: str, check: str) -> bool:
        return re.fullmatch(name.replace("NAME", r"\S+").replace("...", ".+"), check) is not None

    assert [check for check in called_for if not any(fits(name, check) for name in named)] == []
    assert [name for name in named if not any(fits(name, check) for check in called_for)] == []


def test_what_happened_and_what_to_do_come_apart() -> None:
    error = PeerUnavailable("pacs: no answer from h port 1; check that the PACS runs, and host, port and firewall")
    said = fault_of(error, "pacs")
    assert said == fault("no answer from h port 1", "check that the PACS runs, and host, port and firewall")
    assert line(Finding("destination pacs", said)) == (
        "fault    destination pacs: no answer from h port 1 -> check that the PACS runs, and host, port and firewall"
    )


@given(st.lists(VERDICTS, min_size=1, max_size=6))
def test_several_verdicts_are_as_bad_as_the_worst_and_say_what_the_worst_say(verdicts: list[Verdict]) -> None:
    order = [Level.OK, Level.WARNING, Level.FAULT]
    one = together(verdicts)
    assert one.level == max((verdict.level for verdict in verdicts), key=order.index)
    for verdict in verdicts:
        if verdict.level is one.level:
            assert verdict.found in one.found
            assert verdict.remedy in one.remedy
    assert together([one]) == one


@given(st.lists(VERDICTS, max_size=6))
def test_the_document_counts_what_it_lists(verdicts: list[Verdict]) -> None:
    document = as_document([Finding(str(place), verdict) for place, verdict in enumerate(verdicts)])
    levels = [one["level"] for one in document["checks"]]
    assert levels == [verdict.level.value for verdict in verdicts]
    assert document["ok"] is ("fault" not in levels)
    assert (document["faults"], document["warnings"]) == (levels.count("fault"), levels.count("warning"))
