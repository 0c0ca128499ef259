"""What is made of a finished study, and for whom: each form of the report once, and what goes with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.result import Addressed, Output, OutputKind, Predecessor
from ocunet_pacs.domain.routes import NO_HEATMAP, UNCOMPRESSED, Form, shown_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.ports import FileStore, Reporter
    from ocunet_pacs.domain.result import MadeObject, StudyResult
    from ocunet_pacs.domain.routes import Target


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the study's last report was: its forms, and how urgent it was."""

    reports: tuple[Output, ...] = ()
    urgency: Urgency | None = None


@dataclass(slots=True)
class Making:
    """Makes the results of one revision and stores them. `pictures` are stored already, by their UID."""

    result: StudyResult
    sources: Mapping[str, Path]
    pictures: Mapping[str, Output]
    earlier: Earlier
    reporter: Reporter
    files: FileStore
    store: Callable[[MadeObject], Output]
    _reports: dict[Form, MadeObject] = field(default_factory=dict)

    def all(self, plan: Sequence[Target], urgency: Urgency) -> list[Addressed]:
        """Everything that the destinations of `plan` get, each with their names; at least one report.

        InvalidReport when something would break a rule: then nothing of the study goes out.
        """
        outputs = [Addressed(picture, self._takers(plan, picture)) for picture in self.pictures.values()]
        forms = dict.fromkeys(t.form for t in plan if OutputKind.REPORT in t.kinds)
        for form in forms or (self._for_the_store(),):
            made = self._report(form)
            outputs.append(self._addressed(made, (t.name for t in _taking(OutputKind.REPORT, plan) if t.form == form)))
        shown = dict.fromkeys(shown_form(t.form) for t in _taking(OutputKind.PDF, plan))
        for form in shown:
            pdf = self.reporter.pdf(self._report(form), self._files())
            takers = (t.name for t in _taking(OutputKind.PDF, plan) if shown_form(t.form) == form)
            outputs.append(self._addressed(pdf, takers))
        report = next(iter(self._reports.values()))
        documents = {t.name: self.reporter.fhir(self.result, report, t.name) for t in _taking(OutputKind.FHIR, plan)}
        if self._is_news(urgency):
            documents |= {
                t.name: self.reporter.notice(self.result, report, self.sources, t.name)
                for t in _taking(OutputKind.NOTICE, plan)
            }
        return outputs + [self._addressed(made, [name]) for name, made in documents.items()]

    def _is_news(self, urgency: Urgency) -> bool:
        """Word is given once: a revision that is no more urgent than the report before it gives none.

        Nobody is called for what weights without training say.
        """
        return self.result.bundle.trained and self._rose(urgency)

    def _rose(self, urgency: Urgency) -> bool:
        return self.earlier.urgency is None or urgency.rank > self.earlier.urgency.rank

    def _for_the_store(self) -> Form:
        """The form of a report that no destination gets: with heatmaps that were made, where some were."""
        made = {picture.form for picture in self.pictures.values() if picture.kind is OutputKind.HEATMAP}
        return Form(heatmap=UNCOMPRESSED if UNCOMPRESSED in made else min(made, default=NO_HEATMAP))

    def _report(self, form: Form) -> MadeObject:
        if form not in self._reports:
            mine = replace(self.result, predecessor=predecessor(self.earlier.reports, form))
            self._reports[form] = self.reporter.report(mine, self.sources, self.pictures, form)
        return self._reports[form]

    def _takers(self, plan: Sequence[Target], picture: Output) -> tuple[str, ...]:
        taking = _taking(picture.kind, plan)
        return tuple(t.name for t in taking if picture.kind is OutputKind.MAP or t.form.heatmap == picture.form)

    def _files(self) -> dict[str, Path]:
        return {uid: self.files.path(picture.file_key) for uid, picture in self.pictures.items()}

    def _addressed(self, made: MadeObject, destinations: Iterable[str]) -> Addressed:
        return Addressed(self.store(made), tuple(destinations))


def predecessor(reports: Sequence[Output], form: Form) -> Predecessor | None:
    """The report that one in this form replaces: of the same form, where there was one."""
    if not reports:
        return None
    report = next((output for output in reports if output.form == form.id), reports[0])
    return Predecessor(report.sop_class_uid, report.sop_instance_uid, report.series_instance_uid)


def _taking(kind: OutputKind, plan: Sequence[Target]) -> list[Target]:
    return [target for target in plan if kind in target.kinds]
