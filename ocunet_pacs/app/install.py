"""`install`: what a host needs beside the program: units, the account, folders, a first settings file.

What is ours goes below /usr/local/lib, where every release may replace it; sites change units by drop-ins below
/etc/systemd. The settings file is the site's: it is written once and never again.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings import DEFAULT_PATH, sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PREFIX = Path("/opt/ocunet-pacs")
"""Where the units expect the virtual environment, unless told otherwise."""
_PACKAGE = Path(__file__).resolve().parents[1]
_OURS = Path("/usr/local/lib")
_UNITS = _OURS / "systemd" / "system"
_SITE_UNITS = Path("/etc/systemd/system")
_STATE = Path("/var/lib/ocunet-pacs")
_SAMPLE = DEFAULT_PATH.with_suffix(".yaml.sample")


class Done(StrEnum):
    """What became of an item, or would."""

    MADE = "made"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """It is the site's, and differs from what would have been written."""


@dataclass(frozen=True)
class Item:
    """A file, or a folder where `text` is None. `ours`: may be replaced when it differs."""

    path: Path
    text: str | None
    mode: int
    ours: bool = True


def plan(prefix: Path) -> list[Item]:
    """All that is put in place for a program in `prefix`/bin. ConfigError where a unit could not name that folder."""
    if not re.fullmatch(r"(/[\w.+-]+)+", str(prefix)) or ".." in prefix.parts:
        raise ConfigError([f"--prefix {prefix}: must be an absolute path of letters, digits, and _ . + -"])
    return list(_items(prefix))


def put(items: Sequence[Item], root: Path, *, dry_run: bool) -> list[tuple[Item, Done]]:
    """Put the items below `root`, or with `dry_run` only find out what that would do. ConfigError where one cannot."""
    found = []
    for item in items:
        target = root / item.path.relative_to("/")
        try:
            done = _look(item, target)
            if not dry_run and done in {Done.MADE, Done.UPDATED}:
                _write(item, target)
        except OSError as error:
            advice = "; run this as root" if isinstance(error, PermissionError) else ""
            raise ConfigError([f"{target}: cannot be written: {error.strerror}{advice}"]) from None
        found.append((item, done))
    return found


def hidden(items: Sequence[Item], root: Path) -> list[Path]:
    """Files of the site's that take precedence over a unit of ours: an older installation's, most likely."""
    candidates = [_SITE_UNITS / item.path.name for item in items if item.path.parent == _UNITS]
    return [path for path in candidates if (root / path.relative_to("/")).is_file()]


def next_steps(prefix: Path) -> list[str]:
    """What a person does after the first installation, a command a line."""
    program = prefix / "bin" / "ocunet-pacs"
    return [
        "systemd-sysusers && systemd-tmpfiles --create ocunet-pacs.conf && systemctl daemon-reload",
        f"editor {DEFAULT_PATH}",
        f"install a model bundle: {_STATE}/bundles/active",
        f"sudo -u ocunet-pacs {program} config check",
        f"sudo -u ocunet-pacs {program} db upgrade",
        "systemctl enable --now ocunet-pacs   # or, role by role, ocunet-pacs.target: docs/install.md",
    ]


def units_folder() -> Path:
    """Where the units are: inside the wheel, or at the root of a checkout."""
    shipped = _PACKAGE / "_shipped" / "systemd"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "systemd"


def _items(prefix: Path) -> Iterator[Item]:
    for path in sorted(units_folder().iterdir()):
        text = path.read_text("utf-8").replace(f"={PREFIX}/bin/", f"={prefix}/bin/")
        if path.suffix in {".service", ".target"}:
            yield Item(_UNITS / path.name, text, 0o644)
        elif path.suffix in {".sysusers", ".tmpfiles"}:
            yield Item(_OURS / f"{path.suffix[1:]}.d" / f"{path.stem}.conf", text, 0o644)
    yield Item(DEFAULT_PATH.parent, None, 0o750, ours=False)
    yield Item(DEFAULT_PATH, sample(), 0o640, ours=False)
    yield Item(_SAMPLE, sample(), 0o644)
    yield Item(_STATE, None, 0o700, ours=False)
    yield Item(_STATE / "bundles", None, 0o700, ours=False)


def _look(item: Item, target: Path) -> Done:
    if not os.path.lexists(target):
        return Done.MADE
    if item.text is None:
        return Done.UNCHANGED
    if target.is_file() and target.read_bytes() == item.text.encode():
        return Done.UNCHANGED
    return Done.UPDATED if item.ours else Done.KEPT


def _write(item: Item, target: Path) -> None:
    """A file appears whole or not at all."""
    if item.text is None:
        target.mkdir(parents=True)
        target.chmod(item.mode)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)  # the settings are not for everybody, not even for a moment
    beside.write_text(item.text, "utf-8")
    beside.chmod(item.mode)
    beside.replace(target)
