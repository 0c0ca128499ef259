"""One structured report a study: Comprehensive 3D SR after TID 1500, PS3.3 A.35.13 and PS3.16 Annex A.

The tree, in the order that a reader meets it: what it is (and what warns of it: UNTRAINED, objects of the same study
that name another patient), how soon a person should look, the summary and the coded conclusions per eye, the image
library, one measurement group for each image and label, and remarks: disclaimer, what was not assessed and why,
contradictions, the model. TID 1500 is extensible: what stands above the image library is an addition, the remarks are
its rows for qualitative evaluations. docs/report.md shows an example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import BadInput, InvalidReport
from ocunet_pacs.domain.result import MadeObject, OutputKind, derive_uid
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.imaging.elements import count
from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME, SERIES_NAME
from ocunet_pacs.report import codes, header, ordering, tree, wording
from ocunet_pacs.report.conclusions import conclusion_containers, urgency_item
from ocunet_pacs.report.groups import GroupContext, measurement_groups
from ocunet_pacs.report.remarks import remarks
from ocunet_pacs.report.report_settings import SR_CLASSES
from ocunet_pacs.report.summary import summary
from ocunet_pacs.report.tree import Relation
from ocunet_pacs.report.validate import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from highdicom.sr import ContentItem

    from ocunet_pacs.domain.labels import Code
    from ocunet_pacs.domain.result import ImageResult, Output, StudyResult
    from ocunet_pacs.domain.routes import Form
    from ocunet_pacs.report.report_settings import ReportSettings


def build_report(
    result: StudyResult,
    sources: Mapping[str, Path],
    pictures: Mapping[str, Output],
    *,
    settings: ReportSettings,
    form: Form,
    now: datetime,
    software_version: str,
) -> MadeObject:
    """The report, checked and encoded.

    Photographs whose header cannot be read are named in the text and not referenced. BadInput when none can be read
    (then nobody knows whose report it is), InvalidReport when what was handed in does not fit together.
    """
    headers = _read(result, sources)
    context = GroupContext(result, settings, form, software_version, headers, pictures)
    try:
        evidence = _evidence(context)
    except KeyError:
        raise InvalidReport("heatmap handed over: an image names a heatmap that is not among the heatmaps") from None
    ds = header.inherit(list(headers.values()), result.study_instance_uid)
    _describe(ds, result, settings, form)
    moment = header.set_time(ds, now)
    institution = header.institution_of(headers.values())
    header.set_equipment(ds, result.bundle, settings, software_version, moment=moment, institution=institution)
    root = _root(context)
    for element in root:
        ds.add(element)
    header.set_private_scheme(ds, headers.values())
    ds.CurrentRequestedProcedureEvidenceSequence = evidence
    check(ds, OutputKind.REPORT)
    content = header.encode(ds)
    return MadeObject(
        OutputKind.REPORT, ds.SOPClassUID, str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID), content, form.id
    )


def _read(result: StudyResult, sources: Mapping[str, Path]) -> dict[str, Dataset]:
    """The readable headers of the study's instances by SOP Instance UID, in the report's order."""
    headers: dict[str, Dataset] = {}
    for image in ordering.by_eye(result.images):
        uid = image.sop_instance_uid
        if uid in headers or uid not in sources:
            continue
        try:
            headers[uid] = header.read_source(sources[uid])
        except BadInput:
            if image.assessed:
                raise
    if any(image.assessed and image.sop_instance_uid not in headers for image in result.images):
        raise InvalidReport("photographs handed over: an image that was assessed is not among the sources")
    if not headers:
        raise BadInput(Reason(ReasonCode.UNREADABLE_DATASET, "no photograph of the study has a readable header"))
    return headers


def _describe(ds: Dataset, result: StudyResult, settings: ReportSettings, form: Form) -> None:
    """SOP Common, SR Document Series and SR Document General (PS3.3 C.12.1, C.17.1, C.17.2)."""
    ds.SOPClassUID = SR_CLASSES[form.sr_class]
    ds.SOPInstanceUID = derive_uid("report", result.key, form.id)
    ds.SeriesInstanceUID = derive_uid("report series", result.key, form.id)
    ds.Modality = "SR"
    ds.SeriesNumber = settings.series_number
    ds.SeriesDescription = f"{SERIES_NAME} report{'' if result.bundle.trained else ' UNTRAINED'}"
    ds.SeriesDescriptionCodeSequence = [codes.concept(codes.TITLES[form.title])]
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.InstanceNumber = max(1, result.revision)
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"
    ds.ContentQualification = wording.qualification(result.bundle, settings)
    ds.PerformedProcedureCodeSequence = []
    if result.predecessor is not None:
        earlier = result.predecessor
        ds.PredecessorDocumentsSequence = _references(
            result.study_instance_uid,
            [(earlier.series_instance_uid, earlier.sop_class_uid, earlier.sop_instance_uid)],
        )


def _root(context: GroupContext) -> ContentItem:
    result, settings = context.result, context.settings
    warnings = wording.warnings(result.bundle)
    if result.patient_conflict:
        warnings.append(wording.OTHER_PATIENT)
    children = [
        tree.code(codes.LANGUAGE, codes.ENGLISH, Relation.HAS_CONCEPT_MOD),
        *_observer(context),
        tree.code(codes.PROCEDURE_REPORTED, codes.CAMERA_FUNDOSCOPY, Relation.HAS_CONCEPT_MOD),
        *(tree.text(codes.COMMENT, line) for line in warnings),
        urgency_item(result.images, settings),
        *(tree.text(codes.SUMMARY, line) for line in summary(result, settings)),
        *conclusion_containers(context),
        _image_library(context),
        tree.container(codes.IMAGING_MEASUREMENTS, measurement_groups(context)),
        tree.container(
            codes.QUALITATIVE_EVALUATIONS,
            [tree.text(codes.COMMENT, line) for line in remarks(result, settings, context.software_version)],
        ),
    ]
    return tree.container(codes.TITLES[context.form.title], children, "1500", relation=None)


def _observer(context: GroupContext) -> list[ContentItem]:
    """TID 1004: the device that speaks."""
    bundle, settings = context.result.bundle, context.settings
    name = settings.device_name if bundle.trained else f"{settings.device_name} UNTRAINED"
    return [
        tree.code(codes.OBSERVER_TYPE, codes.DEVICE, Relation.HAS_OBS_CONTEXT),
        tree.uid(codes.DEVICE_OBSERVER_UID, header.device_uid(bundle)),
        tree.text(codes.DEVICE_OBSERVER_NAME, name, Relation.HAS_OBS_CONTEXT),
        tree.text(codes.DEVICE_OBSERVER_MANUFACTURER, MANUFACTURER, Relation.HAS_OBS_CONTEXT),
        tree.text(codes.DEVICE_OBSERVER_MODEL_NAME, MODEL_NAME, Relation.HAS_OBS_CONTEXT),
        tree.text(codes.DEVICE_OBSERVER_SERIAL_NUMBER, bundle.digest[:16], Relation.HAS_OBS_CONTEXT),
    ]


def _image_library(context: GroupContext) -> ContentItem:
    """TID 1600 with one group, because some readers see the first group only."""
    entries = []
    seen: set[str] = set()
    for image in ordering.by_eye(context.result.images):
        source = context.sources.get(image.sop_instance_uid)
        if source is not None and image.sop_instance_uid not in seen:
            seen.add(image.sop_instance_uid)
            frames = {i.laterality for i in context.result.images if i.sop_instance_uid == image.sop_instance_uid}
            side = codes.LATERALITY_CODES.get(image.laterality) if len(frames) == 1 and not image.is_context else None
            entries.append(_library_entry(image, source, side))
    return tree.container(codes.IMAGE_LIBRARY, [tree.container(codes.IMAGE_LIBRARY_GROUP, entries)])


def _library_entry(image: ImageResult, source: Dataset, side: Code | None) -> ContentItem:
    """One instance; `side` is the eye that all of its frames show."""
    if "Rows" not in source:
        return tree.composite(codes.SOURCE, image.sop_class_uid, image.sop_instance_uid)
    relation = Relation.HAS_ACQ_CONTEXT
    facts = []
    modality = codes.MODALITIES.get(str(source.get("Modality", "")))
    if modality is not None:
        facts.append(tree.code(codes.MODALITY, modality, relation))
    if side is not None:
        facts.append(tree.code(codes.IMAGE_LATERALITY, side, relation))
    facts += [
        tree.number(name, value, codes.PIXELS, relation)
        for name, keyword in ((codes.ROWS, "Rows"), (codes.COLUMNS, "Columns"))
        if (value := count(source, keyword))
    ]
    date, time = header.acquired(source)
    if date:
        facts.append(tree.date(codes.ACQUISITION_DATE, date, relation))
    if date and time:
        facts.append(tree.time(codes.ACQUISITION_TIME, time, relation))
    entry = tree.image(codes.SOURCE, image.sop_class_uid, image.sop_instance_uid)
    return tree.below(entry, *facts) if facts else entry


def _evidence(context: GroupContext) -> list[Dataset]:
    """Every instance that the tree refers to (PS3.3 C.17.2.3): the photographs and the heatmaps."""
    rows = [(str(ds.SeriesInstanceUID), str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for ds in context.sources.values()]
    for image in ordering.by_eye(context.result.images):
        heatmap = context.heatmap_of(image)
        if heatmap is not None:
            rows.append((heatmap.series_instance_uid, heatmap.sop_class_uid, heatmap.sop_instance_uid))
    return _references(context.result.study_instance_uid, rows)


def _references(study: str, rows: Iterable[tuple[str, str, str]]) -> list[Dataset]:
    """Hierarchical SOP Instance Reference Macro (PS3.3 C.17.2.1) from (series, SOP class, SOP instance)."""
    by_series: dict[str, dict[str, str]] = {}
    for series, sop_class, instance in rows:
        by_series.setdefault(series, {})[instance] = sop_class
    item = Dataset()
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = [_series(series, instances) for series, instances in by_series.items()]
    return [item]


def _series(series_uid: str, instances: Mapping[str, str]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series_uid
    item.ReferencedSOPSequence = [_instance(sop_class, uid) for uid, sop_class in instances.items()]
    return item


def _instance(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = uid
    return item
