"""`python -m tests.release`: what makes a release, a command each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ocunet_pacs import __version__
from tests.release import audit, bill, building, hashes, licences
from tests.release.parts import US, Part, parts, pins

CHECKOUT = Path(__file__).resolve().parents[2]
CONSTRAINTS = CHECKOUT / "constraints.txt"
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Out = Annotated[Path, typer.Option(help="The release's folder.")]


@app.callback()
def main() -> None:
    """Make and check what goes with a release."""


@app.command()
def build(out: Out) -> None:
    """Build wheel and source archive of the checkout's commit, the same bytes each time; the folder must be empty."""
    try:
        files = building.build(CHECKOUT, out)
    except building.NotBuilt as error:
        typer.echo(f"not built: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(building.write_digests(out, files).read_text("utf-8"), nl=False)


@app.command()
def describe(out: Out) -> None:
    """Put beside the wheel: what an installation fetches with digests, the list of parts, and digests of all files."""
    (wheel,) = out.glob("*.whl")
    found = parts(pins(CONSTRAINTS))
    try:
        report = hashes.resolve([f"{wheel}[postgres,train]"], CONSTRAINTS)
    except hashes.NotResolved as error:
        typer.echo(f"pip cannot say what it would install: {error}", err=True)
        raise typer.Exit(1) from None
    digests = hashes.digests(report, without=US)
    service = {name: digest for name, digest in digests.items() if name in _of_the_service(found)}
    (out / "requirements.txt").write_text(hashes.requirements(service), "utf-8")
    (out / "requirements-train.txt").write_text(hashes.requirements(digests), "utf-8")
    made = datetime.fromtimestamp(building.committed(CHECKOUT), UTC)
    text = bill.bill(wheel, __version__, found, _accepted(), digests, made)
    (out / f"ocunet_pacs-{__version__}.cdx.json").write_text(text, "utf-8")
    files = [path for path in out.iterdir() if path.name != building.DIGESTS]
    typer.echo(building.write_digests(out, files).read_text("utf-8"), nl=False)


@app.command("licences")
def write_licences() -> None:
    """Write docs/licences.md of what this environment has; exit status 1 where a licence was not accepted."""
    found = parts(pins(CONSTRAINTS))
    (CHECKOUT / "docs" / "licences.md").write_text(licences.page(found, _accepted()), "utf-8")
    refused = licences.problems(found, _accepted())
    for problem in refused:
        typer.echo(problem, err=True)
    raise typer.Exit(1 if refused else 0)


@app.command("audit")
def look_for_vulnerabilities() -> None:
    """Ask for known vulnerabilities of what constraints.txt names; exit status 0 only when all of it was looked up."""
    exemptions = audit.read_exemptions(CHECKOUT / "tests" / "release" / "accepted-vulnerabilities.yaml")
    outcome, said = audit.judge(audit.ask(CONSTRAINTS), exemptions, datetime.now(UTC).date())
    for line in said:
        typer.echo(line, err=outcome is not audit.Outcome.CLEAN)
    raise typer.Exit(outcome)


def _of_the_service(found: list[Part]) -> set[str]:
    return {part.name for part in found if {"", "postgres"} & set(part.extras)}


def _accepted() -> licences.Accepted:
    return licences.Accepted.read(CHECKOUT / "tests" / "release" / "accepted-licences.yaml")


if __name__ == "__main__":
    app()
