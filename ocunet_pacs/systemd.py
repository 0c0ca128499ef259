"""The service manager's notification protocol (sd_notify(3)): READY, STOPPING, STATUS, WATCHDOG.

Does nothing where $NOTIFY_SOCKET is not set, so every role may call it anywhere.
"""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> bool:
    """Send lines such as "READY=1" or "STATUS=..." to the service manager; False when there is none to hear them."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.connect(address)
            channel.sendall("\n".join(assignments).encode())
        except OSError:
            return False  # a service manager that went away is no reason to stop the work
    return True
