"""Any DICOM file held to our rules: one of our objects to all of them, anybody else's to the general ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import dcmread

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import ReasonCode
from ocunet_pacs.imaging.part10 import opened, refusing
from ocunet_pacs.report.validate import broken_rules, kind_of, rules_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ocunet_pacs.domain.result import OutputKind
    from ocunet_pacs.report.rules import Rule


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file. `kind` is None for an object of somebody else's; `error` says why it was not read."""

    path: Path
    kind: OutputKind | None = None
    rules: int = 0
    broken: tuple[Rule, ...] = ()
    error: str = ""


def validate_files(paths: Iterable[Path]) -> Iterator[Verdict]:
    """Each file in turn. Nothing of a verdict comes from a value in the file, so none holds patient data."""
    return map(_validate, paths)


def _validate(path: Path) -> Verdict:
    try:
        with opened(path):
            pass  # a bounded read first: the length of a broken element can ask for all memory there is
        with refusing(ReasonCode.UNREADABLE_DATASET, "its data set is broken"):
            ds = dcmread(path)
            kind = kind_of(ds)
            broken = tuple(broken_rules(ds, kind))
    except BadInput as error:
        return Verdict(path, error=str(error))
    except OSError as error:
        return Verdict(path, error=error.strerror or type(error).__name__)
    return Verdict(path, kind, len(rules_for(kind)), broken)
