"""`doctor`: what to type after the installation, after every change, and before asking for help."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ocunet_pacs.cli.options import ConfigOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ocunet_pacs.app.doctor_checks import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "fault": "bold red"}


def doctor(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check everything that the daemon needs and say what to do about what is wrong: settings, clock, GPU, database,
    store, model, ports, certificates, and everybody whom results go to. Changes nothing. Run it as the daemon's user.
    Exit status 0 when there is no fault (there may be warnings), 1 when there is one.
    """
    from ocunet_pacs import logs
    from ocunet_pacs.app.doctor import doctor as look

    logs.configure("error")
    on_terminal = sys.stdout.isatty() and not as_json
    with waiting() if on_terminal else nullcontext():
        findings = look(config)
    if as_json:
        typer.echo(json.dumps(as_document(findings), indent=2))
    elif on_terminal:
        show(findings)
    else:
        for finding in findings:
            typer.echo(line(finding))
    raise typer.Exit(1 if any(finding.verdict.level == "fault" for finding in findings) else 0)


def as_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The documented shape of `doctor --json` (docs/doctor.md)."""
    levels = [str(finding.verdict.level) for finding in findings]
    return {
        "ok": "fault" not in levels,
        "faults": levels.count("fault"),
        "warnings": levels.count("warning"),
        "checks": [
            {
                "check": finding.check,
                "level": str(finding.verdict.level),
                "found": finding.verdict.found,
                "remedy": finding.verdict.remedy or None,
            }
            for finding in findings
        ],
    }


def line(finding: Finding) -> str:
    """A finding where nobody looks at a terminal."""
    verdict = finding.verdict
    words = f"{verdict.level:<8} {finding.check}: {verdict.found}"
    return f"{words} -> {verdict.remedy}" if verdict.remedy else words


def waiting() -> AbstractContextManager[object]:
    """Says that something goes on, while it does."""
    from rich.console import Console

    return Console(stderr=True).status("looking at everything at once; what does not answer takes a while")


def show(findings: Sequence[Finding]) -> None:
    """The findings as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for finding in findings:
        verdict = finding.verdict
        said = Text(verdict.found)
        if verdict.remedy:
            said.append(f"\n-> {verdict.remedy}", style="bold")
        table.add_row(Text(verdict.level, style=_COLOURS[verdict.level]), Text(finding.check), said)
    Console().print(table)
