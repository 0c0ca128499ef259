"""A target that remembers, and is away when it is told to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocunet_pacs.audit.syslog import xml_of
from tests.unit.audit.schema import checked

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Remembering:
    """`away`: nobody answers. `takes`: a message with any of these in it cannot be sent."""

    away: bool = False
    leaves_out: bytes = b"\0"
    got: list[bytes] = field(default_factory=list)
    tries: int = 0
    closed: bool = False

    def send(self, messages: Sequence[bytes]) -> int:
        self.tries += 1
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        taken = [message for message in messages if self.leaves_out not in message]
        self.got += taken
        return len(messages) - len(taken)

    def close(self) -> None:
        self.closed = True

    def kinds(self) -> list[str]:
        """Of each message: the code of its event's type, else of its event."""
        return [kind_of(xml_of(message)) for message in self.got]


def kind_of(xml: bytes) -> str:
    event = checked(xml).find("EventIdentification")
    assert event is not None
    codes = [child.attrib["csd-code"] for child in event if child.tag != "EventOutcomeDescription"]
    return codes[-1]
