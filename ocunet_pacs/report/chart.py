"""Every label's probability against its threshold, as rows of bars: what the model said beside what it leads with.

Labels above threshold come first and in colour, the others beneath them in grey. The composite flag and the normal
class are no findings and stand apart. Orange and sky blue (Okabe and Ito) differ in brightness too, for readers who do
not see colours; a white mark on each bar is the label's threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from ocunet_pacs.report import codes, ordering, wording
from ocunet_pacs.report.lettering import LINE, length, wrap, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.result import ImageResult, LabelScore
    from ocunet_pacs.report.report_settings import ReportSettings

Colour = tuple[int, int, int]

ABOVE_COLOUR: Colour = (230, 159, 0)
APART_COLOUR: Colour = (86, 180, 233)
QUIET_COLOUR: Colour = (112, 120, 132)
TRACK_COLOUR: Colour = (40, 42, 46)
MARK_COLOUR: Colour = (255, 255, 255)
_WHITE: Colour = (255, 255, 255)
_GREY: Colour = (186, 188, 192)
_BLACK: Colour = (0, 0, 0)
_NAME_SHARE = 0.47
"""Of a column's width, what the names may take."""


class Section(Enum):
    """A block of rows and its heading."""

    ABOVE = "Above threshold, most urgent first"
    BELOW = "Below threshold"
    APART = "Apart: composite flag and normal class"


@dataclass(frozen=True, slots=True)
class Row:
    """One label. `remark` stands behind its name: how urgent a review it suggests, "" where it suggests nothing."""

    section: Section
    name: str
    remark: str
    probability: float
    threshold: float
    positive: bool

    @property
    def colour(self) -> Colour:
        """Of its bar."""
        if not self.positive:
            return QUIET_COLOUR
        return APART_COLOUR if self.section is Section.APART else ABOVE_COLOUR


@dataclass(frozen=True, slots=True)
class _Line:
    """A row, or the heading of a section, with its name broken into lines."""

    words: tuple[str, ...]
    row: Row | None
    section: Section


def rows_of(image: ImageResult, settings: ReportSettings) -> list[Row]:
    """A row for each label that the model scored, in the order in which they are drawn."""
    above = ordering.findings(image, settings)
    below = [s for s in image.scores if not s.positive and ordering.is_finding(s)]
    apart = [s for s in image.scores if not ordering.is_finding(s)]
    return [
        *(_row(Section.ABOVE, s, settings) for s in above),
        *(_row(Section.BELOW, s, settings) for s in sorted(below, key=lambda s: (-s.probability, s.label))),
        *(_row(Section.APART, s, settings) for s in sorted(apart, key=lambda s: s.label == ordering.NORMAL)),
    ]


def _row(section: Section, score: LabelScore, settings: ReportSettings) -> Row:
    label = codes.label_of(score.label)
    urgency = codes.URGENCY_CODES[settings.urgency(label)].meaning.lower() if section is Section.ABOVE else ""
    return Row(section, label.display, urgency, score.probability, score.threshold, score.positive)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart laid out, `width` pixels wide, and not drawn yet."""

    width: int
    height: int
    column: int
    gap: int
    parts: tuple[tuple[_Line, ...], ...]
    size: float

    def draw(self) -> Image.Image:
        """White on black."""
        chart = Image.new("RGB", (self.width, self.height), _BLACK)
        for place, part in enumerate(self.parts):
            top = 0.0
            for line in part:
                _draw_line(chart, line, self.size, (place * (self.column + self.gap), top, self.column))
                top += _height(line, self.size)
        return chart


def lay_out(rows: Sequence[Row], width: int, columns: int, size: float) -> Chart:
    """The chart in one column or in two, as high as it needs to be."""
    gap = round(size)
    column = (width - (columns - 1) * gap) // columns
    parts = _split(_lines(rows, size, column), columns)
    height = max(sum(_height(line, size) for line in part) for part in parts)
    return Chart(width, math.ceil(height), column, gap, tuple(map(tuple, parts)), size)


def _lines(rows: Sequence[Row], size: float, column: int) -> list[_Line]:
    lines: list[_Line] = []
    for row in rows:
        if not lines or lines[-1].section is not row.section:
            lines.append(_Line((row.section.value,), None, row.section))
        words = f"{row.name} ({row.remark})" if row.remark else row.name
        lines.append(_Line(tuple(wrap(words, size, column * _NAME_SHARE)), row, row.section))
    return lines


def _split(lines: list[_Line], columns: int) -> list[list[_Line]]:
    """In halves of about the same height; a section that goes on is named again at the top of the second."""
    if columns == 1:
        return [lines]
    half = sum(len(line.words) for line in lines) / 2
    first, so_far = 0, 0
    while first < len(lines) and so_far + len(lines[first].words) <= half + 1:
        so_far += len(lines[first].words)
        first += 1
    if first and lines[first - 1].row is None:
        first -= 1
    rest = lines[first:]
    if rest and rest[0].row is not None:
        section = rest[0].section
        rest.insert(0, _Line((f"{section.value.partition(',')[0]}, continued",), None, section))
    return [lines[:first], rest]


def _height(line: _Line, size: float) -> float:
    return size * LINE * (len(line.words) + (0.35 if line.row is None else 0))


def _draw_line(chart: Image.Image, line: _Line, size: float, place: tuple[int, float, int]) -> None:
    left, top, column = place
    number = math.ceil(length("100.0 %", size))
    gap = size * 0.6
    right = left + column
    values = (right - number - gap, right)
    """Right edges of probability and threshold."""
    step = size * LINE
    draw = ImageDraw.Draw(chart)
    if line.row is None:
        base = top + 0.35 * step
        write(chart, (left, base), line.words[0], size, _WHITE)
        for edge, words in zip(values, ("prob.", "thresh."), strict=True):
            write(chart, (edge, base), words, size, _GREY, ends_here=True)
        draw.line((left, base + step * 0.93, right, base + step * 0.93), fill=QUIET_COLOUR, width=1)
        return
    row = line.row
    ink = _WHITE if row.positive else _GREY
    for number_of_line, words in enumerate(line.words):
        write(chart, (left, top + number_of_line * step), words, size, ink)
    for edge, share, colour in zip(values, (row.probability, row.threshold), (ink, _GREY), strict=True):
        write(chart, (edge, top), wording.percent(share), size, colour, ends_here=True)
    start = round(left + column * _NAME_SHARE + gap)
    end = round(values[0] - number - gap)
    _draw_bar(draw, row, (start, round(top + step * 0.16), end, round(top + step * 0.78)))


def _draw_bar(draw: ImageDraw.ImageDraw, row: Row, box: tuple[int, int, int, int]) -> None:
    """From 0 at the box's left edge to 1 at its right; the mark stands out above and below."""
    left, top, right, bottom = box
    draw.rectangle(box, fill=TRACK_COLOUR)
    end = left + round((right - left) * row.probability)
    if end > left:
        draw.rectangle((left, top, end, bottom), fill=row.colour)
    mark = left + round((right - left) * row.threshold)
    draw.rectangle((mark - 1, top - 3, mark + 1, bottom + 3), fill=MARK_COLOUR)
