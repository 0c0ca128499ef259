"""Word of a study by e-mail: the `Sender` port over SMTP (RFC 5321), with TLS where the mail server has it."""

from __future__ import annotations

import smtplib
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal

from ocunet_pacs.delivery import tls as tls_words
from ocunet_pacs.delivery.letter import body, subject
from ocunet_pacs.delivery.notice import read_notice
from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.domain.errors import ConfigError, PeerBusy, PeerRefused, PeerUnavailable
from ocunet_pacs.domain.ports import Receipt

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

Security = Literal["none", "starttls", "tls"]


class MailSender:
    """A letter to `recipients` for each notice. Threads may share it: each letter has a connection of its own.

    `security`: none, starttls (a plain connection that turns to TLS before anything is said) or tls (from the start).
    `now` gives the letters' date, aware.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        sender: str,
        recipients: Sequence[str],
        timeout: timedelta,
        now: Callable[[], datetime],
        security: Security = "none",
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` None: the system's authorities (see `tls.client_context`). ConfigError."""
        if user is not None and security == "none":
            raise ConfigError([f"{name}: a password is not sent without TLS; set security to starttls or tls"])
        self._name = name
        self._host, self._port = host, port
        self._sender, self._recipients = sender, tuple(recipients)
        self._timeout = timeout
        self._now = now
        self._security = security
        self._user, self._password = user, password or ""
        self._tls = None if security == "none" else tls or client_context()

    def send(self, path: Path) -> Receipt:
        """The mail server took the letter for at least one recipient.

        PeerUnavailable: no mail server, no TLS with it, or it does not accept our login. PeerBusy: it refused with 4xx.
        PeerRefused: with 5xx. StoreError.
        """
        _, notice = read_notice(path)
        letter = EmailMessage()
        letter["Subject"] = subject(notice)
        letter["From"] = self._sender
        letter["To"] = ", ".join(self._recipients)
        letter["Date"] = format_datetime(self._now())
        # The same however often it is sent, so that a second copy can be told.
        letter["Message-ID"] = f"<{notice['id']}@{self._sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(body(notice))
        refused = self._hand_over(letter)
        if refused:
            return Receipt(f"taken for {len(self._recipients) - refused} of {len(self._recipients)} recipients")
        return Receipt("taken by the mail server")

    def probe(self) -> str:
        """The mail server talks to us, and accepts our login where we have one. Raises as `send`; no letter is sent."""
        with self._in_our_words(), self._connected() as server:
            code, _ = server.noop()
            if code != 250:
                raise self._refused(code)
            return "answered NOOP" if self._user is None else "accepted our login"

    def _hand_over(self, letter: EmailMessage) -> int:
        """How many recipients were refused, fewer than all."""
        with self._in_our_words(), self._connected() as server:
            return len(server.send_message(letter, self._sender, self._recipients))

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        where = f"{self._name}: {self._host} port {self._port}"
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            raise self._refused(min(code for code, _ in error.recipients.values())) from error
        except smtplib.SMTPAuthenticationError as error:
            words = f"it does not accept our login; check user and password (SMTP status {error.smtp_code})"
            raise PeerUnavailable(f"{where}: {words}") from error
        except smtplib.SMTPConnectError as error:
            raise PeerUnavailable(f"{where}: it does not talk to us (SMTP status {error.smtp_code})") from error
        except smtplib.SMTPResponseException as error:
            raise self._refused(error.smtp_code) from error
        except smtplib.SMTPNotSupportedError as error:
            raise PeerUnavailable(f"{where}: it does not offer what was asked for (STARTTLS, or a login)") from error
        except (smtplib.SMTPException, OSError) as error:
            words = tls_words.trouble(error) or "no answer; check that the mail server runs, and host and port"
            raise PeerUnavailable(f"{where}: {words}") from error

    def _connected(self) -> smtplib.SMTP:
        seconds = self._timeout.total_seconds()
        if self._security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=seconds, context=self._tls)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=seconds)
        try:
            if self._security == "starttls":
                server.starttls(context=self._tls)
            if self._user is not None:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _refused(self, code: int) -> PeerBusy | PeerRefused:
        # What the server says may quote the letter; only its number goes on.
        if 400 <= code < 500:
            return PeerBusy(f"{self._name}: the mail server refused for now (SMTP status {code})")
        return PeerRefused(f"{self._name}: the mail server refused the letter (SMTP status {code})")

    def close(self) -> None:
        """Nothing is kept open."""
