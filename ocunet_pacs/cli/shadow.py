"""`shadow run`, `shadow report`: a candidate bundle beside the active one, and what came of it."""

from __future__ import annotations

import typer

from ocunet_pacs.cli.options import ConfigOption, start_role

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the shadow role alone: the candidate looks at what was reported. `serve` starts it where one is set."""
    settings = start_role(config, "shadow")
    from ocunet_pacs.app.process import stand_back

    stand_back(settings.shadow.memory)
    from ocunet_pacs.app.shadow import run as run_role

    raise typer.Exit(run_role(settings))
