"""From the settings to a trail: what a site that asks for one gets, and what a role that cannot keep one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from ocunet_pacs.app.audit import open_audit, parties, patient_numbers
from ocunet_pacs.audit.trail import NoTrail
from ocunet_pacs.domain.audit import Party, Received
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.domain.ports import count_nothing
from ocunet_pacs.settings import Settings, from_tree
from tests.integration.objects import photograph, write
from tests.unit.audit.schema import checked
from tests.unit.audit.targets import kind_of

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, **sections: dict[str, Any]) -> Settings:
    audit = {"to": "file", "file": str(folder / "audit.xml")} | sections.pop("audit", {})
    return from_tree({"store": {"path": str(folder / "store")}, "audit": audit, **sections})


def run(ours: Settings, role: str = "listen") -> None:
    open_audit(ours, role, count_nothing).close()


def kinds(folder: Path) -> list[str]:
    return [kind_of(line) for line in (folder / "audit.xml").read_bytes().splitlines()]


def test_nobody_who_did_not_ask_for_a_trail_has_one(tmp_path: Path) -> None:
    ours = from_tree({"store": {"path": str(tmp_path / "store")}})
    trail = open_audit(ours, "listen", count_nothing)
    assert isinstance(trail, NoTrail)
    trail(Received(Party(), "1.2", "1.3"))
    trail.close()
    assert list(tmp_path.iterdir()) == []


def test_a_role_says_its_start_its_end_and_what_changed_in_between(tmp_path: Path) -> None:
    run(settings(tmp_path))
    assert kinds(tmp_path) == ["110120", "110121"]
    run(settings(tmp_path, dicom={"port": 104}, model={"batch_size": 2}, audit={"source": "ocunet-1"}))
    assert sorted(kinds(tmp_path)[2:]) == ["110120", "110121", "110128", "110129", "110131"]
    last = checked((tmp_path / "audit.xml").read_bytes().splitlines()[-1])
    assert next(last.iter("AuditSourceIdentification")).attrib["AuditSourceID"] == "ocunet-1"


def test_what_differs_from_role_to_role_and_what_is_only_pace_is_no_change(tmp_path: Path) -> None:
    run(settings(tmp_path), "listen")
    run(settings(tmp_path, model={"device": "cuda:1"}, metrics={"port": 0}, logging={"level": "debug"}), "work")
    assert kinds(tmp_path) == ["110120", "110121"] * 2


def test_a_changed_password_is_a_change_and_is_not_kept(tmp_path: Path) -> None:
    for password in ("first-secret", "second-secret"):
        run(settings(tmp_path, database={"url": f"postgresql://user:{password}@host/name"}))
    assert "110131" in kinds(tmp_path)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret" not in kept


def test_a_role_that_cannot_keep_a_trail_works_without_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "audit").write_text("no folder")
    with structlog.testing.capture_logs() as logged:
        run(settings(tmp_path))
    assert [line["event"] for line in logged] == ["audit_not_kept"]


def test_a_certificate_that_is_none_ends_the_role_as_other_mistakes_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tls_authority"):
        run(settings(tmp_path, audit={"to": "tls", "host": "h", "tls_authority": str(tmp_path / "absent.pem")}))


@pytest.mark.parametrize("to", ["udp", "tls"])
def test_a_server_needs_a_host(to: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit\.host is needed"):
        settings(tmp_path, audit={"to": to})


def test_destinations_are_known_by_where_they_are(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "destinations": [
            {"name": "pacs", "ae_title": "ORTHANC", "host": "10.0.0.1", "port": 4242},
            {"name": "cloud", "url": "https://cloud.example/dicom-web"},
        ],
        "notifications": [{"name": "mail", "mail_to": ["a@clinic.example"], "mail_host": "m"}],
        "records": [{"name": "record", "folder": str(tmp_path)}],
    }
    assert parties(from_tree(tree)) == {
        "pacs": Party("pacs", "ORTHANC", "10.0.0.1"),
        "cloud": Party("cloud", "", "https://cloud.example/dicom-web"),
        "mail": Party("mail", "", "mailto:a@clinic.example"),
        "record": Party("record", "", tmp_path.as_uri()),
    }


def test_a_patient_id_is_read_only_where_the_site_wants_it_and_only_from_what_has_one(tmp_path: Path) -> None:
    image = write(photograph(), tmp_path / "image.dcm")
    document = tmp_path / "document.json"
    document.write_text("{}")
    number_of = patient_numbers(settings(tmp_path, audit={"patients": "id"}))
    assert number_of(image) == photograph().PatientID != ""
    assert number_of(document) == number_of(tmp_path / "absent") == ""
    assert patient_numbers(settings(tmp_path))(image) == ""
