"""Peers that break the protocol, stall, or leave: the listener goes on, and keeps nothing of theirs."""

from __future__ import annotations

import socket
import struct
import time
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.pdu_primitives import P_DATA

from ocunet_pacs.delivery.cstore import Destination
from ocunet_pacs.delivery.echo import echo
from ocunet_pacs.domain.errors import ConfigError
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.raw_sender import association, send_beginning, send_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Receiver


def answers_echo(receiver: Receiver) -> bool:
    echo(Destination("self", "OCUNET", "127.0.0.1", receiver.port, timedelta(seconds=20)), "TEST")
    return True


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it never happened")


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        bytes(200),
        b"\x01\x00" + struct.pack(">L", 0xFFFFFFFF) + bytes(50),
        b"\x04\x00" + struct.pack(">L", 4) + bytes(4),
        b"\x01\x00" + struct.pack(">L", 4) + b"\xff" * 4,
        b"",
    ],
    ids=["HTTP", "zeros", "four gigabytes", "data before the request", "garbage", "probe"],
)
def test_bytes_that_are_no_association(content: bytes, receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as peer:
        peer.sendall(content)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    until(lambda: receiver.listener.active_associations == 0)
    assert answers_echo(receiver)


def fragment(established: Any, header: int, content: bytes) -> None:
    primitive = P_DATA()
    primitive.presentation_data_value_list.append(
        (established.accepted_contexts[0].context_id, bytes([header]) + content)
    )
    established.dul.send_pdu(primitive)


@pytest.mark.parametrize(
    ("header", "content"),
    [(3, b"this is no command set"), (2, b"a data set before any command"), (3, b"")],
)
def test_messages_that_are_none(header: int, content: bytes, receiver: Receiver) -> None:
    with association(receiver.port, OP_8_BIT) as peer:
        fragment(peer, header, content)
        until(lambda: not peer.is_established)
    until(lambda: receiver.listener.active_associations == 0)
    assert answers_echo(receiver)


def test_a_query_where_only_storage_was_agreed(receiver: Receiver) -> None:
    request: Any = C_FIND()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    request.Identifier = BytesIO(encoded(photograph(rows=1, columns=1)))
    with association(receiver.port, OP_8_BIT) as peer:
        peer.dimse.send_msg(request, peer.accepted_contexts[0].context_id or 1)
        until(lambda: not peer.dimse.msg_queue.empty() or not peer.is_established)
    assert answers_echo(receiver)
    assert "Testperson" not in repr(receiver.logged)
    assert receiver.stored() == []


def test_a_peer_that_stalls_inside_an_object_is_cut_off(start: Callable[..., Receiver]) -> None:
    receiver = start(idle_timeout=timedelta(seconds=0.5), max_associations=1)
    ds = photograph(rows=512, columns=512)
    with association(receiver.port, OP_8_BIT) as peer:
        send_beginning(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds), pieces=3)
        until(lambda: receiver.listener.active_associations == 0)
    assert receiver.half_received() == receiver.stored() == []
    assert answers_echo(receiver)


def test_a_peer_that_stalls_inside_a_pdu_is_cut_off(start: Callable[..., Receiver]) -> None:
    receiver = start(idle_timeout=timedelta(seconds=0.5))
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as peer:
        peer.sendall(b"\x01\x00" + struct.pack(">L", 200) + bytes(10))
        until(lambda: receiver.listener.active_associations == 1)
        until(lambda: receiver.listener.active_associations == 0)
    assert answers_echo(receiver)


def test_a_stop_lets_nobody_in_and_ends_what_is_open(start: Callable[..., Receiver]) -> None:
    receiver = start()
    port = receiver.port
    ds, large = photograph(), photograph(rows=512, columns=512)
    with association(port, OP_8_BIT) as peer:
        assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000
        send_beginning(peer, OP_8_BIT, large.SOPInstanceUID, encoded(large), pieces=3)
        until(lambda: receiver.half_received() != [])
        receiver.listener.stop(grace=timedelta(seconds=0.2))
        assert receiver.listener.active_associations == 0
    assert len(receiver.stored()) == 1
    assert receiver.half_received() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_that_is_taken_is_a_mistake_in_the_settings(receiver: Receiver, start: Callable[..., Receiver]) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {receiver.port}"):
        start(port=receiver.port)
