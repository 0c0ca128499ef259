"""pydicom's own test files, all of them, sent to a running listener: taken or refused for a reason, and it goes on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ocunet_pacs.intake.contexts import STORED_SOP_CLASSES, TRANSFER_SYNTAXES
from tests.integration.objects import OP_8_BIT
from tests.integration.odd_files import odd_files
from tests.integration.upper_layer import EXPLICIT, IMPLICIT, Peer, echo

if TYPE_CHECKING:
    from tests.integration.conftest import Receiver
    from tests.integration.odd_files import OddFile

REFUSALS = {0xA900, 0xC000}
ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 3, 4


class Camera:
    """Sends photographs, an association for each transfer syntax, and asks for an echo after each."""

    def __init__(self, receiver: Receiver, connections: ExitStack) -> None:
        self._receiver = receiver
        self._connections = connections
        self._peers: dict[str, Peer] = {}

    def send(self, instance: str, content: bytes, syntax: str) -> int:
        """The status, with all checked that must be true of any answer."""
        transfer = syntax if syntax in TRANSFER_SYNTAXES else EXPLICIT
        if transfer not in self._peers:
            peer = Peer(self._receiver.port, {OP_8_BIT: [transfer]})
            self._peers[transfer] = self._connections.enter_context(peer)
        status, comment = self._peers[transfer].store(OP_8_BIT, instance, content)
        assert (status == 0 and comment == "") or (status in REFUSALS and 0 < len(comment) <= 64), (hex(status), comment)
        assert self._peers[transfer].echo() == 0
        assert self._receiver.half_received() == []
        return status


def nothing_unexpected(receiver: Receiver) -> bool:
    """Whether every refusal was meant, and nobody who comes anew finds a closed door."""
    return echo(receiver.port) and not [line for line in receiver.logged if line["event"] == "instance_failed"]


def test_each_file_as_its_owner_would_send_it(receiver: Receiver) -> None:
    for file in odd_files():
        with Peer(receiver.port, {file.sop_class: [file.transfer_syntax]}) as peer:
            if file.sop_class not in peer.contexts:
                # Refused with a reason when the association is made (PS3.8 table 9-18).
                known = file.sop_class in STORED_SOP_CLASSES
                expected = TRANSFER_SYNTAXES_NOT_SUPPORTED if known else ABSTRACT_SYNTAX_NOT_SUPPORTED
                assert peer.results[file.sop_class] == expected, file.name
            else:
                status, comment = peer.store(file.sop_class, file.sop_instance, file.content)
                assert status == 0 or (status in REFUSALS and comment), (file.name, hex(status), comment)
            assert peer.echo() == 0, file.name
    assert receiver.half_received() == []
    assert nothing_unexpected(receiver)


def test_the_bytes_of_each_file_as_a_photograph(receiver: Receiver) -> None:
    with ExitStack() as connections:
        camera = Camera(receiver, connections)
        for file in odd_files():
            status = camera.send(file.sop_instance, file.content, file.transfer_syntax)
            # What names a class names another one.
            assert status in REFUSALS or file.sop_class == OP_8_BIT, file.name
    assert nothing_unexpected(receiver)


def test_each_file_that_says_it_is_a_photograph(receiver: Receiver) -> None:
    taken: dict[str, OddFile] = {}
    with ExitStack() as connections:
        camera = Camera(receiver, connections)
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
