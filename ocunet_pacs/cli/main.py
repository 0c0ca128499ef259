"""The entry point: the command tree, and how an error ends it.

Exit status: 0 done; 1 the command ran and the answer is no (a check failed, a peer did not answer); 2 it cannot run as
asked (arguments, settings, an input that is not what it should be), with one line that says what to do.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ocunet_pacs.cli import (
    backfill,
    config,
    db,
    demo,
    doctor,
    drift,
    echo,
    install,
    jobs,
    model,
    predict,
    reprocess,
    roles,
    shadow,
    status,
    validate,
    wrap,
)

app = typer.Typer(
    name="ocunet-pacs",
    help="Fundus photographs in by DICOM; structured reports and heatmaps back to the PACS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(roles.serve)
app.command("listen")(roles.listen)
app.command("stow")(roles.stow)
app.command("watch")(roles.watch)
app.command("work")(roles.work)
app.command("deliver")(roles.deliver)
app.command("console")(roles.console)
app.command("demo")(demo.demo)
app.command("wrap")(wrap.wrap)
app.command("predict")(predict.predict)
app.command("validate")(validate.validate)
app.add_typer(model.app, name="model", help="Model bundles: import, show, verify.")
app.add_typer(jobs.app, name="jobs", help="The queue: list, show, retry, discard.")
app.add_typer(backfill.app, name="backfill")
app.command("reprocess")(reprocess.reprocess)
app.add_typer(shadow.app, name="shadow", help="A candidate bundle beside the active one: run, report.")
app.add_typer(drift.app, name="drift", help="Has what a camera sends changed? report, run, accept, reference.")
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.add_typer(db.app, name="db", help="The database: upgrade, check, backup, integrity.")
app.add_typer(config.app, name="config", help="Settings: write a sample, check a file.")
app.command("echo")(echo.echo)
app.command("install")(install.install)


def _version(wanted: bool) -> None:
    if wanted:
        from ocunet_pacs import __version__

        typer.echo(f"ocunet-pacs {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Fundus photographs in by DICOM; structured reports and heatmaps back to the PACS."""


def run() -> None:
    """Run the command line; never a traceback for an error that was raised on purpose, and for no other its text."""
    from ocunet_pacs.domain.errors import OcunetError
    from ocunet_pacs.logs import report_crashes

    report_crashes()
    try:
        app()
    except OcunetError as error:
        sys.stderr.write(f"ocunet-pacs: {error}\n")
        sys.exit(2)
