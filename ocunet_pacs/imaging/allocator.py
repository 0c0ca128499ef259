"""glibc's malloc, told to keep the large buffers that pictures and layers are made of.

By default it maps each buffer above 32 MB (at first above 128 KB) from the kernel and gives it back. The kernel then
clears each page anew: a sixth of a decoder's time, and two thirds of torch's speed on a CPU.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

EVERYTHING: Final = 2**31 - 1
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4


def settle_allocator(keep_bytes: int = EVERYTHING) -> bool:
    """Keep freed memory in this process; whether that was possible (it is with glibc only).

    What is free at the heap's end beyond `keep_bytes` (at most EVERYTHING) still goes back to the kernel. For processes
    that do one large thing after another for long.
    """
    if sys.platform != "linux" or "glibc" not in _c_library():
        return False
    c = ctypes.CDLL(None)
    return bool(c.mallopt(_M_MMAP_MAX, 0)) and bool(c.mallopt(_M_TRIM_THRESHOLD, keep_bytes))


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
