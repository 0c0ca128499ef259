"""Who may see the console, and what other sites' pages can do to it: nothing."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from ocunet_pacs.app.doctor_ports import ask_console
from ocunet_pacs.console.rendering import PAGES
from ocunet_pacs.domain.audit import AuditOutcome, Login
from ocunet_pacs.domain.errors import ConfigError, PeerUnavailable
from ocunet_pacs.settings import from_tree
from tests.console.site import ELSEWHERE, HERE, TOKEN, asked, served, site

if TYPE_CHECKING:
    from pathlib import Path

PATHS = [path for path, _ in PAGES] + ["/icon.svg", "/studies/1", "/pictures/received/1/small", "/sign-out", "/x/../.."]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND"]
OUR_FORM = {"origin": "http://localhost:8043", "sec-fetch-site": "same-origin"}


def sign_in(client: TestClient, token: str = TOKEN) -> int:
    return client.post("/sign-in", data={"token": token}, headers=OUR_FORM).status_code


def seal(page: str) -> str:
    (found,) = set(re.findall(r'name="seal" value="([0-9a-f]{64})"', page))
    return found


@pytest.mark.parametrize("token", [None, TOKEN])
def test_from_another_address_nothing_answers_but_401(folder: Path, token: str | None) -> None:
    with site(folder, console={"token": token}) as made:
        client = asked(made, ELSEWHERE, "192.0.2.1:8043")
        for path in PATHS:
            for method in METHODS:
                answer = client.request(method, path, headers={"authorization": "Bearer wrong-token-of-mine"})
                assert answer.status_code == 401, (method, path)
                assert "set-cookie" not in answer.headers
                assert "Overview" not in answer.text


def test_whoever_is_here_needs_no_token_where_none_is_set(folder: Path) -> None:
    with site(folder) as made:
        for address, host in ((HERE, "localhost:8043"), (("::1", 5), "[::1]:8043"), (HERE, "127.0.0.1")):
            assert asked(made, address, host).get("/").status_code == 200


def test_what_a_proxy_hands_on_is_not_from_here(folder: Path) -> None:
    with site(folder) as made:
        client = asked(made)
        for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"):
            assert client.get("/", headers={name: "192.0.2.7"}).status_code == 401


def test_a_name_that_another_site_pointed_to_this_machine_is_not_ours(folder: Path) -> None:
    with site(folder, console={"names": ["console.clinic.example"]}) as made:
        assert asked(made, host="evil.example:8043").get("/").status_code == 401
        assert asked(made, host="localhost.evil.example").get("/").status_code == 401
        for host in ("console.clinic.example", "Console.Clinic.Example:8043", "LOCALHOST:1"):
            assert asked(made, host=host).get("/").status_code == 200


def test_where_a_token_is_set_everybody_gives_it_once(folder: Path) -> None:
    with site(folder, console={"token": TOKEN}) as made:
        client = asked(made)
        assert client.get("/").status_code == 401
        assert sign_in(client, "a-wrong-token-of-16") == 401
        assert sign_in(client) == 303
        page = client.get("/")
        assert page.status_code == 200
        answer = client.post("/sign-out", data={"seal": seal(page.text)}, headers=OUR_FORM)
        assert answer.status_code == 303
        assert client.get("/").status_code == 401, "the old cookie is worth nothing"
        said = [(event.outcome, event.out) for event in made.told if isinstance(event, Login)]
        wrong, well = AuditOutcome.MINOR_FAILURE, AuditOutcome.SUCCESS
        assert said == [(wrong, False), (well, False), (well, True)]


def test_a_program_shows_the_token_and_reads(folder: Path) -> None:
    with site(folder, console={"token": TOKEN}) as made:
        client = asked(made, ELSEWHERE, "192.0.2.1:8043")
        shown = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/studies", headers=shown).status_code == 200
        client.cookies.clear()
        assert client.post("/sign-out", data={"seal": "0" * 64}, headers=shown | OUR_FORM).status_code == 403


def test_whoever_guesses_is_not_compared_any_more(folder: Path) -> None:
    with site(folder, console={"token": TOKEN}) as made:
        client = asked(made, ELSEWHERE, "192.0.2.1")
        ours = {"origin": "http://192.0.2.1", "sec-fetch-site": "same-origin"}
        for _ in range(10):
            assert client.post("/sign-in", data={"token": "wrong" * 4}, headers=ours).status_code == 401
        right = client.post("/sign-in", data={"token": TOKEN}, headers=ours)
        assert right.status_code == 401
        assert "wait a minute" in right.text
        assert made.counted[("security_events", "console_wrong_token")] == 10
        neighbour = asked(made, ("192.0.2.8", 1), "192.0.2.1")
        assert neighbour.post("/sign-in", data={"token": TOKEN}, headers=ours).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999", "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:8043", "sec-fetch-site": "cross-site"},
        {"origin": "http://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
def test_a_form_of_another_site_is_refused_even_with_the_right_seal(folder: Path, headers: dict[str, str]) -> None:
    with site(folder, console={"token": TOKEN}) as made:
        client = asked(made)
        assert client.post("/sign-in", data={"token": TOKEN}, headers=headers).status_code == 401
        assert sign_in(client) == 303
        right = {"seal": seal(client.get("/").text)}
        assert client.post("/sign-out", data=right, headers=headers).status_code == 403
        assert client.get("/").status_code == 200, "still signed in"


def test_a_form_without_the_seal_of_its_session_is_refused(folder: Path) -> None:
    with site(folder, console={"token": TOKEN}) as made:
        mine = asked(made)
        other = TestClient(mine.app, base_url="http://localhost:8043", client=HERE, follow_redirects=False)
        assert sign_in(mine) == sign_in(other) == 303
        foreign = seal(other.get("/").text)
        for given in ({"other": "x"}, {"seal": ""}, {"seal": foreign}, {"seal": "0" * 64}):
            assert mine.post("/sign-out", data=given, headers=OUR_FORM).status_code == 403
        long = {"seal": seal(mine.get("/").text), "more": "x" * 20_000}
        assert mine.post("/sign-out", data=long, headers=OUR_FORM).status_code == 413
        assert mine.post("/sign-out", json={"seal": foreign}, headers=OUR_FORM).status_code == 415
        assert mine.get("/").status_code == 200, "still signed in"


def test_a_cookie_that_was_made_up_is_worth_nothing(folder: Path) -> None:
    with site(folder, console={"token": TOKEN}) as made:
        for cookie in ("", "x", "a.b", "0" * 32 + "." + "0" * 64, "\xff.\xff"):
            headers = {"cookie": f"ocunet_console={cookie}".encode("latin-1")}
            assert asked(made).get("/", headers=headers).status_code == 401


def test_other_sites_pages_cannot_show_ours_or_our_pictures(folder: Path) -> None:
    with site(folder) as made:
        client = asked(made)
        for site_of in ("cross-site", "same-site"):
            embedded = {"sec-fetch-site": site_of, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
            assert client.get("/pictures/received/1/small", headers=embedded).status_code == 403
        assert (
            client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200
        )


@pytest.mark.parametrize("path", ["/", "/studies/999", "/icon.svg", "/nowhere"])
def test_every_answer_tells_the_browser_what_it_may_do_with_it(folder: Path, path: str) -> None:
    with site(folder) as made:
        headers = asked(made).get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "HttpOnly; SameSite=Strict" in headers.get("set-cookie", "")


TRICKS = [
    b"/../etc/passwd",
    b"/studies/../../etc/passwd",
    b"/pictures/received/..%2f..%2fetc/small",
    b"/studies/%2e%2e/%2e%2e/etc/passwd",
    b"/studies/1%00",
    b"/%73tudies",
    b"//studies",
    b"/studies/",
    b"/studies\\..\\..",
    b"/studies;x=1",
    b"/pictures/received/1%2fsmall",
    b"/pictures/received/99999999999999999999999999/small",
    b"/studies/-1",
    b"/studies/\xd9\xa1",
    b"/studies?after=0x10",
    b"/studies?after=1%00",
    b"/studies?after=1.2",
    b"/studies?after=",
    b"/studies?state=waiting&after=1",
    b"/studies?state=waiting&after=1.2.",
    b"/studies?state=waiting&after=1.2.%D9%A1",
    b"/studies?state=..%2f",
    b"/templates/style.css",
    b"http://evil.example/studies",
    b"*",
]


def test_no_trick_with_a_path_leads_anywhere(folder: Path) -> None:
    with site(folder) as made, served(made) as address:
        where = urlsplit(address)
        for path in TRICKS:
            with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
                connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := connection.recv(1 << 16):
                    answer += piece
            assert re.match(rb"HTTP/1.1 40[04] ", answer), (path, answer[:100])
            assert b"root:" not in answer


def test_settings_that_would_leave_it_unguarded_are_refused() -> None:
    for wrong, what in (
        ({"host": "0.0.0.0"}, "token"),
        ({"host": "0.0.0.0", "token": TOKEN}, "console.plain"),
        ({"host": "192.0.2.1", "token": TOKEN, "certificate": "/a.pem"}, "console.key"),
        ({"token": "short"}, "16"),
        ({"names": ["http://x"]}, "host names"),
    ):
        with pytest.raises(ConfigError, match=what):
            from_tree({"console": wrong})
    from_tree({"console": {"host": "0.0.0.0", "token": TOKEN, "plain": True}})


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_doctor_knows_it_again(folder: Path, token: str | None) -> None:
    with site(folder, console={"token": token}) as made, served(made) as address:
        port = urlsplit(address).port
        ask_console(from_tree({"console": {"port": port, "token": token}}))
    with pytest.raises(PeerUnavailable):
        ask_console(from_tree({"console": {"port": port}}))
