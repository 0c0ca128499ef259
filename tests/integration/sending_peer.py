"""One AE with several associations at once: `python -m tests.integration.sending_peer PORT FILE AE_TITLE ASSOCIATIONS`.

Opens them all, says so, waits for a line, then sends the file over each with a SOP Instance UID of its own, and prints
each UID with the status that answered it. By hand, because sixty-four of pynetdicom's requestors keep two processors
busy with looking at their queues.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from pathlib import Path

from tests.integration.requests import RELEASE_REQUEST, associate_request, read_pdu, store_request

_PIECE = 1 << 17


def main(port: int, path: Path, ae_title: str, count: int) -> None:
    content = path.read_bytes()
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    template = content[start:]
    uid_at = template.index(b"\x08\x00\x18\x00UI") + 8
    length = struct.unpack_from("<H", template, uid_at - 2)[0]
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=240)
        connection.sendall(associate_request(calling=ae_title, abstract_syntax=OP_8_BIT, transfer_syntax=EXPLICIT))
        if read_pdu(connection)[:1] != b"\x02":
            raise SystemExit("not accepted")
        connections.append(connection)
    _say("associated")
    sys.stdin.readline()

    def send(number: int) -> None:
        number_of_peer = int(ae_title.removeprefix("PEER"))
        uid = f"1.2.826.0.1.3680043.8.498.{number_of_peer + 1}{number:02d}".ljust(length - 1, "7")
        connection = connections[number]
        connection.sendall(store_request(OP_8_BIT, uid))
        head, tail = template[:uid_at], template[uid_at + length :]
        data = memoryview(head + uid.encode().ljust(length, b"\x00") + tail)
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            control = 2 if at + _PIECE >= len(data) else 0
            connection.sendall(struct.pack(">BBLLBB", 4, 0, len(piece) + 6, len(piece) + 2, 1, control))
            connection.sendall(piece)
        answer = read_pdu(connection)
        # (0000,0900) Status US, implicit VR little endian.
        at = answer.index(b"\x00\x00\x00\x09\x02\x00\x00\x00") + 8
        _say(f"{uid} {struct.unpack_from('<H', answer, at)[0]:04X}")
        connection.sendall(RELEASE_REQUEST)
        read_pdu(connection)
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


OP_8_BIT = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
EXPLICIT = "1.2.840.10008.1.2.1"

if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
