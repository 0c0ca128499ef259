"""Options that several commands share, and how a command gets its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Settings file; without it $OCUNET_PACS_CONFIG, then /etc/ocunet-pacs/ocunet-pacs.yaml.",
        show_default=False,
    ),
]


def start_role(config: Path | None, role: str) -> Settings:
    """Settings and logging for a long-running role. ConfigError with every problem."""
    from ocunet_pacs import settings

    loaded = settings.load(config)
    _configure_logs(loaded, role)
    return loaded


def start_reloading(config: Path | None, role: str) -> Reloading:
    """The same for a role that takes up changed settings at SIGHUP. ConfigError with every problem."""
    from ocunet_pacs.app.reload import Reloading, reload_on_signal
    from ocunet_pacs.settings import load

    flag = reload_on_signal()
    return Reloading(
        start_role(config, role), lambda: load(config), role, flag, lambda loaded: _configure_logs(loaded, role)
    )


def _configure_logs(loaded: Settings, role: str) -> None:
    from ocunet_pacs import logs

    logs.configure(loaded.logging.level, loaded.logging.format, role=role, study_uids=loaded.logging.study_uids)
