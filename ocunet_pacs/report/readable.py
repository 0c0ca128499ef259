"""A report and its heatmaps for people without a DICOM viewer: terminal, browser, picture.

All of it is read from the DICOM data sets. It shows whose report it is, so what comes out is patient data.
"""

from __future__ import annotations

import base64
import io
import textwrap
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image, ImageDraw
from pydicom.encaps import get_frame

from ocunet_pacs.report import wording
from ocunet_pacs.report.lettering import LINE, drawable, font, wrap
from ocunet_pacs.report.reading import EYES, read_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydicom.dataset import Dataset

    from ocunet_pacs.report.reading import ReadReport, Statement

_INK = (20, 20, 20)
_COLOURS = {"warning": (176, 0, 32), "faint": (90, 90, 90)}
_WIDTH = 1200
_MARGIN = 48


def as_text(ds: Dataset, width: int = 100) -> str:
    """The report for a terminal, `width` characters wide: eye by eye, most urgent first."""
    lines: list[str] = []
    for style, indent, text in _lines(read_report(ds)):
        if style == "heading" and lines:
            lines.append("")
        lines += textwrap.wrap(text, width, initial_indent=indent * " ", subsequent_indent=(indent + 2) * " ")
    return "\n".join(lines) + "\n"


def as_html(ds: Dataset, images: Mapping[str, bytes]) -> str:
    """The report as one page that needs nothing else. `images`: PNG of each heatmap by SOP Instance UID."""
    environment = Environment(
        loader=PackageLoader("ocunet_pacs.report", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    report = read_report(ds)
    pictures = {uid: base64.b64encode(png).decode("ascii") for uid, png in images.items()}
    eyes = [(report.heading_of(eye), report.of_eye(eye)) for eye in EYES if report.of_eye(eye)]
    figures = [(caption, pictures[uid]) for uid, caption in report.figures.items() if uid in pictures]
    page = environment.get_template("report.html")
    return page.render(report=report, eyes=eyes, figures=figures, share=wording.percent)


def as_png(ds: Dataset) -> bytes:
    """The report as a picture, black on white, 1200 pixels wide."""
    faces = {"title": font(34), "warning": font(26), "heading": font(28), "body": font(22), "faint": font(20)}
    rows = []
    height = float(_MARGIN)
    for style, indent, text in _lines(read_report(ds)):
        face = faces[style]
        left = _MARGIN + 12 * indent
        if style == "heading":
            height += face.size * 0.6
        for line in wrap(drawable(text, face), face.size, _WIDTH - left - _MARGIN):
            rows.append((left, height, line, face, _COLOURS.get(style, _INK)))
            height += face.size * LINE
    page = Image.new("RGB", (_WIDTH, round(height) + _MARGIN), (255, 255, 255))
    draw = ImageDraw.Draw(page)
    for left, top, line, face, colour in rows:
        draw.text((left, top), line, fill=colour, font=face)
    return _png(page)


def heatmap_png(ds: Dataset) -> bytes:
    """The picture of one of our heatmaps, in either encoding."""
    size = (int(ds.Columns), int(ds.Rows))
    if ds.PhotometricInterpretation == "RGB":
        return _png(Image.frombytes("RGB", size, bytes(ds.PixelData)[: size[0] * size[1] * 3]))
    with Image.open(io.BytesIO(get_frame(ds.PixelData, 0, number_of_frames=1))) as picture:
        return _png(picture.convert("RGB"))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _lines(report: ReadReport) -> Iterator[tuple[str, int, str]]:
    """Every line as (style, indent, text)."""
    yield "title", 0, report.title
    for words in report.banner:
        yield "warning", 0, words
    for name, value in report.patient:
        yield "body", 0, f"{name}: {value}"
    yield "faint", 0, f"Made {report.made} by {report.device}; {report.status}"
    yield "heading", 0, "Summary"
    for words in report.summary:
        yield "body", 2, words
    for eye in EYES:
        statements = report.of_eye(eye)
        if statements:
            yield "heading", 0, report.heading_of(eye)
        for statement in statements:
            if not statement.assessed and statement.comments:
                yield from (("body", 2, comment) for comment in statement.comments)
                continue
            yield "body", 2, _statement_words(statement)
            for comment in statement.comments:
                yield "faint", 4, comment
    yield "heading", 0, "Remarks"
    for words in report.other_remarks:
        yield "body", 2, words


def _statement_words(statement: Statement) -> str:
    words = statement.name
    if statement.probability is not None:
        words += f": {statement.probability:.1f} %"
    if statement.threshold is not None:
        words += f" (threshold {wording.percent(statement.threshold)})"
    if statement.assessed:
        words += f", {statement.claim}"
    if statement.urgency:
        words += f". Suggested urgency of review: {statement.urgency.lower()}"
    return words
