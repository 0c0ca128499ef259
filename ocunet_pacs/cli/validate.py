"""`validate FILE...`: are these valid?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocunet_pacs.app.validate import Verdict


def validate(
    files: Annotated[list[Path], typer.Argument(help="DICOM files: ours, or anybody's.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list of all files.")] = False,
) -> None:
    """Hold DICOM files to the rules that our own objects must keep before they leave.

    Objects that we did not make are held to the rules for any DICOM object only. docs/report.md lists all rules. Exit
    status 0 when every file keeps them, 1 when one breaks a rule, 2 when one cannot be read. No value of a file is
    printed.
    """
    from ocunet_pacs.app.validate import validate_files

    verdicts = []
    for verdict in validate_files(files):
        verdicts.append(verdict)
        if not as_json:
            typer.echo(_words(verdict), err=bool(verdict.error))
    if as_json:
        typer.echo(json.dumps([_facts(verdict) for verdict in verdicts], indent=2))
    if any(verdict.error for verdict in verdicts):
        raise typer.Exit(2)
    if any(verdict.broken for verdict in verdicts):
        raise typer.Exit(1)


def _words(verdict: Verdict) -> str:
    if verdict.error:
        return f"{verdict.path}: cannot be read: {verdict.error}"
    held = f"{verdict.kind.value}, {verdict.rules} rules" if verdict.kind else ""
    held = held or f"not one of our objects: only the {verdict.rules} general rules were run"
    if not verdict.broken:
        return f"{verdict.path}: OK ({held})"
    return "\n".join(
        [
            f"{verdict.path}: breaks {len(verdict.broken)} ({held})",
            *(f"  {rule.id} broken: {rule.says} [{rule.basis}]" for rule in verdict.broken),
        ]
    )


def _facts(verdict: Verdict) -> dict[str, object]:
    return {
        "file": str(verdict.path),
        "kind": verdict.kind.value if verdict.kind else None,
        "rules": verdict.rules,
        "broken": [{"id": rule.id, "says": rule.says, "basis": rule.basis} for rule in verdict.broken],
        "error": verdict.error or None,
    }
