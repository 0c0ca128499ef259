"""`serve` and its roles: the commands that run for years."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

from ocunet_pacs.app.process import EXIT_AGAIN
from ocunet_pacs.cli.options import ConfigOption, start_reloading
from ocunet_pacs.domain.errors import DatabaseError, SchemaMismatch, StoreFull
from ocunet_pacs.imaging.allocator import share_one_heap

if TYPE_CHECKING:
    from collections.abc import Callable


def run_role(role: Callable[[], int]) -> NoReturn:
    """Run it, and end with its status; with EXIT_AGAIN where the database is away or the disk is full.

    EXIT_CONFIG says that trying again would not help, and both systemd's units and `serve` believe it.
    """
    share_one_heap()
    try:
        status = role()
    except SchemaMismatch:
        raise
    except (DatabaseError, StoreFull) as error:
        typer.echo(f"ocunet-pacs: {error}", err=True)
        raise typer.Exit(EXIT_AGAIN) from error
    raise typer.Exit(status)


def serve(config: ConfigOption = None) -> None:
    """Run every role in one process tree: receive, analyse, deliver. SIGTERM drains and exits 0."""
    from ocunet_pacs.app.serve import serve as run

    run_role(lambda: run(start_reloading(config, "serve"), config))


def listen(config: ConfigOption = None) -> None:
    """Run the receiving role alone: C-STORE and C-ECHO in, studies closed into jobs."""
    reloading = start_reloading(config, "listen")
    from ocunet_pacs.app.listen import listen as run

    run_role(lambda: run(reloading))


def stow(config: ConfigOption = None) -> None:
    """Run the role that receives over the web alone: STOW-RS in, as set under `stow`."""
    reloading = start_reloading(config, "stow")
    from ocunet_pacs.app.stow import stow as run

    run_role(lambda: run(reloading))


def watch(config: ConfigOption = None) -> None:
    """Run the role that takes in files alone: pictures that cameras export to the folders under `watch`."""
    reloading = start_reloading(config, "watch")
    from ocunet_pacs.app.watch import watch as run

    run_role(lambda: run(reloading))


def work(config: ConfigOption = None) -> None:
    """Run the analysing role alone: claims studies, writes reports and heatmaps. Run several to go faster."""
    reloading = start_reloading(config, "work")
    from ocunet_pacs.app.work import work as run

    run_role(lambda: run(reloading))


def deliver(config: ConfigOption = None) -> None:
    """Run the sending role alone: results to the destinations by C-STORE."""
    reloading = start_reloading(config, "deliver")
    from ocunet_pacs.app.deliver import deliver as run

    run_role(lambda: run(reloading))


def console(config: ConfigOption = None) -> None:
    """Run the console alone: the web page for those who look after the daemon, as set under `console`."""
    reloading = start_reloading(config, "console")
    from ocunet_pacs.app.console import console as run

    run_role(lambda: run(reloading))
