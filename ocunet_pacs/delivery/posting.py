"""One HTTP POST to a service of the site's, with every way in which it can fail said in our words.

Texts name the host and never the whole address, which may hold a secret, nor what the service said, which may hold
patient data.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from ocunet_pacs.delivery import tls
from ocunet_pacs.domain.errors import ConfigError, PeerBusy, PeerRefused, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import timedelta

_LARGEST_ANSWER = 1 << 20
_CONFIGURATION = {
    401: "it does not accept our credentials; check token, user and password",
    403: "it does not allow this to us; check our rights there",
    404: "there is nothing at this address; check url",
    405: "nothing can be sent to this address; check url",
    407: "a proxy wants credentials; check the proxy's settings",
    421: "this host does not serve this address; check url",
    511: "the network wants a login first",
}
"""What a person puts right at one side or the other, after which everything that waits goes out."""
_FOR_NOW = {
    408: "it waited too long for us",
    413: "the object is too large for it; raise its limit",
    423: "locked",
    425: "too early",
    429: "too many requests",
    502: "its gateway fails",
    503: "it is overloaded or being serviced",
    507: "no room left",
}


_KNOWS_NO_OPTIONS = frozenset({400, 405, 501})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not about the way there: status, content type and content (its first megabyte)."""

    status: int
    content_type: str
    content: bytes


class Service:
    """One web service. Threads may share it; connections are kept for a few seconds and then closed."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: timedelta,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        basic: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout`: how long it may stay silent. `tls` None: the system's authorities. ConfigError."""
        self.name = name
        address = _address(name, url)
        self.url = str(address).rstrip("/")
        self.where = f"{address.host} port {address.port or {'https': 443}.get(address.scheme, 80)}"
        authorization = {"authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(
            headers={"user-agent": "ocunet-pacs", **(headers or {}), **authorization},
            auth=basic,
            timeout=timeout.total_seconds(),
            verify=tls or _system(address.scheme),
            # Redirects could lead anywhere, and what we send is not for anywhere.
            follow_redirects=False,
        )
        self._timeout = timeout

    def post(
        self,
        content: bytes | Iterator[bytes],
        headers: Mapping[str, str],
        path: str = "",
        *,
        ours: Collection[int] = (),
    ) -> Answer:
        """The answer, if it is about what was sent: a success, or a client error that `judge` tells apart.

        `ours`: statuses that here are about what was sent, too.

        PeerUnavailable: nobody answered, or somebody has to change the settings here or there first. PeerBusy: not now.
        """
        with self._in_our_words():
            return self._answer("POST", path, content, headers, ours)

    def get(self, path: str, headers: Mapping[str, str]) -> Answer:
        """As `post`."""
        with self._in_our_words():
            return self._answer("GET", path, None, headers)

    def probe(self, path: str = "", *, ours: Collection[int] = ()) -> str:
        """Ask what may be done there (OPTIONS), which changes nothing; the answer in words.

        That a service knows no OPTIONS is an answer, too. `ours`: further statuses that are. PeerUnavailable and
        PeerBusy as `post`.
        """
        with self._in_our_words():
            status = self._answer("OPTIONS", path, None, {}, {*_KNOWS_NO_OPTIONS, *ours}).status
        return f"answered (HTTP status {status})"

    def _answer(
        self,
        method: str,
        path: str,
        content: bytes | Iterator[bytes] | None,
        headers: Mapping[str, str],
        ours: Collection[int] = (),
    ) -> Answer:
        with self._client.stream(method, self.url + path, content=content, headers=dict(headers)) as response:
            if response.status_code not in ours:
                _pass_on(self.name, response)
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece[: _LARGEST_ANSWER - len(body)]
                if len(body) >= _LARGEST_ANSWER:
                    break
            return Answer(response.status_code, response.headers.get("content-type", ""), bytes(body))

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise PeerUnavailable(f"{self.name}: {self.where} did not answer within {self._timeout}") from error
        except httpx.TransportError as error:
            words = tls.trouble(_tls_error(error)) or "no answer; check that it runs, and host, port and firewall"
            raise PeerUnavailable(f"{self.name}: {self.where}: {words}") from error
        except httpx.HTTPError as error:
            raise PeerUnavailable(f"{self.name}: {self.where}: {type(error).__name__}; check url") from error

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()


def judge(name: str, answer: Answer) -> None:
    """Return for a success (2xx). PeerRefused otherwise: a person looks."""
    if not 200 <= answer.status < 300:
        raise PeerRefused(f"{name}: refused, HTTP status {answer.status}")


def _pass_on(name: str, response: httpx.Response) -> None:
    """Raise for an answer that is about the way there or the moment."""
    status = response.status_code
    if status in _CONFIGURATION:
        raise PeerUnavailable(f"{name}: {_CONFIGURATION[status]} (HTTP status {status})")
    if 300 <= status < 400:
        raise PeerUnavailable(f"{name}: it sends us elsewhere; give the final address as url (HTTP status {status})")
    if status in _FOR_NOW or 500 <= status < 600:
        raise PeerBusy(f"{name}: refused for now, {_FOR_NOW.get(status, 'it fails')} (HTTP status {status})")


def _address(name: str, url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        raise ConfigError([f"{name}: url cannot be understood"]) from None
    if address.scheme not in {"http", "https"} or not address.host:
        raise ConfigError([f"{name}: url must be an http or https address"])
    return address


def _system(scheme: str) -> ssl.SSLContext:
    """Loading the system's authorities takes a moment, which plain HTTP need not spend."""
    return tls.client_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS error behind one of httpx's."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
