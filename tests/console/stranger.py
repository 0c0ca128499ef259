"""A program on another host: `python -m tests.console.stranger ADDRESS PORT REQUESTS ANSWERS`.

REQUESTS is a JSON file of whole requests; the answer to each, as it came, goes to the JSON file ANSWERS: a text of one
character a byte, "" where nobody took the connection.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path


def answer(address: str, port: int, request: str) -> str:
    try:
        connection = socket.create_connection((address, port), timeout=60)
    except ConnectionRefusedError:
        return ""
    with connection:
        connection.sendall(request.encode("latin-1"))
        said = b""
        while piece := connection.recv(1 << 16):
            said += piece
    return said.decode("latin-1")


def main(address: str, port: str, requests: Path, answers: Path) -> None:
    found = [answer(address, int(port), request) for request in json.loads(requests.read_text())]
    partial = answers.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    partial.rename(answers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
