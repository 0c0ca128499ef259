"""A report with its heatmaps as a document that a clinic files: A4, whose it is and what it is on every page.

The same report gives the same bytes: every date in it is the report's own.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from datetime import UTC
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fpdf import FPDF
from fpdf.enums import Align, TableBordersLayout, VAlign, XPos, YPos
from fpdf.fonts import FontFace

from ocunet_pacs.imaging.header import MODEL_NAME
from ocunet_pacs.report import wording
from ocunet_pacs.report.reading import EYES
from ocunet_pacs.report.typeface import BOLD, REGULAR, Typeface

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from fpdf.table import Table

    from ocunet_pacs.report.reading import ReadReport, Statement

_INK, _GREY, _RED, _PALE = (20, 20, 20), (95, 95, 95), (176, 0, 32), (243, 244, 246)
_MARGIN = 16
_FAMILY = "text"
_LINE = 1.35
"""Distance of baselines in font sizes."""
_POINT = 25.4 / 72
_PICTURE_HEIGHT = 228
"""Of the highest picture, in millimetres: page, margins, header, footer and a caption leave as much."""

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
<rdf:Description rdf:about="" xmp:CreateDate="{moment}" xmp:ModifyDate="{moment}" xmp:MetadataDate="{moment}"
 pdf:Producer="{producer}">
<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>"""
"""What a PDF/A says of itself (ISO 19005-2, 6.6): nothing of the patient."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One heatmap as JPEG, with its caption and its size in pixels."""

    caption: str
    jpeg: bytes
    size: tuple[int, int]


def render(report: ReadReport, figures: Sequence[Figure], made: datetime, identifier: str) -> bytes:
    """The whole PDF (PDF/A-2b). `made` is the report's time, aware; `identifier` its SOP Instance UID."""
    face = Typeface()
    characters = {c for text in _texts(asdict(report)) for c in face.write(text)}
    with TemporaryDirectory() as folder:
        paper = _Paper(report, face)
        fonts = {weight: Path(folder) / f"{weight}.ttf" for weight in (REGULAR, BOLD)}
        face.cut(characters, fonts)
        paper.add_font(_FAMILY, "", fonts[REGULAR])
        paper.add_font(_FAMILY, "B", fonts[BOLD])
        paper.date(made)
        paper.add_page()
        paper.front()
        paper.summary()
        paper.results()
        paper.remarks(identifier)
        for place, figure in enumerate(figures):
            paper.figure(figure, is_first=not place)
        return bytes(paper.output())


