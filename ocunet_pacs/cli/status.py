"""`status`: what the person on call types first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ocunet_pacs.cli.options import ConfigOption

if TYPE_CHECKING:
    from rich.table import Table


def status(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show whether a study sent now would be analysed, and what is waiting. Exit status 0 when ready, 1 when not."""
    from ocunet_pacs import logs, settings
    from ocunet_pacs.app.status import status as look

    loaded = settings.load(config)
    logs.configure("error")
    found = look(loaded)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        from rich.console import Console

        Console().print(_table(found))
    raise typer.Exit(0 if found["ready"] else 1)


def _table(found: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("ready", "yes" if found["ready"] else "no")
    for problem in found["problems"]:
        table.add_row("", Text(problem))
    for name in ("jobs", "deliveries"):
        counts = found[name]
        table.add_row(name, "unknown" if counts is None else ", ".join(f"{n} {state}" for state, n in counts.items()))
    for place, study in enumerate(found["recent"] or ()):
        table.add_row("studies" if place == 0 else "", Text(_study(study)))
    for job in found.get("dead", []):
        table.add_row("", Text(f"dead: job {job['id']} ({job['kind']}): {job['reason']}"))
    store = found["store"]
    if store["free_bytes"] is not None:
        table.add_row("store", _room(store))
    for words in _warnings(found):
        table.add_row("attention", Text(words, style="bold"))
    for name, in_words in (("bundle", _bundle), ("shadow", _shadow), ("drift", _drift)):
        if found[name]:
            table.add_row(name, Text(in_words(found[name])))
    table.add_row("database", f"{found['database']['type']}{'' if found['database']['ok'] else ' (not usable)'}")
    for number, run in enumerate(found["housekeeping"] or ()):
        table.add_row("housekeeping" if number == 0 else "", Text(_run(run)))
    return table


def _bundle(bundle: dict[str, Any]) -> str:
    return f"{bundle['name']} {bundle['digest'][:12]}{'' if bundle['trained'] else ' UNTRAINED'}"


def _shadow(shadow: dict[str, Any]) -> str:
    bundle = shadow["bundle"]
    words = f"candidate {bundle['name']} {bundle['digest'][:12]}" if bundle else "candidate"
    if bundle and not bundle["trained"]:
        words += " UNTRAINED"
    if shadow["problem"]:
        return f"{words} does not run: {shadow['problem']}"
    if shadow["done"] is None:
        return words
    now = " (at one now)" if shadow["running"] else ""
    words += f": {shadow['done']} studies looked at, {shadow['waiting']} to do{now}, {shadow['failed']} failed"
    return words + f"; last {shadow['last_look'] or 'never'}"


def _drift(drift: dict[str, Any]) -> str:
    if drift["night"] is None:
        return "no night yet"
    return f"night of {drift['night']}: {drift['cameras']} cameras compared, {len(drift['alerts'])} need attention"


def _warnings(found: dict[str, Any]) -> list[str]:
    """What a person should look at, although the daemon works."""
    missing, put_aside = found["missing_files"] or {}, found["store"]["put_aside"]
    counts = (
        (found["patient_conflicts"], "studies came with the data of more than one patient; they are kept apart"),
        (missing.get("received"), "received files are missing from the store; send the images again"),
        (missing.get("results"), "results are missing from the store"),
        (put_aside, "unreadable files lie in the store's quarantine folder"),
    )
    silent = [
        f"{d['name']}: nobody answers since {d['down_since']}: {d['reason']}"
        for d in found["destinations"] or ()
        if not d["answers"]
    ]
    silent += [f"{one['name']} ({one['camera']}): {one['words']}" for one in (found["drift"] or {}).get("alerts", ())]
    return silent + [f"{number} {words}" for number, words in counts if number]


def _room(store: dict[str, Any]) -> str:
    used = "not measured yet"
    if store["bytes"] is not None:
        used = f"{store['bytes'] / 2**30:.2f} GiB used (measured {store['measured']})"
    return f"{used}, {store['free_bytes'] / 2**30:.2f} GiB free"


def _study(study: dict[str, Any]) -> str:
    state = f"urgency {study['urgency']}" if study["urgency"] else "no report"
    return f"{study['study']} revision {study['revision']}: {state if study['finished'] else 'waiting'}"


def _run(run: dict[str, Any]) -> str:
    words = f"{run['task']}: {run['outcome']} at {run['last_start']}, took {run['seconds']:.3f} s"
    if run["note"]:
        words += f", {run['note']}"
    if run["outcome"] != "success":
        words += f"; last success: {run['last_success'] or 'never'}"
    return words
