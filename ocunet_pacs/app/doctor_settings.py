"""The settings file as `doctor` sees it: can it be read, and by whom else?"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from ocunet_pacs.app.doctor_checks import fault, ok, warning
from ocunet_pacs.settings import DEFAULT_PATH, PATH_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.domain.errors import ConfigError
    from ocunet_pacs.settings import Settings


def settings_path(config: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that `settings.load` reads."""
    return config or Path(environ.get(PATH_VARIABLE, DEFAULT_PATH))


def mistakes(error: ConfigError) -> list[Verdict]:
    """A fault for each problem in the settings."""
    return [fault(problem, "correct it; `ocunet-pacs config init` shows every setting") for problem in error.problems]


def look_at_settings(path: Path, settings: Settings) -> Verdict:
    """The file could be read; passwords in it are for the daemon alone."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except OSError as error:
        return fault(f"{path} cannot be read: {error.strerror}", "check its rights")
    return judge_file(path, mode, holds_secret=any(secret in text for secret in secrets(settings)))


def judge_file(path: Path, mode: int, *, holds_secret: bool) -> Verdict:
    """`mode`: the file's, as stat gives it."""
    if holds_secret and mode & stat.S_IROTH:
        return warning(
            f"{path} is valid, holds a password or token, and everybody may read it",
            f"chmod o= {path}, or give what is secret as systemd credentials",
        )
    return ok(f"{path} is valid")


def secrets(settings: Settings) -> Iterator[str]:
    """Every password and token that is set."""
    given = [settings.stow.token, settings.console.token, *(destination.token for destination in settings.destinations)]
    given += [secret for one in settings.notifications for secret in (one.secret, one.mail_password)]
    given += [record.token for record in settings.records]
    if settings.database.url.startswith("postgresql"):
        given.append(make_url(settings.database.url).password)
    yield from (secret for secret in given if secret)
