"""Parts that several roles are built from: settings in, the stages' own objects out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs import __version__
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.domain.gates import OPEN_FROM_THE_START, GateRules, Rules
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.routes import Form, Routes, Rule, Target
from ocunet_pacs.intake.eligibility import eligibility
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.report.fhir_settings import FhirSettings
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocunet_pacs.domain.gates import Verdict
    from ocunet_pacs.domain.study import ImageHeader
    from ocunet_pacs.settings import Settings


def report_settings(settings: Settings) -> ReportSettings:
    """The part of the settings that changes what a report says."""
    return ReportSettings(
        content_qualification=settings.report.content_qualification,
        include_below_threshold=settings.report.include_below_threshold,
        heatmap_labels=settings.report.heatmap_labels,
        device_name=settings.dicom.ae_title,
        urgencies=tuple(sorted(settings.report.urgencies.items())),
    )


def routes(settings: Settings) -> Routes:
    """Who gets results, in which form, and which studies' results."""
    targets = [
        Target(d.name, Form(d.report_class, d.heatmap_encoding, d.report_title), frozenset(map(OutputKind, d.results)))
        for d in settings.destinations
    ]
    targets += [Target(record.name, kinds=frozenset({OutputKind.FHIR})) for record in settings.records]
    targets += [
        Target(notified.name, kinds=frozenset({OutputKind.NOTICE}), minimum_urgency=notified.minimum_urgency)
        for notified in settings.notifications
    ]
    rules = tuple(
        Rule(
            route.to,
            frozenset(route.sources),
            frozenset(route.stations),
            route.minimum_urgency,
            frozenset(map(OutputKind, route.results)),
        )
        for route in settings.routes
    )
    return Routes(tuple(targets), rules)


def reports(settings: Settings) -> Reports:
    """What makes the results that the destinations of these settings take."""
    records = {
        record.name: FhirSettings(
            include_patient_name=record.patient_name,
            patient_system=record.patient_system,
            accession_system=record.accession_system,
            resolve_patient=record.resolve_patient,
            dicomweb_url=record.dicomweb_url,
        )
        for record in settings.records
    }
    notices = {notified.name: notified.include for notified in settings.notifications}
    return Reports(report_settings(settings), utc_now, __version__, routes(settings), records=records, notices=notices)


def gate_rules(settings: Settings) -> Rules:
    """The site's gates: a source's own word outweighs what is said for all, and that outweighs how gates are at first.

    Sources, archives and watched folders with a word of their own have rules of their own, under their names.
    """
    site = settings.eligibility
    opened = (OPEN_FROM_THE_START | frozenset(site.open)) - frozenset(site.close)
    everybody = GateRules(opened, minimum_age=site.minimum_age, widest_field=site.widest_field)
    sources = {
        source.name: GateRules(
            (opened | frozenset(source.open)) - frozenset(source.close),
            frozenset(source.open),
            site.minimum_age,
            site.widest_field,
        )
        for source in settings.origins
        if source.open or source.close
    }
    return Rules(everybody, sources)


def eligibility_by(rules: Rules) -> Callable[[ImageHeader, str], Verdict]:
    """What the pipeline asks: header and name of the source in, the verdict of that source's rules out."""
    return lambda header, source: eligibility(header, rules.of(source))


def load_predictor(settings: Settings) -> Predictor:
    """The bundle of the settings on their device. UntrainedBundle, BundleError."""
    return Predictor.load(
        settings.model.bundle,
        device=settings.model.device,
        allow_untrained=settings.model.allow_untrained,
        batch_size=None if settings.model.batch_size == "auto" else settings.model.batch_size,
        operating_point=settings.model.operating_point,
    )
