"""Whether a data set is all there: a connection may break, or a sender's disk fill up, in the middle of an element.

Parsers that read only the header never look at the end of the file, and those that do take a short last value as it
is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.intake.walk import Incomplete, walking

if TYPE_CHECKING:
    from pathlib import Path


def is_complete(path: Path) -> bool:
    """Whether the DICOM file's data set ends where its last element ends.

    False for a data set that was cut anywhere but exactly between two of its top-level elements (such a cut cannot be
    seen). Padding of zeros behind the last element is tolerated. `path` is a Part 10 file (PS3.10) whose file meta
    information begins with its length. BadInput past the limits of the walk.
    """
    with walking(path) as walk:
        try:
            elements = sum(1 for _ in walk.elements({}))
        except Incomplete:
            return False
    return elements > 0
