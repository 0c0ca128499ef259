"""For programs of tests that look at their own heap: C's malloc as `c`, and `resident()`."""

WITH_MALLOC = """
import ctypes
from pathlib import Path

c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def resident():
    \"\"\"MiB.\"\"\"
    return int(Path("/proc/self/statm").read_text().split()[1]) >> 8
"""
