"""OcuNet PACS: a DICOM worker daemon that reads fundus photographs and writes reports back to the PACS.

For Python programs: `ocunet_pacs.Classifier` (see docs/python-api.md), loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocunet_pacs.classifier import Classifier, Reading

__all__ = ["Classifier", "Reading", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """PEP 562: the listener imports this package too and must never load torch."""
    if name in {"Classifier", "Reading"}:
        return getattr(import_module("ocunet_pacs.classifier"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
