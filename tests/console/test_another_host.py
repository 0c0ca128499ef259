"""What somebody gets who reaches the console's port from another machine and has no token: 401, or no connection."""

from __future__ import annotations

import itertools
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs.console.guard import COOKIE
from tests.console.site import TOKEN, site
from tests.console.test_guard import METHODS, TRICKS
from tests.daemon import wait_until
from tests.hosts import site as network
from tests.hosts import why_not

if TYPE_CHECKING:
    from pathlib import Path

    from tests.console.site import Site

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(why_not()), reason=f"no other host can be made here: {why_not()}"),
]
VALUES = {"id": "1", "size": "small", "key": "0123456789abcdef", "verb": "retry"}
UNKNOWN = [
    "/nowhere",
    "/favicon.ico",
    "/robots.txt",
    "/static/style.css",
    "/metrics",
    "/live",
    "/openapi.json",
    "/sign-in",
]
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
GUESSES = {
    "nothing": "",
    "a wrong token": "Authorization: Bearer wrong-token-of-mine\r\n",
    "somebody's password": "Authorization: Basic YWRtaW46YWRtaW4=\r\n",
    "a cookie that was made up": f"Cookie: {COOKIE}={'0' * 32}.{'0' * 64}\r\n",
    "being local": "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
    "another name": "X-Forwarded-Host: localhost\r\nOrigin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n",
}


def every_path(made: Site) -> list[str]:
    """Each page that there is, as the application itself lists them."""
    app: Any = made.server().app
    routes = [route.path for route in app._app.routes]
    return [re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], path) for path in routes]


def request(method: str, path: str, more: str = "", body: str = "") -> str:
    length = f"Content-Length: {len(body)}\r\n" if body or method in {"POST", "PUT", "PATCH"} else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}{more}\r\n{body}"


def asked_from_another_host(folder: Path, host: str, more: dict[str, Any], requests: list[str]) -> list[str]:
    """The answers of a console with these settings to a machine of its own."""
    with network(folder, 1) as wire, site(folder, console={"host": host or wire.address} | more) as made:
        server = made.server()
        server.start()
        try:
            questions, answers = folder / "requests.json", folder / "answers.json"
            questions.write_text(json.dumps(requests))
            where = [wire.address, str(server.port), str(questions), str(answers)]
            wire.hosts[0].start([[sys.executable, "-m", "tests.console.stranger", *where]])
            wait_until(answers.exists, "the stranger to have asked", 240)
        finally:
            server.stop()
        found: list[str] = json.loads(answers.read_text())
        return found


def test_without_the_token_another_host_gets_401_whatever_it_asks_for_and_however(folder: Path) -> None:
    with site(folder) as made:
        # What is no HTTP, such as a path with other bytes than ASCII, gets 400 before anybody looks at it.
        paths = every_path(made) + UNKNOWN + [trick.decode() for trick in TRICKS if trick.isascii()]
    asked = [request(method, path) for method, path in itertools.product([*METHODS, "BREW"], paths)]
    asked += [
        request(method, path, guess) for guess in GUESSES.values() for method in ("GET", "POST") for path in paths
    ]
    asked += [request("POST", "/sign-in", FORM + GUESSES["another name"], f"token={token}") for token in ("", "a" * 22)]
    upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    asked.append(request("GET", "/", upgrade))
    token = f"Authorization: Bearer {TOKEN}\r\n"
    more = {"token": TOKEN, "plain": True}
    welcome, *refused = asked_from_another_host(folder, "", more, [request("GET", "/about", token), *asked])
    assert welcome.startswith("HTTP/1.1 200 "), "with the token it would answer"
    wrong = {line[:60]: text[:60] for line, text in zip(asked, refused, strict=True) if text[9:12] != "401"}
    assert wrong == {}
    assert not [text for text in refused if "set-cookie" in text.lower()]
    bodies = {text.partition("\r\n\r\n")[2] for text in refused}
    assert len(bodies) < 8, "the page that asks for the token, with what was wrong, and nothing that differs by path"


def test_where_no_token_is_set_another_host_gets_no_connection(folder: Path) -> None:
    assert asked_from_another_host(folder, "127.0.0.1", {}, [request("GET", "/")]) == [""]
