"""What is read of a request before anybody trusts it: whose page it comes from, by which name we were called, a form.

Everything here is pure but for `read_form`, which has limits in size and time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import Headers
    from starlette.requests import Request

_PATH = re.compile(rb"/(?:[a-z0-9][a-z0-9.-]{0,63}(?:/[a-z0-9][a-z0-9.-]{0,63}){0,4})?")
"""Every path that there is: nothing to decode, no dots alone, no empty parts."""
_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_LONGEST_FORM = 16 << 10
_FORM_S = 10.0
_MOST_FIELDS = 16


class Refused(Exception):
    """The request is not answered as asked, with this status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def is_plain_path(raw_path: bytes) -> bool:
    """Whether a path as it was sent is one that could be ours."""
    return _PATH.fullmatch(raw_path) is not None


def is_from_here(peer: str, headers: Headers) -> bool:
    """Whether the browser runs on this machine; what a proxy hands on comes from wherever the proxy is reached."""
    if any(name in headers for name in _PROXIED):
        return False
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_known_name(host: str, names: Collection[str]) -> bool:
    """Whether the Host header names us: one of `names`, or an address.

    A page of another site that has its own name point to this machine (DNS rebinding) calls us by that name, and a
    browser never lets an address be such a name.
    """
    name = host.rpartition(":")[0] if re.search(r":\d*$", host) and not host.endswith("]") else host
    name = name.strip("[]").lower().removesuffix(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def is_our_own(headers: Headers, scheme: str) -> bool:
    """Whether a form was sent by a page of ours, as the browser says. Every browser says so of a form.

    `scheme`: ours. In front of plain HTTP there may be a proxy that does HTTPS.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return False
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return True
    parts = urlsplit(origin)
    return parts.scheme in {scheme, "https"} and parts.netloc.lower() == headers.get("host", "").lower()


def is_foreign(headers: Headers) -> bool:
    """Whether a page of another site asks for something to show or to read in itself, instead of leading here."""
    site = headers.get("sec-fetch-site", "none")
    return site not in {"same-origin", "none"} and headers.get("sec-fetch-mode") != "navigate"


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of a name. Refused, where it is no form, too long, or does not come."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "a form is expected")
    body = bytearray()
    try:
        async with asyncio.timeout(_FORM_S):
            async for piece in request.stream():
                body += piece
                if len(body) > _LONGEST_FORM:
                    raise Refused(413, "the form is too long")
    except (TimeoutError, ClientDisconnect):
        raise Refused(408, "the form did not come") from None
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise Refused(400, "the form cannot be read") from None
