"""What a running process takes up of settings that were changed, and what only a restart does.

Whatever is not named here needs a restart, so that nobody is told of a setting being in force that is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings.kinds import Section
from ocunet_pacs.settings.reading import from_tree
from ocunet_pacs.settings.tree import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WHOLE = frozenset({"*"})
TAKEN_UP: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "dicom": frozenset({"check_called_ae_title", "only_listed_sources", "max_associations"}),
        "tls": frozenset({"certificate", "key", "client_certificate", "client_authority"}),
        "sources": WHOLE,
        "retention": WHOLE,
        "model": frozenset(
            {
                "bundle",
                "allow_untrained",
                "operating_point",
                "batch_size",
                "batch_wait",
                "hung_after",
                "decoders",
                "decode_timeout",
                "decode_memory",
            }
        ),
        "shadow": frozenset(
            {
                "bundle",
                "device",
                "operating_point",
                "allow_untrained",
                "look_back",
                "keep",
                "give_way",
                "attempts",
                "batch_size",
                "decoders",
            }
        ),
        "drift": WHOLE,
        "eligibility": WHOLE,
        "assembly": WHOLE,
        "report": WHOLE,
        "destinations": WHOLE,
        "routes": WHOLE,
        "notifications": WHOLE,
        "records": WHOLE,
        "archives": WHOLE,
        "backfill": WHOLE,
        "watch": WHOLE,
        "jobs": frozenset({"analysis_attempts", "delivery_attempts", "unavailable_delay"}),
        "logging": WHOLE,
    }
)
"""Keys by section. Backfill and archives are read by each run of the command, and by the workers for their gates."""
ROLE_SWITCHES = frozenset({"shadow.bundle", "watch"})
"""Between nothing and something these start or end a role, which a reload does not."""


@dataclass(frozen=True, slots=True)
class Change:
    """What comes of settings that were read anew."""

    settings: Settings
    """In force from now on: what was read, but for what needs a restart, which is as it was."""
    taken: tuple[str, ...]
    """Paths of what is different and in force: "sources", "dicom.only_listed_sources"."""
    restart: tuple[str, ...]
    """Paths of what is different and needs a restart."""


def change(running: Settings, read: Settings) -> Change:
    """What a process that runs with the first takes up of the second.

    ConfigError where what was read does not go together with what needs a restart and stays.
    """
    differs = list(_differences(running, read))
    taken = [path for path in differs if _is_taken_up(path, running, read)]
    # By alias-free dumps, because a copy would not be checked.
    tree = running.model_dump()
    for path in taken:
        section, _, key = path.partition(".")
        if key:
            tree[section][key] = getattr(getattr(read, section), key)
        else:
            tree[section] = getattr(read, section)
    try:
        merged = from_tree(tree)
    except ConfigError as error:
        restart = ", ".join(path for path in differs if path not in taken)
        raise ConfigError([f"{problem} (as long as {restart} needs a restart)" for problem in error.problems]) from None
    return Change(merged, tuple(taken), tuple(path for path in differs if path not in taken))


def _differences(one: Settings, other: Settings) -> Iterator[str]:
    for section in Settings.model_fields:
        before, after = getattr(one, section), getattr(other, section)
        if not isinstance(before, Section):
            if before != after:
                yield section
            continue
        for key in type(before).model_fields:
            if getattr(before, key) != getattr(after, key):
                yield f"{section}.{key}"


def _is_taken_up(path: str, running: Settings, read: Settings) -> bool:
    section, _, key = path.partition(".")
    if path in ROLE_SWITCHES and bool(_value(running, path)) != bool(_value(read, path)):
        return False
    keys = TAKEN_UP.get(section, frozenset())
    return keys == WHOLE or key in keys


def _value(settings: Settings, path: str) -> object:
    found: object = settings
    for name in path.split("."):
        found = getattr(found, name)
    return found
