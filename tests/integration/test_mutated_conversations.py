"""Damaged conversations, from the request for an association on: the listener ends each and goes on."""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.integration.listener_process import running
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.test_cstore_hostile import until
from tests.integration.test_mutations import memory_mib
from tests.integration.upper_layer import (
    EXPLICIT,
    IMPLICIT,
    PATIENCE_S,
    VERIFICATION,
    associate_request,
    echo,
    pdvs,
    store_command,
)

if TYPE_CHECKING:
    from pathlib import Path

CONVERSATIONS = 600
A_BATCH = 100
PEERS = 4
SEED = 20260305
MEMORY_LIMIT_MIB = 256


def conversation() -> list[bytes]:
    """The PDUs of a sender that does everything right: association, echo or store, release."""
    ds = photograph(rows=8, columns=8)
    content = encoded(ds)
    return [
        associate_request([(VERIFICATION, IMPLICIT), (OP_8_BIT, EXPLICIT)]),
        pdvs((3, 3, store_command(OP_8_BIT, ds.SOPInstanceUID))),
        pdvs((3, 0, content[:200]), (3, 0, content[200:300])),
        pdvs((3, 2, content[300:])),
        b"\x05\0\0\0\0\4\0\0\0\0",
    ]


def damaged(dice: random.Random, pdus: list[bytes]) -> bytes:
    """One kind of damage to one PDU, or to the order of all."""
    pdus = list(pdus)
    # Half of the damage is to the request for an association: the most intricate of them.
    place = 0 if dice.random() < 0.4 else dice.randrange(len(pdus))
    pdu = bytearray(pdus[place])
    match dice.randrange(7):
        case 0 | 1:
            for _ in range(dice.choice((1, 2, 8, 32))):
                pdu[dice.randrange(len(pdu))] ^= 1 << dice.randrange(8)
        case 2:
            # Lengths: of the PDU, or of whatever lies where.
            at = dice.choice((2, dice.randrange(len(pdu))))
            lie = struct.pack(dice.choice((">L", "<L")), dice.choice((0, 1, 3, 5, 0xFFFF, 1 << 20, 0xFFFFFFFF)))
            pdu[at : at + 4] = lie
        case 3:
            del pdu[dice.randrange(len(pdu)) :]
        case 4:
            at = dice.randrange(len(pdu))
            pdu[at:at] = dice.randbytes(dice.randrange(1, 64))
        case 5:
            pdu[0] = dice.randrange(10)
        case _:
            dice.shuffle(pdus)
            return b"".join(pdus)
    pdus[place] = bytes(pdu)
    return b"".join(pdus)


@pytest.mark.timeout(300)
def test_six_hundred_damaged_conversations(tmp_path: Path) -> None:
    dice, good = random.Random(SEED), conversation()
    site = tmp_path / "site"
    site.mkdir()
    hung: list[int] = []
    with running(site) as listener:
        for start in range(0, CONVERSATIONS, A_BATCH):
            numbered = [(start + n, damaged(dice, good)) for n in range(A_BATCH)]
            peers = [
                threading.Thread(target=hold, args=(listener.port, numbered[n::PEERS], hung)) for n in range(PEERS)
            ]
            for peer in peers:
                peer.start()
            for peer in peers:
                peer.join()
            assert hung == []
            assert echo(listener.port)
            until(lambda: list((site / "store" / "incoming").iterdir()) == [])
        assert memory_mib(listener.pid) < MEMORY_LIMIT_MIB
    assert "Exception in thread" not in (tmp_path / "site.log").read_text()


def hold(port: int, numbered: list[tuple[int, bytes]], hung: list[int]) -> None:
    """Say it all, hang up the way out, and listen until the listener hangs up too."""
    for number, content in numbered:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as peer:
            try:
                with suppress(ConnectionError):
                    peer.sendall(content)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65536):
                        pass
            except OSError as error:
                if isinstance(error, TimeoutError):
                    hung.append(number)
