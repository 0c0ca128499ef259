"""What `ocunet-train manifest` shows of what it made: sources, labels by source, what is unreadable, what to fear."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ocunet_pacs.domain.labels import LABELS
from training.corpora.summary import count_sources, warnings
from training.data.manifest import unreadable_path

if TYPE_CHECKING:
    from pathlib import Path

    from training.corpora.gathering import Gathered
    from training.corpora.summary import Count, SourceCount

_WIDE = 200
"""Columns where nobody said how wide the output is: a file does not mind."""


def show(gathered: Gathered, out: Path) -> None:
    """Print tables and warnings."""
    console = Console(highlight=False, markup=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_WIDE)
    manifest = gathered.manifest
    sources = count_sources(manifest.rows)
    console.print(_sources(sources, gathered.unreadable))
    console.print(_labels(sources))
    if manifest.unreadable:
        reasons = Counter(entry.reason.partition(":")[0] for entry in manifest.unreadable)
        counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        console.print(f"in {unreadable_path(out)}: {counts}")
    for warning in warnings(manifest):
        console.print(f"warning: {warning}", soft_wrap=True)
    console.print(f"{out}: {len(manifest.rows):,} rows, fingerprint {manifest.fingerprint[:12]}", soft_wrap=True)


def _sources(sources: list[SourceCount], unreadable: Counter[str]) -> Table:
    table = Table("source", box=None, pad_edge=False)
    for name in ("rows", "groups", "unreadable", "splits of its own"):
        table.add_column(name, justify="left" if "splits" in name else "right")
    for one in sources:
        splits = ", ".join(f"{name} {count:,}" for name, count in one.splits.items())
        table.add_row(one.source, f"{one.rows:,}", f"{one.groups:,}", f"{unreadable[one.source]:,}", splits)
    for name in sorted(unreadable.keys() - {one.source for one in sources}):
        table.add_row(name, "", "", f"{unreadable[name]:,}", "")
    return table


def _labels(sources: list[SourceCount]) -> Table:
    """Positive, negative and unknown rows of each label: of all, then source by source."""
    table = Table(box=None, pad_edge=False, title="+ positive  - negative  ? unknown", title_justify="left")
    table.add_column("label", no_wrap=True)
    for name in ("all", *(one.source for one in sources)):
        table.add_column(name, justify="right", overflow="fold")
    rows = sum(one.rows for one in sources)
    for label in LABELS:
        counts = [one.labels.get(label.name) for one in sources]
        positive = sum(count.positive for count in counts if count)
        negative = sum(count.negative for count in counts if count)
        if positive or negative:
            whole = f"+{positive:,} -{negative:,} ?{rows - positive - negative:,}"
            table.add_row(label.name, whole, *map(_cell, counts))
    return table


def _cell(count: Count | None) -> str:
    return "" if count is None else f"+{count.positive:,} -{count.negative:,} ?{count.unknown:,}"
