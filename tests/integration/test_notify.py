"""Word of an urgent study by webhook, by mail and as a file: what arrives, and what each failure leads to."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from ocunet_pacs.delivery.folder import FolderSender
from ocunet_pacs.delivery.mail import MailSender
from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.delivery.webhook import WebhookSender, signature
from ocunet_pacs.domain.errors import ConfigError, PeerBusy, PeerRefused, PeerUnavailable, StoreError
from ocunet_pacs.domain.ports import Receipt
from tests.certificates import self_signed, signed
from tests.conftest import PROJECT
from tests.dcmtk import HOST, free_port
from tests.faulty_web import Reply, Request, faulty_web
from tests.integration.objects import write
from tests.integration.results import notice, report
from tests.integration.small_disk import small_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

SECRET = "sixteen characters or more"
TIMEOUT = timedelta(seconds=20)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return notice(tmp_path / "0b5c.json")


def post(url: str, path: Path, secret: str = SECRET, **settings: Any) -> Receipt:
    sender = WebhookSender("pager", url, secret, timeout=TIMEOUT, now=now, **settings)
    try:
        return sender.send(path)
    finally:
        sender.close()


def documented_check() -> Callable[[bytes, Mapping[str, str], bytes], bool]:
    """The function that docs/delivery.md shows."""
    page = (PROJECT / "docs" / "delivery.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"base64": base64, "hmac": hmac, "time": time, "Mapping": Mapping}
    exec(code, names)
    found: Callable[[bytes, Mapping[str, str], bytes], bool] = names["is_ours"]
    return found


@pytest.mark.parametrize(
    ("secret", "key"),
    [(SECRET, SECRET.encode()), ("whsec_" + base64.b64encode(b"k" * 24).decode(), b"k" * 24)],
)
def test_a_receiver_can_tell_who_speaks(secret: str, key: bytes, path: Path) -> None:
    is_ours = documented_check()
    with faulty_web(lambda request: Reply(204)) as service:
        assert post(service.url, path, secret) == Receipt("delivered (HTTP status 204)")
        post(service.url, path, secret)
    first, second = service.requests
    assert first.content == path.read_bytes()
    assert first.headers["content-type"] == "application/json"
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "2.25.1234567890"
    assert is_ours(key, first.headers, first.content)
    assert not is_ours(b"another key", first.headers, first.content)
    assert not is_ours(key, first.headers, first.content.replace(b"0.91", b"0.19"))
    assert not is_ours(key, {**first.headers, "webhook-timestamp": "1"}, first.content)


def test_the_published_example_of_the_scheme_has_our_signature() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed_by_scheme = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == signed_by_scheme


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, PeerUnavailable),
        (400, PeerRefused),
        (401, PeerUnavailable),
        (404, PeerUnavailable),
        (408, PeerBusy),
        (410, PeerRefused),
        (422, PeerRefused),
        (425, PeerBusy),
        (429, PeerBusy),
        (500, PeerBusy),
        (503, PeerBusy),
    ],
)
def test_what_a_receiver_may_answer(status: int, error: type[Exception], path: Path) -> None:
    with faulty_web(lambda request: Reply(200)) as elsewhere:

        def answer(request: Request) -> Reply:
            return Reply(status, b"Testperson^Erika", (("Location", elsewhere.url),))

        with faulty_web(answer) as service, pytest.raises(error) as caught:
            post(service.url + "/a-secret-of-the-address", path)
    assert elsewhere.requests == []
    assert "Testperson" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_receiver_that_is_not_there(path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="no answer"):
        post(f"http://{HOST}:{free_port()}/", path)


def test_a_secret_that_is_no_base64() -> None:
    with pytest.raises(ConfigError, match="the rest must be base64"):
        WebhookSender("pager", "https://x/", "whsec_!!", timeout=TIMEOUT, now=now)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"id": "line\\nbreak"}', '{"id": ""}'])
def test_what_is_no_notice_is_not_sent(content: str, tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text(content)
    with faulty_web(lambda request: Reply()) as service, pytest.raises(StoreError):
        post(service.url, tmp_path / "n.json")
    assert service.requests == []


class Mailbox:
    """What a mail server took, and what it answers to each command instead of taking it."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.letters: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.over_tls: list[bool] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.letters.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.recipients.append(envelope.rcpt_tos)
        self.over_tls.append(session.ssl is not None)
        return "250 OK"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"secret", handled=False)


