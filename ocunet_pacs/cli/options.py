"""Options that several commands share, and how a command gets its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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
    from ocunet_pacs import logs, settings

    loaded = settings.load(config)
    logs.configure(loaded.logging.level, loaded.logging.format, role=role, study_uids=loaded.logging.study_uids)
    return loaded