def _texts(value: object) -> Iterator[str]:
    """Every string in the report."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


class _Paper(FPDF):
    """The pages, one after the other, each with its head and foot."""

    def __init__(self, report: ReadReport, face: Typeface) -> None:
        super().__init__(format="A4", enforce_compliance="PDF/A-2B")
        self._report = report
        self._face = face
        self._identity = {
            name: face.write_name(value) if name == "Patient" else face.write(value) for name, value in report.patient
        }
        self.set_title(face.write(report.title))
        self.set_producer(MODEL_NAME)
        self.set_lang("en-US")
        self.set_margins(_MARGIN, 12, _MARGIN)
        self.set_auto_page_break(auto=True, margin=24)

    def date(self, made: datetime) -> None:
        """Everything in the file was made then: left to itself the library writes the present time into PDF/A."""
        self.set_creation_date(made)
        moment = made.astimezone(UTC).isoformat(timespec="seconds")
        self.set_xmp_metadata(_XMP.format(moment=moment, producer=MODEL_NAME, title=escape(str(self.title))))

    def header(self) -> None:
        """Whose report it is; whether the model was trained at all."""
        known = self._identity
        who = [words for name in ("Patient", "Patient ID") if (words := known.get(name))]
        who += [f"{name.lower()} {known[name]}" for name in ("Born", "Study") if name in known]
        self._say(" \u00b7 ".join(who), 9, bold=True)
        if self._report.untrained:
            self._say("UNTRAINED MODEL: every probability in this document is meaningless", 9, _RED, bold=True)
        self.set_draw_color(*_GREY)
        self.line(_MARGIN, self.get_y() + 1, self.w - _MARGIN, self.get_y() + 1)
        self.ln(4)

    def footer(self) -> None:
        """What a page is, also when it is found alone."""
        self.set_y(-21)
        self.line(_MARGIN, self.get_y(), self.w - _MARGIN, self.get_y())
        self.ln(1)
        self._say(wording.DISCLAIMER, 7.5, _GREY)
        top = self.get_y()
        self._say(f"{self._report.title} \u00b7 made {self._report.made} \u00b7 {self._report.status}", 7.5, _GREY)
        self.set_xy(self.w - _MARGIN - 40, top)
        self.cell(40, 7.5 * _POINT * _LINE, f"Page {self.page_no()} of {{nb}}", align=Align.R)

    def front(self) -> None:
        """Title, warnings, patient and study."""
        self._say(self._report.title, 18, bold=True)
        self._say(f"Made {self._report.made} by {self._report.device}; {self._report.status}.", 9, _GREY)
        self.ln(2)
        for words in self._report.banner:
            self.set_draw_color(*_RED)
            self.set_line_width(0.7)
            self._say(words, 10, _RED, bold=True, border=True)
            self.set_line_width(0.2)
            self.ln(2)
        self.set_draw_color(*_GREY)
        with self._table((24, 65, 24, 65), headings=False, lines=TableBordersLayout.NONE) as table:
            facts = list(self._identity.items())
            for pair in (facts[place : place + 2] for place in range(0, len(facts), 2)):
                row = table.row()
                for name, value in pair:
                    row.cell(name, style=FontFace(color=_GREY, fill_color=_PALE))
                    row.cell(value, style=FontFace(emphasis="BOLD", fill_color=_PALE))
                for _ in range(4 - 2 * len(pair)):
                    row.cell("", style=FontFace(fill_color=_PALE))

    def summary(self) -> None:
        """What each eye comes to."""
        self._heading("Summary")
        for words in self._report.summary:
            self._item(words, 11, 0)

    def results(self) -> None:
        """Every statement, eye by eye."""
        for eye in EYES:
            statements = self._report.in_full_of_eye(eye)
            if not statements:
                continue
            self._heading(self._report.heading_of(eye))
            notes: dict[str, int] = {}
            with self._table((70, 22, 20, 31, 35)) as table:
                table.row(("Label", "Probability", "Threshold", "Statement", "Suggested urgency of review"))
                for statement in statements:
                    self._statement(table, statement, notes)
            self.ln(1)
            for words, number in notes.items():
                self._say(f"[{number}] {words}", 8, _GREY)

    def _statement(self, table: Table, statement: Statement, notes: dict[str, int]) -> None:
        """One row; what is to be said of it stands beneath the table, once for all rows that share it."""
        row = table.row()
        if not statement.assessed and statement.comments:
            row.cell(self._write(" ".join(statement.comments)), colspan=5)
            return
        marks = "".join(f" [{notes.setdefault(words, len(notes) + 1)}]" for words in statement.comments)
        probability = "" if statement.probability is None else f"{statement.probability:.1f} %"
        threshold = "" if statement.threshold is None else wording.percent(statement.threshold)
        claim = statement.claim if statement.assessed else "not assessed"
        style = FontFace(emphasis="BOLD" if statement.is_finding else "")
        for words in (statement.name + marks, probability, threshold, claim, statement.urgency):
            row.cell(self._write(words), style=style)

    def remarks(self, identifier: str) -> None:
        """What a reader must know beside the numbers."""
        self._heading("Remarks")
        for words in self._report.other_remarks:
            self._item(words, 9, 0)
        self.ln(2)
        self._say(f"Made from the structured report {identifier}.", 8, _GREY)

    def figure(self, figure: Figure, *, is_first: bool) -> None:
        """A heatmap, as large as a page allows; beneath the one before where there is room."""
        width = min(self.epw, _PICTURE_HEIGHT * figure.size[0] / figure.size[1])
        height = width * figure.size[1] / figure.size[0]
        if is_first or self.will_page_break(height + 16):
            self.add_page()
        else:
            self.ln(4)
        self._say(figure.caption, 11, bold=True)
        self.ln(1)
        alt = self._face.write(f"Photograph with the regions that weigh for: {figure.caption}")
        self.image(io.BytesIO(figure.jpeg), x=Align.C, w=width, h=height, alt_text=alt)

    def _heading(self, words: str) -> None:
        self.ln(4)
        if self.will_page_break(28):
            self.add_page()
        self._say(words, 13, bold=True)
        self.ln(1)

    def _item(self, words: str, size: float, indent: float) -> None:
        self.set_x(_MARGIN + indent)
        self._style(size, _INK, bold=False)
        self.cell(4, size * _POINT * _LINE, "\u2022")
        self._say(words, size)
        self.ln(0.8)

    def _write(self, words: str) -> str:
        """In glyphs that there are, numbers and their percent signs on one line."""
        return self._face.write(words).replace(" %", "\u00a0%")

    def _style(self, size: float, colour: tuple[int, int, int], *, bold: bool) -> None:
        self.set_font(_FAMILY, "B" if bold else "", size)
        self.set_text_color(*colour)

    def _say(
        self,
        words: str,
        size: float,
        colour: tuple[int, int, int] = _INK,
        *,
        bold: bool = False,
        border: bool = False,
    ) -> None:
        """A paragraph from here to the right margin."""
        self._style(size, colour, bold=bold)
        self.multi_cell(
            0,
            size * _POINT * _LINE,
            self._write(words),
            border=1 if border else 0,
            align=Align.L,
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            padding=2 if border else 0,
        )

    def _table(
        self,
        widths: tuple[int, ...],
        *,
        headings: bool = True,
        lines: TableBordersLayout = TableBordersLayout.HORIZONTAL_LINES,
    ) -> AbstractContextManager[Table]:
        self._style(9.5, _INK, bold=False)
        return self.table(
            col_widths=widths,
            align=Align.L,
            text_align=Align.L,
            v_align=VAlign.T,
            borders_layout=lines,
            first_row_as_headings=headings,
            headings_style=FontFace(emphasis="BOLD", color=_GREY, size_pt=8.5),
            line_height=9.5 * _POINT * _LINE,
            padding=(0.8, 2, 0.8, 1),
        )