@contextmanager
def mail_server(box: Mailbox, *, tls: ssl.SSLContext | None = None, starttls: bool = True) -> Iterator[int]:
    class Server(Controller):
        def factory(self) -> SMTP:
            return SMTP(
                box,
                tls_context=tls if starttls else None,
                require_starttls=tls is not None and starttls,
                authenticator=box.login,
                auth_require_tls=False,
                enable_SMTPUTF8=True,
            )

        def _trigger_server(self) -> None:
            """Make a connection, as aiosmtpd's does, and close it, as that does not."""
            socket.create_connection((HOST, port), timeout=20).close()

    port = free_port()
    server = Server(box, hostname=HOST, port=port, ssl_context=None if starttls else tls)
    server.start()
    try:
        yield port
    finally:
        server.stop()


def mail(port: int, path: Path, **settings: Any) -> Receipt:
    settings = {"recipients": ["on-call@clinic.example", "reading@clinic.example"], "host": HOST, **settings}
    return MailSender("on-call", port=port, sender="ocunet@clinic.example", timeout=TIMEOUT, now=now, **settings).send(
        path
    )


def test_a_letter_in_plain_words(path: Path) -> None:
    box = Mailbox()
    with mail_server(box) as port:
        assert mail(port, path) == Receipt("taken by the mail server")
        mail(port, path)
    letter = box.letters[0]
    assert box.recipients[0] == ["on-call@clinic.example", "reading@clinic.example"]
    assert letter["Subject"] == "Fundus photographs (OD): urgent review suggested"
    assert letter["From"] == "ocunet@clinic.example"
    assert letter["To"] == "on-call@clinic.example, reading@clinic.example"
    assert letter["Message-ID"] == box.letters[1]["Message-ID"] == "<2.25.1234567890@clinic.example>"
    assert letter["Date"].datetime <= now() + timedelta(seconds=1)
    text = letter.get_content()
    for words in (
        "suggests urgent review",
        "Right eye (OD): Central retinal vein occlusion above threshold (probability 91%, threshold 40%), urgent",
        "Reference: 0123456789ab",
        "Decision support, not a diagnosis.",
    ):
        assert words in text
    for absent in ("Patient", "Accession", "UNTRAINED", "diagnosed"):
        assert absent not in text


def test_a_letter_tells_what_the_site_allows_and_no_more(tmp_path: Path) -> None:
    study = {
        "digest": "0123456789ab",
        "accession_number": "A-1",
        "patient_id": "T-4711",
        "patient_name": "Müller^Erika\r\nBcc: everybody@example.com",
        "birth_date": "19700101",
    }
    path = notice(tmp_path / "n.json", study=study, trained=False, findings=[{"eye": None, "label": "DR"}, "nonsense"])
    box = Mailbox()
    with mail_server(box) as port:
        mail(port, path)
    text = box.letters[0].get_content()
    assert "Accession number: A-1" in text
    assert "Patient ID: T-4711" in text
    assert "Patient: Müller^Erika Bcc: everybody@example.com" in text
    assert "1970" not in text
    assert "UNTRAINED" in text
    assert "Eye unknown: DR above threshold (probability unknown, threshold unknown)" in text
    assert box.letters[0]["Bcc"] is None
    assert box.letters[0]["Subject"] == "Fundus photographs: urgent review suggested"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"MAIL": "451 later"}, PeerBusy),
        ({"MAIL": "550 never, Testperson"}, PeerRefused),
        ({"DATA": "452 no room"}, PeerBusy),
        ({"DATA": "554 no, Testperson"}, PeerRefused),
        ({"on-call@clinic.example": "450 later", "reading@clinic.example": "550 who?"}, PeerBusy),
        ({"on-call@clinic.example": "550 who?", "reading@clinic.example": "550 who, Testperson?"}, PeerRefused),
    ],
)
def test_refusals_of_a_mail_server(answers: dict[str, str], error: type[Exception], path: Path) -> None:
    box = Mailbox(**answers)
    with mail_server(box) as port, pytest.raises(error) as caught:
        mail(port, path)
    assert "Testperson" not in str(caught.value)
    assert box.letters == []


