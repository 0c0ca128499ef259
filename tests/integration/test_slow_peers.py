"""Peers that hold on to an association without using it, and peers that ask for more than they were offered."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.test_cstore_hostile import until
from tests.integration.upper_layer import EXPLICIT, ConnectionLost, Peer, echo, pdvs, store_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.integration.conftest import Receiver

PHOTOGRAPH = (OP_8_BIT, EXPLICIT)
IMPATIENT = {
    "idle_timeout": timedelta(seconds=0.6),
    "negotiation_timeout": timedelta(seconds=0.6),
}


def trickle(send: Callable[[bytes], None], pieces: Iterable[bytes], gone: Callable[[], bool]) -> bool:
    """Send a piece every fifth of a second, always in time for the idle time-out, until the listener has enough."""
    for piece in pieces:
        try:
            send(piece)
        except OSError:
            return True
        for _ in range(4):
            time.sleep(0.05)
            if gone():
                return True
    return False


def byte_by_byte(content: bytes) -> Iterable[bytes]:
    return (bytes([byte]) for byte in content)


def test_an_association_that_goes_silent_is_ended(start: Callable[..., Receiver]) -> None:
    receiver = start(**IMPATIENT)
    with Peer(receiver.port, [PHOTOGRAPH]):
        until(lambda: receiver.listener.active_associations == 0)
    assert echo(receiver.port)


def test_a_request_for_an_association_that_trickles_in(start: Callable[..., Receiver]) -> None:
    receiver = start(**IMPATIENT)
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as peer:
        peer.sendall(b"\x01\x00" + struct.pack(">L", 200))
        until(lambda: receiver.listener.active_associations == 1)
        assert trickle(peer.sendall, byte_by_byte(bytes(190)), lambda: receiver.listener.active_associations == 0)
    assert echo(receiver.port)


@pytest.mark.parametrize("how", ["in one PDU", "in many PDUs"])
def test_an_object_that_trickles_in(how: str, start: Callable[..., Receiver]) -> None:
    receiver = start(**IMPATIENT)
    with Peer(receiver.port, [PHOTOGRAPH]) as peer:
        if how == "in one PDU":
            content: Iterable[bytes] = byte_by_byte(peer.store_request(PHOTOGRAPH, "1.2.3", encoded(photograph())))
        else:
            command = pdvs((3, 3, store_command(OP_8_BIT, "1.2.3")))
            content = (command, *(pdvs((3, 0, bytes(1))) for _ in range(100)))
        assert trickle(peer.send, content, lambda: receiver.listener.active_associations == 0)
    until(lambda: receiver.half_received() == [])
    assert echo(receiver.port)


def test_a_peer_that_says_something_now_and_then_may_stay(start: Callable[..., Receiver]) -> None:
    receiver = start(**IMPATIENT)
    with Peer(receiver.port, [PHOTOGRAPH]) as peer:
        for _ in range(10):
            time.sleep(0.2)
            assert peer.echo() == 0
        ds = photograph()
        assert peer.store(PHOTOGRAPH, ds.SOPInstanceUID, encoded(ds))[0] == 0
        peer.release()


def test_a_command_set_without_end(receiver: Receiver) -> None:
    with Peer(receiver.port, [PHOTOGRAPH]) as peer:
        piece = pdvs((3, 1, bytes(60_000)))
        with suppress(OSError):
            peer.send(piece * 1000)
    until(lambda: receiver.listener.active_associations == 0)
    reasons = [str(line["exc_info"]) for line in receiver.logged if line["event"] == "association_aborted"]
    assert reasons == ["a command set without end"]
    assert echo(receiver.port)


def test_a_hundred_requests_without_waiting_for_an_answer(receiver: Receiver) -> None:
    ds = photograph()
    most, over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, len(receiver.half_received()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Peer(receiver.port, [PHOTOGRAPH]) as peer:
        request = peer.store_request(PHOTOGRAPH, ds.SOPInstanceUID, encoded(ds))
        flood = threading.Thread(target=peer.send, args=(request * 100,))
        flood.start()
        assert [peer.answer()[0] for _ in range(100)] == [0] * 100
        flood.join()
        peer.release()
    over.set()
    watcher.join()
    assert len(receiver.stored()) == 1
    assert receiver.half_received() == []
    assert most < 20, "each waiting request holds a file"


@pytest.mark.parametrize(
    "nonsense", [b"\x99" * 20, pdvs((3, 3, b"no command set")), pdvs((3, 2, b"no command before"))]
)
def test_nonsense_behind_requests_that_are_not_answered_yet(nonsense: bytes, receiver: Receiver) -> None:
    objects = [photograph() for _ in range(10)]
    with Peer(receiver.port, [PHOTOGRAPH]) as peer:
        requests = [peer.store_request(PHOTOGRAPH, ds.SOPInstanceUID, encoded(ds)) for ds in objects]
        peer.send(b"".join(requests) + nonsense)
        acknowledged = 0
        with suppress(ConnectionLost):
            while True:
                assert peer.answer()[0] == 0
                acknowledged += 1
    until(lambda: receiver.listener.active_associations == 0)
    until(lambda: receiver.half_received() == [])
    assert len(receiver.stored()) >= acknowledged
    assert echo(receiver.port)


def test_answers_for_a_few_requests_at_a_time(receiver: Receiver) -> None:
    objects = [photograph() for _ in range(8)]
    with Peer(receiver.port, [PHOTOGRAPH]) as peer:
        requests = [peer.store_request(PHOTOGRAPH, ds.SOPInstanceUID, encoded(ds)) for ds in objects]
        peer.send(b"".join(requests))
        assert [peer.answer()[0] for _ in objects] == [0] * len(objects)
        peer.release()
    assert len(receiver.stored()) == len(objects)


@pytest.mark.parametrize("context", [1, 3, 5, 99])
def test_a_thousand_events_that_nobody_asked_for(context: int, receiver: Receiver) -> None:
    """N-EVENT-REPORT requests: pynetdicom serves each in a thread of its own."""
    event = (
        b"\0\0\2\0\x14\0\0\0" + b"1.2.840.10008.1.20.1"
        b"\0\0\0\1\2\0\0\0\0\1"
        b"\0\0\x10\1\2\0\0\0\1\0"
        b"\0\0\0\x08\2\0\0\0\1\1"
        b"\0\0\0\x10\x16\0\0\0" + b"1.2.840.10008.1.20.1.1"
        b"\0\0\2\x10\2\0\0\0\1\0"
    )
    with Peer(receiver.port, [PHOTOGRAPH]) as peer, suppress(ConnectionLost, OSError):
        for _ in range(1000):
            peer.send(pdvs((context, 3, event)))
    until(lambda: receiver.listener.active_associations == 0)
    assert echo(receiver.port)
