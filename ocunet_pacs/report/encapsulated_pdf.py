"""The whole report with its heatmaps as Encapsulated PDF, for clinics that file documents (PS3.3 A.45.1).

It is made from the structured report and the heatmap objects alone and says nothing that they do not say.
"""

from __future__ import annotations

import io
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import simplejpeg
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from ocunet_pacs.domain.result import MadeObject, OutputKind, derive_uid
from ocunet_pacs.report import codes, header
from ocunet_pacs.report.document import Figure, render
from ocunet_pacs.report.picture_rules import ENCAPSULATED_PDF
from ocunet_pacs.report.reading import read_report
from ocunet_pacs.report.validate import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocunet_pacs.report.report_settings import ReportSettings

_AS_THE_REPORT = (
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "DeviceUID",
    "InstitutionName",
    "ContributingEquipmentSequence",
    "CodingSchemeIdentificationSequence",
    "ContentQualification",
    "ContentDate",
    "ContentTime",
    "InstanceCreationDate",
    "InstanceCreationTime",
)
_JPEG_QUALITY = 90


def build_pdf(report: Dataset | bytes, pictures: Mapping[str, bytes | Path], *, settings: ReportSettings) -> MadeObject:
    """The document of a report of ours, checked and encoded.

    `pictures` holds the DICOM files of the heatmaps that the report refers to, by SOP Instance UID, in either encoding;
    one that is not there is left out. The same report and pictures give the same bytes.
    """
    source = report if isinstance(report, Dataset) else dcmread(io.BytesIO(report))
    read = read_report(source)
    figures = [_figure(caption, pictures[uid]) for uid, caption in read.figures.items() if uid in pictures]
    moment = str(source.ContributingEquipmentSequence[0].ContributionDateTime)
    made = datetime.strptime(moment, "%Y%m%d%H%M%S.%f%z")
    document = render(read, figures, made, str(source.SOPInstanceUID))
    ds = header.inherit([source], str(source.StudyInstanceUID))
    for keyword in _AS_THE_REPORT:
        if keyword in source:
            ds[keyword] = deepcopy(source[keyword])
    ds.SOPClassUID = ENCAPSULATED_PDF
    ds.SOPInstanceUID = derive_uid("pdf", str(source.SOPInstanceUID))
    ds.SeriesInstanceUID = derive_uid("pdf series", str(source.SeriesInstanceUID))
    ds.Modality = "DOC"
    ds.ConversionType = "WSD"
    ds.SeriesNumber = settings.series_number + 52
    ds.InstanceNumber = source.InstanceNumber
    ds.SeriesDescription = f"{source.SeriesDescription} (PDF)"
    ds.SeriesDescriptionCodeSequence = [codes.concept(codes.IMAGING_MEASUREMENT_REPORT)]
    _describe(ds, source, [statement.eye for statement in read.statements])
    ds.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    ds.EncapsulatedDocumentLength = len(document)
    check(ds, OutputKind.PDF)
    return MadeObject(
        OutputKind.PDF, ENCAPSULATED_PDF, str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), header.encode(ds)
    )


def _describe(ds: Dataset, source: Dataset, eyes: list[str]) -> None:
    """Encapsulated Document module (PS3.3 C.24.2)."""
    ds.AcquisitionDateTime = ""
    sides = {"OD": "R", "OS": "L"}
    shown = {sides[eye] for eye in eyes if eye in sides}
    if shown and len(shown) == len(set(eyes)):
        ds.ImageLaterality = "B" if len(shown) == 2 else shown.pop()
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.DocumentTitle = source.SeriesDescription
    ds.ConceptNameCodeSequence = [codes.concept(codes.IMAGING_MEASUREMENT_REPORT)]
    ds.VerificationFlag = source.VerificationFlag
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.SourceInstanceSequence = list(_sources(source))


def _sources(report: Dataset) -> Iterator[Dataset]:
    """The report itself, and what it is evidence of: photographs and heatmaps."""
    evidence = [
        (str(ref.ReferencedSOPClassUID), str(ref.ReferencedSOPInstanceUID))
        for study in report.get("CurrentRequestedProcedureEvidenceSequence", ())
        for series in study.ReferencedSeriesSequence
        for ref in series.ReferencedSOPSequence
    ]
    for sop_class, sop_instance in [(str(report.SOPClassUID), str(report.SOPInstanceUID)), *evidence]:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = sop_instance
        yield item


def _figure(caption: str, picture: bytes | Path) -> Figure:
    """The heatmap's own JPEG stream where it has one."""
    ds = dcmread(picture if isinstance(picture, Path) else io.BytesIO(picture))
    size = (int(ds.Columns), int(ds.Rows))
    if ds.PhotometricInterpretation != "RGB":
        stream = get_frame(ds.PixelData, 0, number_of_frames=1)
        return Figure(caption, stream[: stream.rindex(b"\xff\xd9") + 2], size)
    stream = simplejpeg.encode_jpeg(ds.pixel_array, quality=_JPEG_QUALITY, colorspace="RGB", colorsubsampling="444")
    return Figure(caption, stream, size)
