"""Which device a setting means. Torch is asked only where a GPU may be: importing it takes seconds and 300 MB."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

from ocunet_pacs.domain.errors import BundleError

CPU: Final = "cpu"
_DRIVERS: Final = tuple(map(Path, ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/nvmap", "/dev/dxg", "/dev/kfd")))
"""One of these is there where a GPU can be used on Linux: NVIDIA's driver, its Tegra, under Windows, AMD's."""


def find_device(name: str) -> str:
    """ "auto" (a GPU where there is one), "cpu" or "cuda:N" to "cpu" or "cuda:N".

    BundleError where this machine has no such device.
    """
    if name == CPU or (name == "auto" and sys.platform == "linux" and not any(path.exists() for path in _DRIVERS)):
        return CPU
    torch = importlib.import_module("torch")
    if name == "auto":
        return "cuda:0" if torch.cuda.is_available() else CPU
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BundleError(f"device {name!r} cannot be used here") from error
    return str(device) if device.type == "cuda" else CPU
