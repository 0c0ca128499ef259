"""The active bundle: a link that is moved from one bundle to the next in one step, and a log of who moved it and why.

A bundle is never deleted or changed. The log, `NAME.promotions.jsonl` beside the link, gets its line before the link
moves, so that the way back is known whatever happens in between; where the link points is what is true.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.manifest import read_manifest
from training.errors import PromotionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import IO

_FIELDS: Final = {"action", "at", "by", "before", "after", "decision"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A bundle where it lies: its folder, absolute and without links, its name and its digest."""

    folder: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the log. `before` is None where nothing was active; `decision` is what the gate said, as JSON."""

    action: Literal["promote", "rollback"]
    at: str
    by: str
    before: Standing | None
    after: Standing
    decision: Mapping[str, Any] | None = None


def standing(folder: Path) -> Standing:
    """The bundle in a folder, or behind a link to one. BundleError."""
    made = read_manifest(folder)
    return Standing(str(folder.resolve()), made.name, made.digest)


def active(link: Path) -> Standing | None:
    """What the link stands for; None where there is no link. PromotionError where it is no link, or leads nowhere."""
    if not link.is_symlink():
        if link.exists():
            raise PromotionError(
                f"{link}: is a folder and not a link, so it cannot be moved in one step: rename it, and link to it"
            )
        return None
    try:
        return standing(link)
    except BundleError as error:
        raise PromotionError(f"{link}: leads to no usable bundle ({error}): --rollback, or remove the link") from None


def promote(
    link: Path, bundle: Path, *, expected: Standing | None, at: datetime, by: str, decision: Mapping[str, Any]
) -> Change:
    """Let the link lead to `bundle`, if it still leads to `expected`, which is what the decision was made against.

    PromotionError where it does not, where another promotion is under way, or where the folder cannot be written.
    """
    with _log(link) as log:
        before = active(link)
        if before != expected:
            raise PromotionError(f"{link}: leads to another bundle than the candidate was compared with: compare again")
        change = Change("promote", at.isoformat(timespec="seconds"), by, before, standing(bundle), decision)
        _move(link, change, log)
    return change


def roll_back(link: Path, *, at: datetime, by: str) -> Change:
    """Let the link lead to what was active before the bundle that it leads to was promoted.

    PromotionError where the log knows of none, or where that bundle is gone or no longer what it was.
    """
    if not link.is_symlink():
        raise PromotionError(f"{link}: is not a link, so nothing was promoted here")
    now = str(link.resolve())
    with _log(link) as log:
        promoted = [one for one in history(link) if one.action == "promote" and one.after.folder == now]
        if not promoted:
            raise PromotionError(f"{link}: its log knows no promotion of what is active now")
        last = promoted[-1]
        if last.before is None:
            raise PromotionError(f"{link}: nothing was active before what is active now")
        try:
            back = standing(Path(last.before.folder))
        except BundleError as error:
            raise PromotionError(f"{link}: the bundle before cannot be used: {error}") from None
        if back != last.before:
            raise PromotionError(f"{back.folder}: is not the bundle that was active before: it was changed since")
        change = Change("rollback", at.isoformat(timespec="seconds"), by, last.after, back)
        _move(link, change, log)
    return change


def history(link: Path) -> Sequence[Change]:
    """The log's lines, oldest first; a last line that a crash cut off is left out. PromotionError for any other."""
    path = log_path(link)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise PromotionError(f"{path}: cannot be read: {type(error).__name__}") from None
    made = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            made.append(_change(json.loads(line)))
        except (ValueError, TypeError, KeyError):
            raise PromotionError(f"{path}: line {number} is no promotion") from None
    return made


def log_path(link: Path) -> Path:
    """Where the promotions of a link are written down."""
    return link.with_name(f"{link.name}.promotions.jsonl")


def _change(content: dict[str, Any]) -> Change:
    if set(content) != _FIELDS:
        raise ValueError
    before = content["before"]
    return Change(**content | {"before": Standing(**before) if before else None, "after": Standing(**content["after"])})


@contextmanager
def _log(link: Path) -> Iterator[IO[bytes]]:
    """The log, open to add to and locked, so that two promotions at once cannot both be right."""
    path = log_path(link)
    try:
        with path.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PromotionError(f"{link}: another promotion is under way") from None
            yield file
    except OSError as error:
        raise PromotionError(f"{link}: cannot be changed: {error.strerror}") from None


def _move(link: Path, change: Change, log: IO[bytes]) -> None:
    """Write the line, then put a new link in the old one's place; both are durable when this returns."""
    _add_line(log, json.dumps(asdict(change), sort_keys=True, allow_nan=False))
    folder = Path(change.after.folder)
    home = link.parent.resolve()
    target = folder.relative_to(home) if folder.is_relative_to(home) else folder
    with tempfile.TemporaryDirectory(dir=link.parent, prefix=f".{link.name}.") as room:
        made = Path(room) / "link"
        made.symlink_to(target, target_is_directory=True)
        made.replace(link)
    directory = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _add_line(log: IO[bytes], line: str) -> None:
    """A line that a crash cut off before is taken away first."""
    log.seek(0)
    content = log.read()
    log.truncate(content.rfind(b"\n") + 1)
    log.write(line.encode("ascii") + b"\n")
    log.flush()
    os.fsync(log.fileno())
