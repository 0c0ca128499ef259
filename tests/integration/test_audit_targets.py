"""Audit messages at real receivers: a file, a UDP socket, a TLS server that comes and goes."""

from __future__ import annotations

import os
import select
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.audit.message import Reporter, audit_message
from ocunet_pacs.audit.spool import take_spools
from ocunet_pacs.audit.syslog import syslog_message, xml_of
from ocunet_pacs.audit.targets import LARGEST_DATAGRAM, FileTarget, TlsTarget, UdpTarget
from ocunet_pacs.audit.trail import Clocks, Trail
from ocunet_pacs.delivery.tls import client_context
from ocunet_pacs.domain.audit import Alert, SecurityAlert, Started, Stopped
from tests.certificates import Pair, self_signed, signed
from tests.daemon import wait_until
from tests.dcmtk import free_port
from tests.integration.small_disk import small_disk
from tests.integration.syslog_server import TlsServer, UdpServer

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 3, 1, tzinfo=UTC)
US = Reporter("OCUNET", "host", 1, "listen", "OCUNET")
MESSAGES = [
    syslog_message(audit_message(event, AT, US), AT, facility=10, host="host", process=1)
    for event in (Started(), Stopped("käme"), Stopped())
]


class TestFile:
    def test_each_message_is_a_line_and_the_file_may_be_moved_away(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.xml"
        target = FileTarget(path)
        target.send(MESSAGES[:1])
        path.rename(tmp_path / "audit.1")
        target.send(MESSAGES[1:])
        lines = [path.read_bytes().splitlines() for path in (tmp_path / "audit.1", tmp_path / "audit.xml")]
        assert lines == [[xml_of(MESSAGES[0])], [xml_of(message) for message in MESSAGES[1:]]]
        assert path.stat().st_mode & 0o27 == 0

    def test_a_folder_that_is_not_there_is_an_error_that_may_pass(self, tmp_path: Path) -> None:
        target = FileTarget(tmp_path / "log" / "audit.xml")
        with pytest.raises(OSError, match="No such file"):
            target.send(MESSAGES)
        (tmp_path / "log").mkdir()
        assert target.send(MESSAGES) == 0

    def test_a_disk_that_is_full_takes_no_half_of_a_line(self, tmp_path: Path) -> None:
        folder = tmp_path / "disk"
        with small_disk(folder, 8) as disk:
            target = FileTarget(folder / "audit.xml")
            target.send(MESSAGES)
            disk.leave(os.statvfs(folder).f_frsize)
            with pytest.raises(OSError, match="No space left"):
                target.send(MESSAGES * 100)
            disk.empty()
            target.send(MESSAGES[:1])
            lines = (folder / "audit.xml").read_bytes().splitlines()
            assert lines == [xml_of(message) for message in [*MESSAGES, MESSAGES[0]]]


class TestUdp:
    def test_each_message_is_a_datagram(self) -> None:
        with UdpServer() as server:
            target = UdpTarget("127.0.0.1", server.port)
            assert target.send(MESSAGES) == 0
            wait_until(lambda: len(server.got) == 3, "the datagrams", 10)
            target.close()
        assert server.got == MESSAGES

    def test_what_fits_into_no_datagram_is_left_out(self) -> None:
        with UdpServer() as server:
            target = UdpTarget("localhost", server.port)
            assert target.send([b"x" * LARGEST_DATAGRAM, b"x" * (LARGEST_DATAGRAM + 1), b"y"]) == 1
            target.close()
        assert [message[:1] for message in server.got] == [b"x", b"y"]

    def test_a_machine_that_refuses_is_noticed(self) -> None:
        target = UdpTarget("127.0.0.1", free_port())
        # The first datagram of the three is answered by the kernel before or after the others are sent.
        with pytest.raises(ConnectionRefusedError):
            target.send(MESSAGES * 100)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return self_signed(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def pair(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return signed(tmp_path_factory.mktemp("server"), "server", authority, names="DNS:localhost,IP:127.0.0.1")


@pytest.mark.peers
class TestTls:
    def test_messages_arrive_whole_over_one_connection(self, authority: Pair, pair: Pair) -> None:
        with TlsServer(pair) as server:
            target = TlsTarget("localhost", server.port, client_context(authority.certificate))
            for _ in range(3):
                target.send(MESSAGES)
            wait_until(lambda: len(server.got) == 9, "the messages", 10)
            assert server.connections == 1
            target.close()
        assert server.got == MESSAGES * 3

    def test_a_server_that_went_away_is_noticed_before_anything_is_lost(self, authority: Pair, pair: Pair) -> None:
        server = TlsServer(pair)
        target = TlsTarget("localhost", 0, client_context(authority.certificate))
        with server:
            target = TlsTarget("localhost", server.port, client_context(authority.certificate))
            target.send(MESSAGES[:1])
            wait_until(lambda: server.got, "the message", 10)
        for _ in range(2):
            with pytest.raises(OSError):  # noqa: PT011 - closed first, then refused
                target.send(MESSAGES[1:])
        with server:
            target.send(MESSAGES[1:])
            wait_until(lambda: len(server.got) == 3, "the rest", 10)
            target.close()
        assert server.got == MESSAGES

    def test_a_server_that_nobody_vouches_for_gets_nothing(self, pair: Pair, tmp_path: Path) -> None:
        stranger = self_signed(tmp_path, "stranger")
        with TlsServer(pair) as server:
            target = TlsTarget("localhost", server.port, client_context(stranger.certificate))
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                target.send(MESSAGES)
        assert server.got == []

    def test_a_server_that_wants_our_certificate_is_shown_it_or_its_refusal_is_noticed(
        self, authority: Pair, pair: Pair, tmp_path: Path
    ) -> None:
        ours = signed(tmp_path, "ocunet", authority)
        with TlsServer(pair, client_authority=authority) as server:
            without = TlsTarget("localhost", server.port, client_context(authority.certificate))
            with pytest.raises(OSError):  # noqa: PT011 - alert or reset, as the machine's timing has it
                without.send(MESSAGES)
            target = TlsTarget(
                "localhost", server.port, client_context(authority.certificate, ours.certificate, ours.key)
            )
            target.send(MESSAGES)
            wait_until(lambda: len(server.got) == 3, "the messages", 10)
            target.close()


def trail_to(target: TlsTarget, folder: Path) -> Trail:
    return Trail(
        US, target, take_spools(folder, "host", 1 << 20), clocks=Clocks(lambda: AT, time.monotonic), facility=10
    )


@pytest.mark.peers
class TestTrailOverTls:
    def test_an_outage_costs_no_event_and_changes_no_order(self, authority: Pair, pair: Pair, tmp_path: Path) -> None:
        server = TlsServer(pair)
        with server:
            trail = trail_to(TlsTarget("localhost", server.port, client_context(authority.certificate)), tmp_path)
            trail.start()
            wait_until(lambda: server.got, "the start", 20)
        alerts = [SecurityAlert(Alert.NODE_AUTHENTICATION, f"event {number}") for number in range(20)]
        for alert in alerts:
            trail(alert)
        with server:
            wait_until(lambda: len(server.got) >= 21, "all of them", 20)
            trail.close()
            wait_until(lambda: len(server.got) >= 22, "the stop", 20)
        expected = [audit_message(event, AT, US) for event in (Started(), *alerts, Stopped())]
        assert list(dict.fromkeys(xml_of(message) for message in server.got)) == expected

    def test_a_server_that_hangs_holds_nobody_up(self, authority: Pair, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
            context = client_context(authority.certificate)
            trail = trail_to(TlsTarget("localhost", silent.getsockname()[1], context), tmp_path)
            trail.start()
            wait_until(lambda: select.select([silent], [], [], 0)[0], "it to connect", 10)
            for _ in range(1000):
                trail(Started())
            trail.close(patience=0.1)
            trail._thread.join(30)
        (left,) = take_spools(tmp_path, "host", 1 << 20)
        assert len(left.waiting(2000, 1 << 24)) == 1002, "they wait for the next process"
