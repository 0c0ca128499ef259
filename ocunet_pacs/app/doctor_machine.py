"""The machine as `doctor` sees it: its graphics cards, its clock, its memory."""

from __future__ import annotations

import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tzlocal import get_localzone_name

from ocunet_pacs import __version__
from ocunet_pacs.app.doctor_checks import Check, fault, ok, warning
from ocunet_pacs.app.serve import NVIDIA_DEVICES
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ocunet_pacs.app.doctor_checks import Verdict
    from ocunet_pacs.settings import Settings

_RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows less."""
_LITTLE_MIB = 2048
_QUERY = ("--query-gpu=index,name,driver_version,memory.total,memory.free", "--format=csv,noheader,nounits")
_TOOL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, as its driver describes it; memory in MiB."""

    index: int
    name: str
    driver: str
    total: int
    free: int


def machine_checks(settings: Settings, now: Callable[[], datetime]) -> Iterator[Check]:
    """The program, the clock, and the graphics cards."""
    yield Check("program", lambda: ok(f"ocunet-pacs {__version__}, Python {platform.python_version()}"))
    yield Check("clock", lambda: look_at_clock(settings.model.bundle, now()), seconds=_TOOL_SECONDS + 5.0)
    yield Check("gpu", lambda: look_at_cards(settings.model.device), seconds=_TOOL_SECONDS + 5.0)


def look_at_clock(bundle: Path, now: datetime) -> Verdict:
    """The clock against what is older than now, and what timedatectl says of its synchronisation."""
    made = _RELEASED
    with suppress(BundleError):
        made = max(made, read_manifest(bundle).created_at)
    said = _run("timedatectl", "show", "--property=NTPSynchronized") or ""
    return judge_clock(now, made, get_localzone_name() or "UTC", dict(_pairs(said)))


def judge_clock(now: datetime, past: datetime, zone: str, said: Mapping[str, str]) -> Verdict:
    """`past`: a moment that is over for certain. `said`: the properties that timedatectl gives, if any."""
    shows = f"{now:%Y-%m-%d %H:%M} UTC, time zone {zone}"
    if now < past:
        return fault(
            f"{shows}: that is before {past:%Y-%m-%d %H:%M} UTC, which has been",
            "set the clock (timedatectl set-time), and have it synchronised (timedatectl set-ntp true)",
        )
    if said.get("NTPSynchronized") == "no":
        return warning(
            f"{shows}, not synchronised",
            "timedatectl set-ntp true, or set up chrony: reports carry this time, and certificates are judged by it",
        )
    return ok(f"{shows}, synchronised" if said.get("NTPSynchronized") == "yes" else shows)


def look_at_cards(device: str, devices: Path = NVIDIA_DEVICES) -> Verdict:
    """The cards that the kernel's driver has, asked by the driver's own tool."""
    there = len(list(devices.iterdir())) if devices.is_dir() else 0
    if there and device != "cpu" and shutil.which("nvidia-smi") is None:
        return warning(
            f"{there} in the machine, and no nvidia-smi to ask it", "see at `model load` whether the network runs on it"
        )
    return judge_cards(device, there, read_cards(_run("nvidia-smi", *_QUERY) or ""))


def judge_cards(device: str, there: int, cards: Sequence[Card]) -> Verdict:
    """`device` of the settings; how many cards the kernel has; those of which its tool tells."""
    if device == "cpu":
        return ok("not asked for (model.device: cpu)")
    if not cards:
        return _without_cards(device, there)
    wanted = [int(device.partition(":")[2] or 0)] if device != "auto" else [card.index for card in cards]
    chosen = [card for card in cards if card.index in wanted]
    if not chosen:
        return fault(f"model.device is {device}, and there are {len(cards)}", "set a device that is there, or auto")
    words = "; ".join(
        f"{card.index}: {card.name}, driver {card.driver}, {card.free} of {card.total} MiB free" for card in chosen
    )
    if min(card.free for card in chosen) < _LITTLE_MIB:
        return warning(words, "see with nvidia-smi who has the memory; a daemon that runs has some of it")
    return ok(words)


def _without_cards(device: str, there: int) -> Verdict:
    if there:
        return fault(
            f"{there} in the machine, but the driver does not answer",
            "run nvidia-smi, and see that driver and kernel belong together",
        )
    if device == "auto":
        return ok("there is none; the network runs on the processor")
    return fault(
        f"model.device is {device}, and there is none", "set model.device to auto or cpu, or see to the driver"
    )


def read_cards(listed: str) -> list[Card]:
    """nvidia-smi's lines; those that are none of a card's (it says `No devices were found`) are left out."""
    cards = []
    for line in listed.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == 5 and all(values[place].isdigit() for place in (0, 3, 4)):
            cards.append(Card(int(values[0]), values[1], values[2], int(values[3]), int(values[4])))
    return cards


def available_bytes(meminfo: str) -> int | None:
    """Memory that a new program may take, of the text of /proc/meminfo; None where it does not say."""
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator:
            yield name, value


def _run(program: str, *arguments: str) -> str | None:
    """What a program of the system's writes; None where there is none, it fails, or it hangs."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system's, with arguments of ours
            [path, *arguments], capture_output=True, text=True, check=False, timeout=_TOOL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
