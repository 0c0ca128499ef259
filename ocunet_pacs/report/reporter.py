"""The `Reporter` port: results to valid DICOM objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.report.secondary_capture import build_heatmap, heatmap_uid
from ocunet_pacs.report.structured_report import build_report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from ocunet_pacs.domain.result import (
        BundleRef,
        Classification,
        MadeObject,
        ImageResult,
        Output,
        Photograph,
        StudyResult,
    )
    from ocunet_pacs.report.report_settings import ReportSettings


class Reports:
    """Makes, checks and encodes reports and heatmaps. `clock` gives aware times; nothing else here depends on time."""

    def __init__(self, settings: ReportSettings, clock: Callable[[], datetime], software_version: str) -> None:
        self._settings = settings
        self._clock = clock
        self._software_version = software_version

    @property
    def settings_digest(self) -> str:
        """sha256 (hex) over all that changes what a report says or looks like, the template's version included."""
        return self._settings.digest

    def heatmap_uid(self, image: ImageResult, bundle: BundleRef) -> str:
        """SOP Instance UID of this image's heatmap: the same for the same image, bundle and settings."""
        return heatmap_uid(image, bundle, self._settings)

    def heatmap(
        self,
        image: ImageResult,
        photograph: Photograph,
        classification: Classification,
        bundle: BundleRef,
        source: Path,
    ) -> MadeObject:
        """The photograph with the explanation of its leading positive labels.

        ValueError when the image has no positive label, BadInput when `source` cannot be read, InvalidReport when the
        object would break a rule.
        """
        return build_heatmap(
            image,
            photograph,
            classification,
            bundle,
            source,
            settings=self._settings,
            now=self._clock(),
            software_version=self._software_version,
        )

    def report(self, result: StudyResult, sources: Mapping[str, Path], heatmaps: Mapping[str, Output]) -> MadeObject:
        """The study's report, also when no image was assessed. BadInput, InvalidReport as `build_report`."""
        return build_report(
            result,
            sources,
            heatmaps,
            settings=self._settings,
            now=self._clock(),
            software_version=self._software_version,
        )
