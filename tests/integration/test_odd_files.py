"""pydicom's own test files, all of them, sent to a running listener: taken or refused for a reason, and it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES
from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES
from tests.integration.objects import OP_8_BIT
from tests.integration.odd_files import odd_files
from tests.integration.upper_layer import EXPLICIT, IMPLICIT, Peer, echo

if TYPE_CHECKING:
    from tests.integration.conftest import Receiver
    from tests.integration.odd_files import OddFile

REFUSALS = {0xA900, 0xC000}
PHOTOGRAPHS = [(OP_8_BIT, syntax) for syntax in TRANSFER_SYNTAXES]
ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 3, 4


class Camera:
    """Sends photographs and asks for an echo after each."""

    def __init__(self, receiver: Receiver, peer: Peer) -> None:
        self._receiver = receiver
        self._peer = peer

    def send(self, instance: str, content: bytes, syntax: str) -> int:
        """The status, with all checked that must be true of any answer."""
        transfer = syntax if syntax in TRANSFER_SYNTAXES else EXPLICIT
        status, comment = self._peer.store((OP_8_BIT, transfer), instance, content)
        assert (status == 0 and comment == "") or (status in REFUSALS and 0 < len(comment) <= 64), (
            hex(status),
            comment,
        )
        assert self._peer.echo() == 0
        assert self._receiver.half_received() == []
        return status


def nothing_unexpected(receiver: Receiver) -> bool:
    """Whether every refusal was meant, and nobody who comes anew finds a closed door."""
    return echo(receiver.port) and not [line for line in receiver.logged if line["event"] == "instance_failed"]


def test_each_file_as_its_owner_would_send_it(receiver: Receiver) -> None:
    for file in odd_files():
        pair = (file.sop_class, file.transfer_syntax)
        with Peer(receiver.port, [pair]) as peer:
            if peer.results[pair] != 0:
                # Refused with a reason when the association is made (PS3.8 table 9-18).
                known = file.sop_class in STORED_SOP_CLASSES
                expected = TRANSFER_SYNTAXES_NOT_SUPPORTED if known else ABSTRACT_SYNTAX_NOT_SUPPORTED
                assert peer.results[pair] == expected, file.name
            else:
                status, comment = peer.store(pair, file.sop_instance, file.content)
                assert status == 0 or (status in REFUSALS and comment), (file.name, hex(status), comment)
            assert peer.echo() == 0, file.name
    assert receiver.half_received() == []
    assert nothing_unexpected(receiver)


def test_the_bytes_of_each_file_as_a_photograph(receiver: Receiver) -> None:
    with Peer(receiver.port, PHOTOGRAPHS) as peer:
        camera = Camera(receiver, peer)
        for file in odd_files():
            status = camera.send(file.sop_instance, file.content, file.transfer_syntax)
            # What names a class names another one.
            assert status in REFUSALS or file.sop_class == OP_8_BIT, file.name
    assert nothing_unexpected(receiver)


def test_each_file_that_says_it_is_a_photograph(receiver: Receiver) -> None:
    taken: dict[str, OddFile] = {}
    with Peer(receiver.port, PHOTOGRAPHS) as peer:
        camera = Camera(receiver, peer)
        for file in odd_files():
            content = file.with_class(OP_8_BIT)
            # Also in transfer syntaxes that are not the file's.
            for transfer in sorted({file.transfer_syntax, EXPLICIT, IMPLICIT}):
                if camera.send(file.sop_instance, content, transfer) == 0:
                    taken.setdefault(file.sop_instance, file)
    rows = {row["sop_instance_uid"]: row for row in receiver.ledger.rows()}
    assert set(rows) == set(taken)
    # Most are whole objects with all their UIDs, so that parsing, storing and recording were exercised.
    assert len(taken) > 100, len(taken)
    for uid, row in rows.items():
        assert receiver.files.path(row["file_key"]).read_bytes().endswith(taken[uid].with_class(OP_8_BIT))
    assert nothing_unexpected(receiver)
