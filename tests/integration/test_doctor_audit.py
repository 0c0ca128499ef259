"""`doctor` and the audit trail's file and servers: those that are well, and those that are not."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from ocunet_pacs.app.doctor_audit import audit_checks, judge_error
from ocunet_pacs.app.doctor_checks import Level, Verdict, examine
from ocunet_pacs.settings import from_tree
from tests.certificates import Pair, self_signed, signed
from tests.dcmtk import HOST, free_port
from tests.integration.syslog_server import TlsServer, UdpServer


def asked(**audit: Any) -> Verdict:
    (finding,) = examine(list(audit_checks(from_tree({"audit": audit}))))
    assert finding.check == "audit"
    return finding.verdict


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return self_signed(tmp_path_factory.mktemp("pair"), "localhost")


def test_without_an_audit_trail_nothing_is_looked_at() -> None:
    assert list(audit_checks(from_tree({}))) == []


def test_a_file_that_is_there_one_that_will_be_and_one_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "audit.xml"
    assert asked(to="file", file=str(file)) == Verdict(Level.OK, f"{file}: not there yet, and can be made")
    assert list(tmp_path.iterdir()) == []
    file.write_text("<AuditMessage/>")
    assert asked(to="file", file=str(file)).found == f"{file}: can be written to"
    assert file.read_text() == "<AuditMessage/>"
    for wrong in (tmp_path, tmp_path / "absent" / "audit.xml"):
        found = asked(to="file", file=str(wrong))
        assert found.level is Level.FAULT
        assert "audit.file" in found.remedy


def test_over_udp_the_address_is_all_that_can_be_known() -> None:
    with UdpServer() as server:
        found = asked(to="udp", host=HOST, port=server.port)
        assert server.got == []
    assert found.level is Level.OK
    assert "its address is known" in found.found


def test_a_name_that_nobody_knows() -> None:
    found = judge_error("audit.example over UDP", socket.gaierror(socket.EAI_NONAME, "unknown"), to_file=False)
    assert found == Verdict(
        Level.FAULT, "audit.example over UDP: no such host", "check audit.host, and the name server"
    )


def test_a_tls_server_is_shaken_hands_with_and_told_nothing(pair: Pair) -> None:
    with TlsServer(pair) as server:
        place = {"to": "tls", "host": "localhost", "port": server.port}
        found = asked(**place, tls_authority=str(pair.certificate))
        stranger = asked(**place)
    assert server.got == []
    assert found == Verdict(Level.OK, "localhost over TLS: takes connections, over TLSv1.3")
    assert stranger.level is Level.FAULT
    assert "certificate" in stranger.found
    assert "audit.tls_authority" in stranger.remedy


def test_a_server_that_wants_our_certificate(pair: Pair, tmp_path: Path) -> None:
    authority = self_signed(tmp_path, "authority")
    ours = signed(tmp_path, "ours", authority)
    with TlsServer(pair, client_authority=authority) as server:
        place = {"to": "tls", "host": "localhost", "port": server.port, "tls_authority": str(pair.certificate)}
        without = asked(**place)
        known = asked(**place, tls_certificate=str(ours.certificate), tls_key=str(ours.key))
    assert without.level is Level.FAULT
    assert "audit.tls_certificate" in without.remedy
    assert known.level is Level.OK


def test_a_server_that_is_gone() -> None:
    found = asked(to="tls", host=HOST, port=free_port())
    assert (found.level, found.found) == (Level.FAULT, f"{HOST} over TLS: Connection refused")
    assert "audit.port" in found.remedy


def test_what_is_no_certificate_of_ours_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    found = asked(to="tls", host=HOST, port=free_port(), tls_certificate=str(tmp_path / "none.pem"))
    assert found.level is Level.FAULT
    assert "none.pem" in found.found
