"""Run a program under what a unit denies it, as far as that goes without systemd.

`python -m tests.sandbox UNIT PROGRAM ARGUMENTS`
System calls by the unit's own filter (through libseccomp, as systemd does it), capabilities, and memory that is written
and run. Not: devices, address families, what of the file system is hidden, and user namespaces.
"""

from __future__ import annotations

import ctypes
import os
import sys
from errno import EPERM

from tests.units import allowed_calls, values

_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000
_PR_CAPBSET_DROP, _PR_SET_MDWE = 24, 65
_CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10}


def confine(unit: str) -> None:
    """Take from this process, and from all that it starts, what the unit takes from its service."""
    libc = ctypes.CDLL(None, use_errno=True)
    kept = {_CAPABILITIES[name] for line in values(unit, "CapabilityBoundingSet") for name in line.split()}
    for capability in set(range(41)) - kept:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # only root may; others have none anyway
    # Kernels before 6.3 cannot deny it in this way.
    if values(unit, "MemoryDenyWriteExecute") == ["yes"] and libc.prctl(_PR_SET_MDWE, 1, 0, 0, 0):
        assert ctypes.get_errno() != EPERM
    calls = allowed_calls(unit)
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    context = seccomp.seccomp_init(_ERRNO | EPERM)
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # others are of other architectures
            assert seccomp.seccomp_rule_add(context, _ALLOW, number, 0) == 0
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
