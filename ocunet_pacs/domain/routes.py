"""Which results go where, and in which form.

A form is how a destination takes reports: their SOP class, and the encoding of the heatmaps beside them. Of a study the
forms are made that its destinations want, each once. Rules say which studies a destination gets.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import OutputKind

UNCOMPRESSED, JPEG, NO_HEATMAP = "uncompressed", "jpeg", ""
USUAL_TITLE = "measurement-report"


@dataclass(frozen=True, slots=True)
class Form:
    """How a report is made: `sr_class` is a key of `report.report_settings.SR_CLASSES`.

    `heatmap` is the encoding of the heatmaps that it refers to; NO_HEATMAP where the destination gets none. `title` is
    a key of `report.codes.TITLES`.
    """

    sr_class: str = "comprehensive-3d"
    heatmap: str = UNCOMPRESSED
    title: str = USUAL_TITLE

    @property
    def id(self) -> str:
        """A short name of its own; UIDs and rows hold it."""
        title = "" if self.title == USUAL_TITLE else f"/{self.title}"
        return f"{self.sr_class}/{self.heatmap or 'none'}{title}"


def shown_form(form: Form) -> Form:
    """The form of the report that a PDF shows: with heatmaps, also where the destination gets none of them by DICOM."""
    return form if form.heatmap else replace(form, heatmap=UNCOMPRESSED)


@dataclass(frozen=True, slots=True)
class Target:
    """One destination: what it takes (`kinds`), in which form, and from which urgency on."""

    name: str
    form: Form = Form()
    kinds: frozenset[OutputKind] = frozenset({OutputKind.REPORT, OutputKind.HEATMAP})
    minimum_urgency: Urgency = Urgency.NONE


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What rules may ask of a study. `sources`: names in the settings and AE titles of whoever sent its images."""

    sources: frozenset[str] = frozenset()
    stations: frozenset[str] = frozenset()
    """Station Names (0008,1010) of its images."""
    urgency: Urgency = Urgency.NONE


@dataclass(frozen=True, slots=True)
class Rule:
    """Which studies, and what of them, go to the destinations `to`. What is empty asks for nothing."""

    to: tuple[str, ...]
    sources: frozenset[str] = frozenset()
    stations: frozenset[str] = frozenset()
    minimum_urgency: Urgency = Urgency.NONE
    results: frozenset[OutputKind] = frozenset()

    def fits(self, study: StudyFacts) -> bool:
        """Whether the study is one of those."""
        return (
            (not self.sources or bool(self.sources & study.sources))
            and (not self.stations or bool(self.stations & study.stations))
            and study.urgency.rank >= self.minimum_urgency.rank
        )


@dataclass(frozen=True, slots=True)
class Routes:
    """All destinations, and the rules. A destination that no rule names gets every study."""

    targets: tuple[Target, ...] = ()
    rules: tuple[Rule, ...] = ()
    _ruled: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ruled", frozenset(name for rule in self.rules for name in rule.to))

    def plan(self, study: StudyFacts) -> list[Target]:
        """The destinations of this study, each with the kinds that it gets of it and the form that this leaves.

        A report refers to heatmaps only where the destination gets them too.
        """
        planned = []
        for target in self.targets:
            kinds = target.kinds if study.urgency.rank >= target.minimum_urgency.rank else frozenset()
            if target.name in self._ruled:
                allowed: frozenset[OutputKind] = frozenset()
                for rule in self.rules:
                    if target.name in rule.to and rule.fits(study):
                        allowed |= rule.results or target.kinds
                kinds &= allowed
            if not kinds:
                continue
            form = target.form if OutputKind.HEATMAP in kinds else replace(target.form, heatmap=NO_HEATMAP)
            planned.append(replace(target, kinds=kinds, form=form))
        return planned

    @property
    def encodings(self) -> frozenset[str]:
        """The encodings in which heatmaps are made: those that some destination may get, alone or inside a PDF.

        Without any destination uncompressed, for the store.
        """
        wanted = {t.form.heatmap for t in self.targets if OutputKind.HEATMAP in t.kinds} - {NO_HEATMAP}
        shown = {shown_form(t.form).heatmap for t in self.targets if OutputKind.PDF in t.kinds}
        return frozenset(wanted | shown) if self.targets else frozenset({UNCOMPRESSED})

    def wants(self, kind: OutputKind) -> bool:
        """Whether some destination takes objects of this kind."""
        return any(kind in target.kinds for target in self.targets)

    @property
    def digest(self) -> str:
        """sha256 (hex) over everything that decides which objects are made; names and rules of the way do not."""
        forms = sorted({(*sorted(t.kinds), *asdict(t.form).values()) for t in self.targets})
        return hashlib.sha256(json.dumps(forms).encode()).hexdigest()
