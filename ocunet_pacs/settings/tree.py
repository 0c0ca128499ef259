"""All of the settings together, and what must hold between sections."""

from __future__ import annotations

from pydantic import Field, model_validator

from ocunet_pacs.settings.console import Console
from ocunet_pacs.settings.intake import Archive, Backfill, Eligibility, Retention, Source, Stow, Tls, WatchFolder
from ocunet_pacs.settings.kinds import Section
from ocunet_pacs.settings.outgoing import Destination, Notification, RecordSystem, Report, Route
from ocunet_pacs.settings.sections import (
    Assembly,
    Audit,
    Database,
    Dicom,
    Drift,
    Jobs,
    Logging,
    Metrics,
    Model,
    Shadow,
    Store,
)


class Settings(Section):
    """All of it. Frozen: a reload puts another in its place (`changing.py`)."""

    dicom: Dicom = Dicom()
    tls: Tls = Tls()
    sources: tuple[Source, ...] = Field(
        default=(), description="who sends, and what is different for each; the first that fits counts"
    )
    database: Database = Database()
    store: Store = Store()
    retention: Retention = Retention()
    model: Model = Model()
    shadow: Shadow = Shadow()
    drift: Drift = Drift()
    eligibility: Eligibility = Eligibility()
    assembly: Assembly = Assembly()
    report: Report = Report()
    destinations: tuple[Destination, ...] = Field(
        default=(), description="where results are sent; without any they stay in the store"
    )
    routes: tuple[Route, ...] = Field(
        default=(), description="which studies go where; a destination that no route names gets all of them"
    )
    notifications: tuple[Notification, ...] = Field(
        default=(), description="who is told of urgent studies, by webhook or e-mail"
    )
    records: tuple[RecordSystem, ...] = Field(
        default=(), description="record systems that get reports as FHIR R4 resources"
    )
    archives: tuple[Archive, ...] = Field(
        default=(), description="where `ocunet-pacs backfill` can fetch past studies from"
    )
    backfill: Backfill = Backfill()
    stow: Stow = Stow()
    watch: tuple[WatchFolder, ...] = Field(
        default=(), description="folders in which cameras that only export files leave their pictures"
    )
    jobs: Jobs = Jobs()
    console: Console = Console()
    metrics: Metrics = Metrics()
    logging: Logging = Logging()
    audit: Audit = Audit()

    @property
    def outgoing(self) -> tuple[Destination | Notification | RecordSystem, ...]:
        """Everything that results may go to, by names that are all different."""
        return (*self.destinations, *self.notifications, *self.records)

    @property
    def origins(self) -> tuple[Source | Archive | WatchFolder, ...]:
        """Everything by whose name an image may have come; of two with one name the last is the sender."""
        return (*self.watch, *self.archives, *self.sources)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        if len({item.name for item in self.outgoing}) != len(self.outgoing):
            raise ValueError("destinations, notifications, records: every one needs a name of its own")
        for section in ("sources", "archives", "watch"):
            names = [item.name for item in getattr(self, section)]
            if len(set(names)) != len(names):
                raise ValueError(f"{section}: every one needs a name of its own")
        folders = [folder.path for folder in self.watch]
        if len(set(folders)) != len(folders):
            raise ValueError("watch: every one needs a folder of its own")
        return self

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Settings:
        unknown = sorted({name for route in self.routes for name in route.to} - {item.name for item in self.outgoing})
        if unknown:
            raise ValueError(f"routes: there is no destination named {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _shared_port_has_a_number(self) -> Settings:
        if self.dicom.processes > 1:
            if self.dicom.port == 0 and (self.tls.plain or not self.tls.enabled):
                raise ValueError("dicom.port: several dicom.processes share a port, which needs a number")
            if self.tls.port == 0 and self.tls.enabled:
                raise ValueError("tls.port: several dicom.processes share a port, which needs a number")
        return self