def test_one_recipient_is_enough(path: Path) -> None:
    box = Mailbox(**{"on-call@clinic.example": "550 who?"})
    with mail_server(box) as port:
        assert mail(port, path) == Receipt("taken for 1 of 2 recipients")


def test_a_mail_server_that_is_not_there(path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="check that the mail server runs"):
        mail(free_port(), path)


@pytest.mark.peers
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_over_tls_with_a_password(security: str, path: Path, tmp_path: Path) -> None:
    authority = self_signed(tmp_path, "authority")
    pair = signed(tmp_path, "mail", authority, names=f"IP:{HOST}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    ours = {"security": security, "tls": client_context(authority.certificate), "user": "ocunet"}
    box = Mailbox()
    with mail_server(box, tls=context, starttls=security == "starttls") as port:
        assert mail(port, path, password="secret", **ours) == Receipt("taken by the mail server")
        with pytest.raises(PeerUnavailable, match="check user and password"):
            mail(port, path, password="wrong", **ours)
        with pytest.raises(PeerUnavailable, match="no authority that we know vouches"):
            mail(port, path, password="secret", security=security, user="ocunet")
    assert set(box.logins) == {(b"ocunet", b"secret"), (b"ocunet", b"wrong")}
    assert len(box.letters) == 1


@pytest.mark.peers
def test_no_word_before_tls_where_it_was_asked_for(path: Path) -> None:
    box = Mailbox()
    with mail_server(box) as port, pytest.raises(PeerUnavailable, match="STARTTLS"):
        mail(port, path, security="starttls", user="ocunet", password="secret")
    assert box.logins == box.letters == []


def test_no_password_without_tls() -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        MailSender(
            "m", host=HOST, port=25, sender="a@b", recipients=["c@d"], timeout=TIMEOUT, now=now, user="u", password="p"
        )


def test_files_in_a_folder(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    dicom = write(report(), tmp_path / "Testperson^Erika.dcm")
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.7 ...")
    (tmp_path / "bundle.json").write_text('{"resourceType": "Bundle"}')
    sender = FolderSender("record", folder)
    sources = (path, dicom, tmp_path / "page.pdf", tmp_path / "bundle.json")
    for source in sources:
        assert sender.send(source).note.startswith("written as ")
    kept = {file.suffix: file for file in folder.iterdir()}
    assert {file.read_bytes() for file in folder.iterdir()} == {source.read_bytes() for source in sources}
    assert set(kept) == {".json", ".dcm", ".pdf"}
    assert all(re.fullmatch(r"[0-9a-f]{64}\.(json|dcm|pdf)", file.name) for file in folder.iterdir())


def test_an_object_that_is_sent_again_replaces_its_file(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    sender = FolderSender("record", folder)
    sender.send(path)
    sender.send(notice(path, urgency="soon"))
    (file,) = folder.iterdir()
    assert json.loads(file.read_bytes())["urgency"] == "soon"


def test_a_folder_that_is_missing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="check folder, mount and rights"):
        FolderSender("record", tmp_path / "gone").send(path)
    (tmp_path / "file").touch()
    with pytest.raises(PeerUnavailable):
        FolderSender("record", tmp_path / "file").send(path)


def test_a_source_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        FolderSender("record", tmp_path).send(tmp_path / "gone")


@pytest.mark.peers
def test_a_full_disk(tmp_path: Path) -> None:
    source = tmp_path / "big.json"
    source.write_text(json.dumps({"id": "1.2.3", "text": "x" * 3_000_000}))
    with small_disk(tmp_path / "disk", 8) as disk:
        folder = disk.root / "out"
        folder.mkdir()
        disk.leave(1 << 20)
        with pytest.raises(PeerBusy, match="no room left"):
            FolderSender("record", folder).send(source)
        assert list(folder.iterdir()) == []
        disk.empty()
        FolderSender("record", folder).send(source)
        assert len(list(folder.iterdir())) == 1
