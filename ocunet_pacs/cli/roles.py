"""`serve` and its roles: the commands that run for years."""

from __future__ import annotations

import typer

from ocunet_pacs.cli.options import ConfigOption, start_role


def serve(config: ConfigOption = None) -> None:
    """Run every role in one process tree: receive, analyse, deliver. SIGTERM drains and exits 0."""
    from ocunet_pacs.app.serve import serve as run

    raise typer.Exit(run(start_role(config, "serve"), config))


def listen(config: ConfigOption = None) -> None:
    """Run the receiving role alone: C-STORE and C-ECHO in, studies closed into jobs."""
    settings = start_role(config, "listen")
    from ocunet_pacs.app.listen import listen as run

    raise typer.Exit(run(settings))


def stow(config: ConfigOption = None) -> None:
    """Run the role that receives over the web alone: STOW-RS in, as set under `stow`."""
    settings = start_role(config, "stow")
    from ocunet_pacs.app.stow import stow as run

    raise typer.Exit(run(settings))


def watch(config: ConfigOption = None) -> None:
    """Run the role that takes in files alone: pictures that cameras export to the folders under `watch`."""
    settings = start_role(config, "watch")
    from ocunet_pacs.app.watch import watch as run

    raise typer.Exit(run(settings))


def work(config: ConfigOption = None) -> None:
    """Run the analysing role alone: claims studies, writes reports and heatmaps. Run several to go faster."""
    settings = start_role(config, "work")
    from ocunet_pacs.app.work import work as run

    raise typer.Exit(run(settings))


def deliver(config: ConfigOption = None) -> None:
    """Run the sending role alone: results to the destinations by C-STORE."""
    settings = start_role(config, "deliver")
    from ocunet_pacs.app.deliver import deliver as run

    raise typer.Exit(run(settings))
