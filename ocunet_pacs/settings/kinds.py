"""The kinds of value that settings have, each with its check and the sentence that says what was expected."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)")
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("expected a duration such as 500ms, 10s, 5m, 1h30m or 2d")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a size such as 500 MiB or 2 GiB")
    return int(float(match[1]) * _SIZES[match[2]])


def _ae_title(value: str) -> str:
    if not _AE_TITLE.fullmatch(value) or not value.strip():
        raise ValueError("expected an AE title: 1 to 16 ASCII characters without backslash (PS3.5 section 6.2)")
    return value.strip()


def database_url(value: str) -> str:
    """Only the two databases that are tested, and SQLite's file always by absolute path.

    SQLAlchemy reads `sqlite:///var/lib/x.db` as relative to the working folder, which for a daemon is nobody's
    intention and loses the queue when the unit file changes: here it means /var/lib/x.db.
    """
    if value.startswith(("postgresql://", "postgresql+psycopg://")):
        return value
    path = value.removeprefix("sqlite:///")
    if path == value or not path.strip("/") or path.startswith((".", ":")):
        raise ValueError("expected sqlite:///absolute/path.db or postgresql://user:password@host/name")
    return f"sqlite:////{path.lstrip('/')}"


def _auto(value: object) -> object:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("expected auto or a number from 1")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", value):
        raise ValueError("expected a short name: lower-case letters, digits, - and _")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
AETitle = Annotated[str, AfterValidator(_ae_title)]
Auto = Annotated[int | Literal["auto"], BeforeValidator(_auto)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, AfterValidator(_name)]


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("expected an address or network such as 10.1.2.3, 10.1.0.0/16 or fd00::/8") from None


def _hours(value: object) -> str:
    if value in {"", None}:
        return ""
    match = (
        re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    )
    if match is None or match[1] + match[2] == match[3] + match[4]:
        raise ValueError("expected hours such as 19:00-06:00, local time, or nothing for any time")
    return str(value)


def _time_of_day(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        # YAML reads 12:30 as a number of base 60, and 02:30 as text.
        return f"{value // 60:02}:{value % 60:02}"
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError("expected a time of day such as 02:30, local time")
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Network = Annotated[str, AfterValidator(_network)]
Hours = Annotated[str, BeforeValidator(_hours)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]


class Section(BaseModel):
    """Frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    example: ClassVar[dict[str, str]] = {}
    """Values that the sample shows for keys without a default, as YAML."""
