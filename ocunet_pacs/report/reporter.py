"""The `Reporter` port: results to valid objects."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from pydicom import dcmread

from ocunet_pacs.domain.result import MadeObject, OutputKind, derive_uid
from ocunet_pacs.domain.routes import UNCOMPRESSED, Form, Routes
from ocunet_pacs.report.encapsulated_pdf import build_pdf
from ocunet_pacs.report.fhir import build_fhir
from ocunet_pacs.report.grayscale_map import build_map
from ocunet_pacs.report.header import station_of
from ocunet_pacs.report.notice import build_notice
from ocunet_pacs.report.secondary_capture import build_heatmap, build_heatmaps, heatmap_uid
from ocunet_pacs.report.structured_report import build_report
from ocunet_pacs.report.urgency import study_urgency

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import (
        BundleRef,
        Classification,
        ImageResult,
        Output,
        Photograph,
        StudyResult,
    )
    from ocunet_pacs.report.fhir_settings import FhirSettings
    from ocunet_pacs.report.report_settings import ReportSettings

_USUAL = Form()


class Reports:
    """Makes, checks and encodes what the destinations of `routes` take.

    `clock` gives aware times; nothing else here depends on time.
    """

    def __init__(
        self,
        settings: ReportSettings,
        clock: Callable[[], datetime],
        software_version: str,
        routes: Routes | None = None,
        *,
        records: Mapping[str, FhirSettings] | None = None,
        notices: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """`records`: record systems by name; `notices`: what each that is notified may know (see `notice.KEYWORDS`)."""
        self._records = records or {}
        self._notices = notices or {}
        self._settings = settings
        self._clock = clock
        self._software_version = software_version
        self._routes = routes or Routes()

    @property
    def settings_digest(self) -> str:
        """sha256 (hex) over all that changes what a report says or looks like, the template's version included."""
        return f"{self._settings.digest} {self._routes.digest}"

    def heatmap_uid(self, image: ImageResult, bundle: BundleRef) -> str:
        """Stands for the heatmap of this image in every encoding: the same for the same image, bundle and settings."""
        return heatmap_uid(image, bundle, self._settings)

    def pictures(
        self,
        image: ImageResult,
        photograph: Photograph,
        classification: Classification,
        bundle: BundleRef,
        source: Path,
    ) -> list[MadeObject]:
        """The photograph with the explanation of its leading positive labels, once an encoding; and the map.

        ValueError when the image has no positive label, BadInput when `source` cannot be read, InvalidReport when an
        object would break a rule.
        """
        known = (image, photograph, classification, bundle, source)
        now, version = self._clock(), self._software_version
        encodings = sorted(self._routes.encodings)
        made = build_heatmaps(*known, encodings=encodings, settings=self._settings, now=now, software_version=version)
        if self._routes.wants(OutputKind.MAP):
            made.append(build_map(*known, settings=self._settings, now=now, software_version=version))
        return made

    def heatmap(
        self,
        image: ImageResult,
        photograph: Photograph,
        classification: Classification,
        bundle: BundleRef,
        source: Path,
        *,
        encoding: str = UNCOMPRESSED,
    ) -> MadeObject:
        """The heatmap in one encoding; errors as `pictures`."""
        return build_heatmap(
            image,
            photograph,
            classification,
            bundle,
            source,
            encoding=encoding,
            settings=self._settings,
            now=self._clock(),
            software_version=self._software_version,
        )

    def urgency(self, result: StudyResult) -> Urgency:
        """The highest urgency of review that the study's findings suggest."""
        return study_urgency(result.images, self._settings)

    def report(
        self, result: StudyResult, sources: Mapping[str, Path], pictures: Mapping[str, Output], form: Form = _USUAL
    ) -> MadeObject:
        """The study's report, also when no image was assessed. BadInput, InvalidReport as `build_report`."""
        return build_report(
            result,
            sources,
            pictures,
            settings=self._settings,
            form=form,
            now=self._clock(),
            software_version=self._software_version,
        )

    def pdf(self, report: MadeObject, pictures: Mapping[str, Path]) -> MadeObject:
        """The report with its heatmaps as a document to file; InvalidReport when it would break a rule."""
        return replace(build_pdf(report.content, pictures, settings=self._settings), form=report.form)

    def fhir(self, result: StudyResult, report: MadeObject, destination: str) -> MadeObject:
        """The report for a record system."""
        content = build_fhir(
            result,
            dcmread(io.BytesIO(report.content)),
            settings=self._records[destination],
            report_settings=self._settings,
            now=self._clock(),
        )
        return MadeObject(OutputKind.FHIR, "", derive_uid("fhir document", result.key, destination), "", content)

    def notice(
        self, result: StudyResult, report: MadeObject, sources: Mapping[str, Path], destination: str
    ) -> MadeObject:
        """Word of an urgent study for one destination, with no more than it may know."""
        include = self._notices[destination]
        told = dcmread(io.BytesIO(report.content))
        # The report has what any photograph says of patient and order; the station is the camera's, not ours.
        told.StationName = station_of(sources.values()) if "station_name" in include else ""
        content = build_notice(
            result,
            report.sop_instance_uid,
            study_header=told,
            include=include,
            settings=self._settings,
            now=self._clock(),
            software_version=self._software_version,
        )
        return MadeObject(OutputKind.NOTICE, "", derive_uid("notice document", result.key, destination), "", content)
