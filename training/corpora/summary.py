"""What a data scientist should see of a manifest before training on it: numbers by source and label, and warnings."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.labels import BY_NAME, LABELS
from training.corpora.listing import number_of, some
from training.metrics.ranking import auroc_by_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.data.manifest import Manifest, Row

_FEW: Final = 10
"""Positives under which OcuNet's recipe leaves a label out."""
_GIVEN_AWAY: Final = 0.85
"""AUROC of a label by its source from which it is warned of."""
_AMBIGUOUS: Final = ("MH", "DN", "PT")
"""Short names that collections use for different things; the table of labels says what ours are."""
_KNOWN_SOURCES: Final = frozenset({"rfmid", "odir"})
"""Read by what their publishers say of their labels, not by short names."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows say what of one label."""

    positive: int
    negative: int
    unknown: int


@dataclass(frozen=True, slots=True)
class SourceCount:
    """One source's numbers; `labels` holds those of which it knows anything, in the table's order."""

    source: str
    rows: int
    groups: int
    splits: dict[str, int]
    labels: dict[str, Count]


def count_sources(rows: Sequence[Row]) -> list[SourceCount]:
    """The numbers of each source, in the order of their first rows."""
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    return [
        SourceCount(
            source,
            len(own),
            len({row.group for row in own}),
            dict(Counter(str(row.split) for row in own if row.split)),
            _labels(own),
        )
        for source, own in by_source.items()
    ]


def _labels(rows: Sequence[Row]) -> dict[str, Count]:
    positive = Counter(name for row in rows for name in row.positive)
    negative = Counter(name for row in rows for name in row.negative)
    return {
        label.name: Count(p, n, len(rows) - p - n)
        for label in LABELS
        if (p := positive[label.name]) + (n := negative[label.name])
    }


def warnings(manifest: Manifest) -> list[str]:
    """Sentences about what makes a model learn, or a figure say, something else than it seems to; worst first."""
    sources = count_sources(manifest.rows)
    return [
        *_shortcuts(sources),
        *_copies(manifest.rows),
        *_useless(sources),
        *_ungrouped(sources),
        *_meanings(sources),
        *_lost(manifest),
    ]


def _shortcuts(sources: Sequence[SourceCount]) -> Iterator[str]:
    """Labels that can be told from the source, and those that only one source has."""
    single = []
    for label in _seen(sources):
        by_source = {one.source: one.labels[label] for one in sources if label in one.labels}
        positive = [source for source, count in by_source.items() if count.positive]
        auroc = auroc_by_part([(one.positive, one.negative) for one in by_source.values()])
        if auroc > _GIVEN_AWAY:
            yield (
                f"{label}: the source alone gives it away (AUROC {auroc:.2f} without a look at a picture; positive in "
                f"{some(positive)}): judge it source by source, never over all together"
            )
        elif len(positive) == 1 and len(sources) > 1:
            single.append(f"{label} ({positive[0]})")
    if single:
        yield f"positive in one source alone: {some(single, 30)}: its cameras and crops may be learned in their place"


def _copies(rows: Sequence[Row]) -> Iterator[str]:
    """Files that are there more than once, byte for byte."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    several = [copies for copies in by_key.values() if len(copies) > 1]
    if not several:
        return
    apart = sum(len({row.group for row in copies}) > 1 for copies in several)
    are = "is" if len(several) == 1 else "are"
    told = f"{number_of(len(several), 'photograph')} {are} there more than once, byte for byte"
    if apart:
        told += f", {apart:,} of them in several groups: `ocunet-train check` joins them before a split"
    yield told
    against = Counter(
        name for copies in several for one in copies for other in copies for name in one.positive & other.negative
    )
    if against:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(against.items()))
        yield f"copies that are positive here and negative there: {counts}"


def _useless(sources: Sequence[SourceCount]) -> Iterator[str]:
    """Labels that nothing can be learned of."""
    few, only = [], []
    for label in _seen(sources):
        counts = [one.labels[label] for one in sources if label in one.labels]
        positive, negative = sum(c.positive for c in counts), sum(c.negative for c in counts)
        if positive < _FEW:
            few.append(f"{label} ({positive})")
        elif not negative:
            only.append(label)
    if few:
        yield f"fewer than {_FEW} positives: {some(few, 30)}: the default recipe leaves these labels out"
    if only:
        yield f"no negatives: {some(only, 30)}: nothing to tell them from, so these labels are left out"


def _ungrouped(sources: Sequence[SourceCount]) -> Iterator[str]:
    alone = [one.source for one in sources if one.rows > 1 and one.groups == one.rows]
    if alone:
        yield f"{some(alone)}: every picture is its own group: two eyes of a patient, or copies, may part in a split"


def _meanings(sources: Sequence[SourceCount]) -> Iterator[str]:
    for name in _AMBIGUOUS:
        label = BY_NAME[name]
        said = [one.source for one in sources if name in one.labels and one.source not in _KNOWN_SOURCES]
        if said:
            yield f"{name} in {some(said)}: make sure that it is {label.display.lower()!r} there ({label.caveat})"


def _lost(manifest: Manifest) -> Iterator[str]:
    lost, kept = len(manifest.unreadable), len(manifest.rows)
    if lost * 100 > (lost + kept):
        yield f"{number_of(lost, 'file')} of {lost + kept:,} unreadable or left out: is one kind missing now?"


def _seen(sources: Sequence[SourceCount]) -> list[str]:
    return [label.name for label in LABELS if any(label.name in one.labels for one in sources)]
