"""`serve` and its roles: the commands that run for years."""

from __future__ import annotations

import typer

from ocunet_pacs.cli.options import ConfigOption, start_reloading


def serve(config: ConfigOption = None) -> None:
    """Run every role in one process tree: receive, analyse, deliver. SIGTERM drains and exits 0."""
    from ocunet_pacs.app.serve import serve as run

    raise typer.Exit(run(start_reloading(config, "serve"), config))


def listen(config: ConfigOption = None) -> None:
    """Run the receiving role alone: C-STORE and C-ECHO in, studies closed into jobs."""
    reloading = start_reloading(config, "listen")
    from ocunet_pacs.app.listen import listen as run

    raise typer.Exit(run(reloading))


def stow(config: ConfigOption = None) -> None:
    """Run the role that receives over the web alone: STOW-RS in, as set under `stow`."""
    reloading = start_reloading(config, "stow")
    from ocunet_pacs.app.stow import stow as run

    raise typer.Exit(run(reloading))


def watch(config: ConfigOption = None) -> None:
    """Run the role that takes in files alone: pictures that cameras export to the folders under `watch`."""
    reloading = start_reloading(config, "watch")
    from ocunet_pacs.app.watch import watch as run

    raise typer.Exit(run(reloading))


def work(config: ConfigOption = None) -> None:
    """Run the analysing role alone: claims studies, writes reports and heatmaps. Run several to go faster."""
    reloading = start_reloading(config, "work")
    from ocunet_pacs.app.work import work as run

    raise typer.Exit(run(reloading))


def deliver(config: ConfigOption = None) -> None:
    """Run the sending role alone: results to the destinations by C-STORE."""
    reloading = start_reloading(config, "deliver")
    from ocunet_pacs.app.deliver import deliver as run

    raise typer.Exit(run(reloading))


def console(config: ConfigOption = None) -> None:
    """Run the console alone: the web page for those who look after the daemon, as set under `console`."""
    reloading = start_reloading(config, "console")
    from ocunet_pacs.app.console import console as run

    raise typer.Exit(run(reloading))
