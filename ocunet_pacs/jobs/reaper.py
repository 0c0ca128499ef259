"""Who holds a lease, and whether that process still lives, so that a killed worker's jobs need not wait for the lease.

An owner is `host:boot/namespace/pid/start/role`. The boot id makes the answer safe on a shared database: two hosts may
bear one name, and the first PID namespace has the same number on every Linux; the start time (clock ticks since boot)
tells a process from a later one with the same pid. Of anything but a process of this very boot and namespace we know
nothing, and its lease decides.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_PROC = Path("/proc")
_UNKNOWN = "?"


def owner_name(role: str) -> str:
    """The name under which this process (and `role` in it: a thread's or a service's name) holds leases."""
    return f"{_place()}/{os.getpid()}/{_start_time(os.getpid()) or _UNKNOWN}/{role}"


def is_gone(owner: str) -> bool:
    """True only when the owner was a process of this host, boot and PID namespace that no longer exists."""
    parts = owner.split("/", 4)
    if len(parts) != 5:
        return False
    host, namespace, pid, start_time, _role = parts
    if f"{host}/{namespace}" != _place() or _UNKNOWN in {start_time, *_place().split("/")} or not pid.isdecimal():
        return False
    if not _exists(int(pid)):
        return True
    found = _start_time(int(pid))
    # None: the process is hidden from us (ProtectProc=, hidepid), or ended this instant. The next round will tell.
    return found is not None and found != start_time


def _place() -> str:
    """`host:boot/namespace` of this process; a part that cannot be read is "?"."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = (_PROC / "self/ns/pid").readlink().name.removeprefix("pid:[").removesuffix("]")
    except OSError:
        boot = namespace = _UNKNOWN
    return f"{socket.gethostname()}:{boot}/{namespace}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/pid/stat from the third (state) on; empty when it cannot be read (see proc(5))."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
    return line.rpartition(")")[2].split()


def _is_zombie(pid: int) -> bool:
    """Dead, but its parent did not ask for its status yet: it will never finish anything."""
    return _stat(pid)[:1] in (["Z"], ["X"])


def _start_time(pid: int) -> str | None:
    """Field 22 of /proc/pid/stat: clock ticks since boot at which the process started; None when hidden or gone."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else None
