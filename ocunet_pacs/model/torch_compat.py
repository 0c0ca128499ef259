"""The one place that makes `timm` (and the `torchvision` that it needs) importable beside a CPU-only torch.

A torchvision built for CUDA registers shape functions for operators of its own library, `torchvision::nms` first.
Beside a torch that cannot load that library the operators do not exist and `import torchvision` stops with a
RuntimeError. Declaring them is enough: nothing here ever calls them. Torch forgets a declaration when its `Library`
object goes, so the cache below keeps it for the life of the process.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from types import ModuleType

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def import_timm() -> ModuleType:
    """The `timm` module."""
    import_torchvision()
    return importlib.import_module("timm")


@functools.cache
def import_torchvision() -> ModuleType:
    """The `torchvision` module; its own operators (nms and the like) may be declared only and must not be called."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declare_operators()
    return importlib.import_module("torchvision")


@functools.cache
def _declare_operators() -> torch.library.Library:
    """Declare torchvision's operators; cached, for the declarations last only as long as the returned object."""
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator + _SIGNATURE)  # type: ignore[no-untyped-call]
    return library
