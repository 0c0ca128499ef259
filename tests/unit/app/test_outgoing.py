"""Settings of what goes out: what they build, and what is said of those that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ocunet_pacs import settings
from ocunet_pacs.app.outgoing import commitment_rules, dicom_destination, senders
from ocunet_pacs.app.parts import routes
from ocunet_pacs.delivery.cstore import CStoreSender
from ocunet_pacs.delivery.fhir_endpoint import FhirSender
from ocunet_pacs.delivery.folder import FolderSender
from ocunet_pacs.delivery.mail import MailSender
from ocunet_pacs.delivery.web import StowSender
from ocunet_pacs.delivery.webhook import WebhookSender
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.routes import Form, StudyFacts
from tests.certificates import self_signed

if TYPE_CHECKING:
    from pathlib import Path

PACS = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
CLOUD = {"name": "cloud", "url": "https://archive.example/dicom-web"}
PAGER = {"name": "pager", "url": "https://pager.example/hook", "secret": "sixteen characters or more"}
MAIL = {"name": "mail", "mail_to": ["retina@clinic.example"]}
RECORD = {"name": "record", "url": "https://record.example/fhir"}
FOLDER = {"name": "folder", "folder": "/srv/fhir"}


def tree(**sections: Any) -> settings.Settings:
    return settings.from_tree(sections)


def test_every_name_has_the_sender_of_its_kind() -> None:
    loaded = tree(destinations=[PACS, CLOUD], notifications=[PAGER, MAIL], records=[RECORD, FOLDER])
    kinds = {name: type(sender) for name, sender in senders(loaded).items()}
    assert kinds == {
        "pacs": CStoreSender,
        "cloud": StowSender,
        "pager": WebhookSender,
        "mail": MailSender,
        "record": FhirSender,
        "folder": FolderSender,
    }


def test_only_those_are_asked_to_commit_that_do() -> None:
    loaded = tree(destinations=[PACS, PACS | {"name": "archive", "commitment": True, "commitment_timeout": "2h"}])
    rules = commitment_rules(loaded)
    assert set(rules) == {"archive"}
    assert rules["archive"].timeout.total_seconds() == 7200


def test_tls_is_spoken_where_it_is_set_and_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "pacs")
    files = certificate if isinstance(certificate, tuple) else (certificate.certificate, certificate.key)
    loaded = tree(destinations=[PACS | {"tls": True, "tls_authority": str(files[0])}, PACS | {"name": "plain"}])
    secure, plain = (dicom_destination(d) for d in loaded.destinations)
    assert secure.tls is not None
    assert plain.tls is None
    missing = tree(destinations=[PACS | {"tls": True, "tls_authority": str(tmp_path / "nothing.pem")}])
    with pytest.raises(ConfigError, match=r"nothing\.pem"):
        senders(missing)


def test_routes_carry_what_the_settings_say() -> None:
    loaded = tree(
        destinations=[
            PACS,
            PACS | {"name": "old", "report_class": "enhanced", "results": ["report", "pdf"]},
        ],
        notifications=[PAGER | {"minimum_urgency": "emergency"}],
        records=[FOLDER],
        routes=[{"to": ["old"], "stations": ["ROOM-1"], "minimum_urgency": "soon", "results": ["pdf"]}],
    )
    made = routes(loaded)
    quiet = {target.name: target for target in made.plan(StudyFacts())}
    assert set(quiet) == {"pacs", "folder"}
    assert quiet["folder"].kinds == {OutputKind.FHIR}
    loud = made.plan(StudyFacts(stations=frozenset({"ROOM-1"}), urgency=Urgency.EMERGENCY))
    old = next(target for target in loud if target.name == "old")
    assert old.kinds == {OutputKind.PDF}
    assert old.form == Form("enhanced", "")
    assert "pager" in {target.name for target in loud}


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"destinations": [{"name": "pacs"}]}, "pacs: ae_title, host, port missing"),
        ({"destinations": [PACS | {"url": "https://a.example"}]}, "not both"),
        ({"destinations": [CLOUD | {"commitment": True}]}, "storage commitment is of DICOM"),
        ({"destinations": [CLOUD | {"url": "ftp://a.example"}]}, "expected an address"),
        ({"destinations": [CLOUD | {"url": "https://me:secret@a.example"}]}, "expected an address"),
        ({"destinations": [PACS | {"tls_certificate": "/a.pem"}]}, "belong together"),
        ({"destinations": [PACS], "records": [FOLDER | {"name": "pacs"}]}, "a name of its own"),
        ({"destinations": [PACS], "routes": [{"to": ["elsewhere"]}]}, "there is no destination named elsewhere"),
        ({"notifications": [{"name": "pager", "url": "https://a.example"}]}, "needs a secret"),
        ({"notifications": [PAGER | {"mail_to": ["a@b.example"]}]}, "not both"),
        ({"notifications": [PAGER | {"include": ["birthday"]}]}, "include"),
        ({"records": [{"name": "record"}]}, "give a url or a folder"),
        ({"records": [FOLDER | {"folder": "here"}]}, "absolute"),
        ({"records": [FOLDER | {"resolve_patient": True}]}, "patient_system"),
        ({"report": {"urgencies": {"NOSUCH": "soon"}}}, "unknown labels: NOSUCH"),
        ({"report": {"urgencies": {"DR": "whenever"}}}, "urgencies"),
    ],
)
def test_what_cannot_be_is_said(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.from_tree(sections)
    assert said in str(caught.value)
    assert "secret@" not in str(caught.value)
