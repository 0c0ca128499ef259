"""Parts that several roles are built from: settings in, the stages' own objects out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.report.report_settings import ReportSettings

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings


def report_settings(settings: Settings) -> ReportSettings:
    """The part of the settings that changes what a report says."""
    return ReportSettings(
        content_qualification=settings.report.content_qualification,
        include_below_threshold=settings.report.include_below_threshold,
        heatmap_labels=settings.report.heatmap_labels,
        device_name=settings.dicom.ae_title,
    )


def load_predictor(settings: Settings) -> Predictor:
    """The bundle of the settings on their device. UntrainedBundle, BundleError."""
    return Predictor.load(
        settings.model.bundle,
        device=settings.model.device,
        allow_untrained=settings.model.allow_untrained,
        batch_size=None if settings.model.batch_size == "auto" else settings.model.batch_size,
        operating_point=settings.model.operating_point,
    )
