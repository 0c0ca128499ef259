"""What one try of an analysis has stored and no row names yet.

Two workers may be at the same job: one was paused for longer than its lease, and goes on when another has done the
work. The row says whose results count, and a store has no locks, so no two tries write a file of the same name: whoever
comes late replaces nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.domain.result import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocunet_pacs.domain.ports import FileStore
    from ocunet_pacs.domain.result import MadeObject


@dataclass(slots=True)
class Shelf:
    """The files of one try. `new_key` gives a name that was never given before, of a file with that suffix."""

    files: FileStore
    new_key: Callable[[str], str]
    _keys: set[str] = field(default_factory=set)

    def store(self, made: MadeObject) -> Output:
        """Store the object; the row that it may get. StoreFull, StoreError."""
        key = self.new_key("dcm" if made.kind.is_dicom else "json")
        self._keys.add(key)
        self.files.put(key, made.content)
        return Output(made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, key, made.form)

    def hand_over(self) -> set[str]:
        """The keys of all files, which from now on rows may name: they are no longer on the shelf."""
        keys, self._keys = self._keys, set()
        return keys

    def take_back(self, keys: Iterable[str]) -> None:
        """No row names these."""
        self._keys.update(keys)

    def clear(self) -> None:
        """Remove what is on the shelf. What cannot be removed is left to the daily comparison of files and rows."""
        for key in self.hand_over():
            try:
                self.files.remove(key)
            except StoreError as error:
                structlog.get_logger().warning("file_left_behind", exc_info=error)
