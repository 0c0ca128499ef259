"""`doctor` among real ports and peers: some that are well, and some that are not."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from pynetdicom import AE, evt

from ocunet_pacs.app.doctor_checks import Finding, Level, Verdict, examine
from ocunet_pacs.app.doctor_peers import peer_checks
from ocunet_pacs.app.doctor_ports import ask_plain, ask_stow, look_at_port, port_checks
from ocunet_pacs.domain.errors import PeerUnavailable
from ocunet_pacs.settings import Settings, from_tree
from tests.certificates import self_signed, signed
from tests.daemon import cli
from tests.dcmtk import HOST, free_port
from tests.faulty_web import Reply, faulty_web
from tests.integration.web import TOKEN, web
from tests.listening import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Receiver

VERIFICATION = "1.2.840.10008.1.1"
_SECOND = timedelta(seconds=1)


def asked(**tree: Any) -> dict[str, Verdict]:
    return {one.check: one.verdict for one in examine(list(peer_checks(from_tree(tree))))}


def at(port: int, **more: Any) -> dict[str, Any]:
    return {"name": "pacs", "ae_title": "PACS", "host": HOST, "port": port, "timeout": "2s"} | more


@pytest.fixture
def archive() -> Iterator[Callable[..., int]]:
    """Start archives that answer C-ECHO; the port of each."""
    running = []

    def start(status: int = 0, **rules: Any) -> int:
        ae = AE("PACS")
        ae.add_supported_context(VERIFICATION)
        for name, value in rules.items():
            setattr(ae, name, value)
        server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: status)])
        running.append(server)
        return int(server.server_address[1])

    yield start
    for server in running:
        server.shutdown()


def test_archives_that_are_well_that_refuse_and_that_are_gone(archive: Callable[..., int]) -> None:
    picky = archive(require_calling_aet=["SOMEBODY"])
    found = asked(
        destinations=[
            at(archive()),
            at(picky, name="picky"),
            at(archive(require_called_aet=True), name="other", ae_title="WRONG"),
            at(archive(0x0122), name="ill"),
            at(free_port(), name="gone"),
        ],
        archives=[
            {"name": "past", "ae_title": "PACS", "host": HOST, "port": archive()},
            {"name": "closed", "ae_title": "PACS", "host": HOST, "port": picky},
        ],
    )
    assert found["destination pacs"] == Verdict(Level.OK, "answered C-ECHO")
    assert found["destination picky"] == Verdict(Level.FAULT, "it does not know our AE title OCUNET", "add it there")
    assert found["destination other"] == Verdict(Level.FAULT, "it is not called WRONG", "check the AE title")
    assert found["destination ill"].found == "C-ECHO answered with status 0x0122"
    assert found["destination ill"].remedy
    assert "check that the PACS runs" in found["destination gone"].remedy
    assert found["archive past"].level is Level.OK
    assert found["archive closed"].level is Level.FAULT


def test_who_takes_the_connection_and_says_nothing_is_given_up_before_the_check_is() -> None:
    with closing(socket.create_server((HOST, 0))) as silent:
        port = silent.getsockname()[1]
        told = {"url": f"http://{HOST}:{port}", "secret": "sixteen characters or more", "timeout": "1s"}
        mail = {"mail_to": ["a@b.example"], "mail_host": HOST, "mail_port": port, "timeout": "1s"}
        found = asked(
            destinations=[at(port, timeout="1s"), at(port, timeout="1s", name="secure", tls=True)],
            notifications=[{"name": "pager", **told}, {"name": "mail", **mail}],
        )
    assert {verdict.level for verdict in found.values()} == {Level.FAULT}
    assert len(found) == 4
    assert all(verdict.found != "no answer in time" and verdict.remedy for verdict in found.values())


@pytest.mark.parametrize(
    ("status", "level", "remedy"),
    [
        (204, Level.OK, ""),
        (405, Level.OK, ""),
        (401, Level.FAULT, "check token, user and password"),
        (301, Level.FAULT, "give the final address as url"),
        (503, Level.WARNING, "look again in a while"),
    ],
)
def test_web_services_are_asked_for_nothing_that_changes_them(status: int, level: Level, remedy: str) -> None:
    with faulty_web(lambda _: Reply(status)) as site:
        found = asked(
            destinations=[{"name": "cloud", "url": site.url, "token": "t" * 20}],
            notifications=[{"name": "pager", "url": site.url, "secret": "sixteen characters or more"}],
            records=[{"name": "record", "url": site.url, "token": "t" * 20}],
        )
    assert {request.method for request in site.requests} == {"OPTIONS"}
    assert sorted(request.path for request in site.requests) == ["/web", "/web/metadata", "/web/studies"]
    assert {verdict.level for verdict in found.values()} == {level}
    assert all(remedy in verdict.remedy for verdict in found.values())


def test_an_address_where_nothing_is(tmp_path: Path) -> None:
    with faulty_web(lambda _: Reply(404)) as site:
        found = asked(
            destinations=[{"name": "cloud", "url": site.url}],
            notifications=[{"name": "pager", "url": site.url, "secret": "sixteen characters or more"}],
            records=[{"name": "record", "url": site.url}, {"name": "files", "folder": str(tmp_path / "absent")}],
        )
    assert found["destination cloud"].remedy == "check url (HTTP status 404)"
    assert found["record record"].level is Level.FAULT
    assert found["notification pager"].level is Level.OK, "one that only takes notices may show nothing else"
    assert found["record files"].remedy == "check folder, mount and rights"


def test_a_folder_for_a_record_system_is_left_as_it_was(tmp_path: Path) -> None:
    found = asked(records=[{"name": "files", "folder": str(tmp_path)}])
    assert found["record files"] == Verdict(Level.OK, "can be written to")
    assert list(tmp_path.iterdir()) == []


def test_mail_servers_get_no_letter() -> None:
    class Handler:
        letters = 0

        async def handle_DATA(self, *_: Any) -> str:  # noqa: N802
            self.letters += 1
            return "250 taken"

    handler = Handler()
    controller = Controller(handler, hostname=HOST, port=free_port())
    controller.start()
    try:
        mail = {"name": "mail", "mail_to": ["a@b.example"], "mail_host": HOST, "mail_port": controller.port}
        found = asked(notifications=[mail, mail | {"name": "secure", "mail_security": "starttls"}])
    finally:
        controller.stop()
    assert found["notification mail"] == Verdict(Level.OK, "answered NOOP")
    assert "does not offer what was asked for" in found["notification secure"].found
    assert handler.letters == 0


def settings(port: int, **more: Any) -> Settings:
    return from_tree({"dicom": {"host": HOST, "port": port}, "metrics": {"port": 0}} | more)


def looked(loaded: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(list(port_checks(loaded)))}


def test_a_port_that_is_free_and_one_that_our_listener_holds(receiver: Receiver) -> None:
    free = free_port()
    said = looked(settings(free))["port dicom.port"].verdict
    assert (said.level, said.found) == (Level.OK, f"{free} is free: the daemon does not run, or not here")
    ours = looked(settings(receiver.port))["port dicom.port"].verdict
    assert ours == Verdict(Level.OK, f"{receiver.port}: our daemon answers")


def test_a_port_that_another_program_holds(archive: Callable[..., int]) -> None:
    with faulty_web(lambda _: Reply(200, b"hello")) as site:
        stow = {"enabled": True, "port": site.port, "token": "t" * 20}
        more = {"stow": stow, "metrics": {"host": HOST, "port": site.port}}
        found = {name: finding.verdict for name, finding in looked(settings(site.port, **more)).items()}
    dicom = found["port dicom.port"]
    assert dicom.level is Level.FAULT
    assert f"ss -ltnp 'sport = :{site.port}'" in dicom.remedy
    assert "set another dicom.port" in dicom.remedy
    assert found["port stow.port"].level is Level.FAULT
    assert found["port metrics.port"].level is Level.WARNING, "the daemon works without"
    another = looked(settings(archive(require_called_aet=True)))["port dicom.port"].verdict
    assert another.level is Level.FAULT
    assert "it is not called OCUNET" in another.found


@pytest.mark.parametrize("secure", ["plain", "tls", "mutual"])
def test_our_own_service_for_stow_is_known_again(tmp_path: Path, secure: str) -> None:
    pair = signed(tmp_path, "ours", self_signed(tmp_path, "authority"), names="DNS:elsewhere.example")
    files = {"certificate": str(pair.certificate), "key": str(pair.key)}
    authority = {"client_authority": str(tmp_path / "authority.pem")}
    stow = {"plain": {}, "tls": files, "mutual": files | authority}[secure]
    with web(tmp_path, stow=stow) as running:
        ours = {"enabled": True, "host": HOST, "port": running.server.port, "token": TOKEN} | stow
        for token in (TOKEN, "another-token-of-ours"):
            said = looked(settings(free_port(), stow=ours | {"token": token}))["port stow.port"].verdict
            assert said == Verdict(Level.OK, f"{running.server.port}: our daemon answers"), said
        assert running.stored() == []


def test_an_address_that_is_not_ours_and_a_port_that_asks_for_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> None:
        raise PeerUnavailable("nobody")

    # 203.0.113.0/24 is for documentation (RFC 5737) and no machine's.
    for host in ("203.0.113.9", "no-such-host.invalid"):
        said = look_at_port("tls.port", host, 2762, nobody)
        assert said.level is Level.FAULT
        assert "set dicom.host to an address of this machine" in said.remedy
    monkeypatch.setattr(socket.socket, "bind", _refuse)
    said = look_at_port("dicom.port", HOST, 104, nobody)
    assert said.level is Level.FAULT
    assert "CAP_NET_BIND_SERVICE" in said.remedy
    assert look_at_port("dicom.port", HOST, 104, lambda: None).level is Level.OK, "our daemon has the right"


def _refuse(*_: object) -> None:
    raise PermissionError(13, os.strerror(13))


def test_a_port_that_takes_connections_and_says_nothing() -> None:
    with closing(socket.create_server((HOST, 0))) as silent:
        loaded = settings(silent.getsockname()[1], dicom={"host": HOST, "port": silent.getsockname()[1]})
        loaded = loaded.model_copy(update={"dicom": loaded.dicom.model_copy(update={"idle_timeout": _SECOND})})
        with pytest.raises(PeerUnavailable):
            ask_plain(loaded)
        stow = {"enabled": True, "host": HOST, "port": free_port(), "token": "t" * 20}
        with pytest.raises(PeerUnavailable):
            ask_stow(settings(1, stow=stow))


def test_the_whole_of_it_beside_a_daemon_that_runs(tmp_path: Path, archive: Callable[..., int]) -> None:
    with listening(tmp_path, retention={"keep_free": "10 MiB"}, metrics={"host": HOST, "port": free_port()}) as daemon:
        config = tmp_path / "settings.yaml"
        tree = yaml.safe_load(config.read_text())
        tree["model"] = {"bundle": str(tmp_path / "MARKED" / "bundle"), "device": "cpu"}
        tree["destinations"] = [at(archive()), at(free_port(), name="gone")]
        config.write_text(yaml.safe_dump(tree))
        plain = cli("doctor", "--config", config, check=False)
        document = json.loads(cli("doctor", "--json", "--config", config, check=False).stdout)
        assert daemon.log().count('"level": "error"') == 0
    assert plain.returncode == 1
    levels = {check["check"]: check["level"] for check in document["checks"]}
    assert {name for name, level in levels.items() if level == "fault"} == {"model", "destination gone"}
    assert levels["port dicom.port"] == levels["port metrics.port"] == levels["database"] == levels["store"] == "ok"
    assert levels["database pages"] == "ok"
    assert (document["ok"], document["faults"]) == (False, 2)
    assert len(plain.stdout.splitlines()) == len(document["checks"]) == len(levels)
    assert plain.stderr == ""
    gone = next(check for check in document["checks"] if check["check"] == "destination gone")
    assert set(gone) == {"check", "level", "found", "remedy"}
