"""The sections of the settings that concern the whole product, from the network to the logs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ocunet_pacs.settings.kinds import AETitle, Auto, Duration, Name, Port, Section, Size, TimeOfDay, database_url


class Dicom(Section):
    """Our own application entity: what a camera or PACS is pointed at."""

    ae_title: AETitle = Field(
        default="OCUNET", description="our AE title; senders call it and destinations see it as caller"
    )
    host: str = Field(default="0.0.0.0", description="address to listen on; 127.0.0.1 keeps it on this machine")  # noqa: S104
    port: Port = Field(default=11112, description="port to listen on; 0 takes a free one")
    check_called_ae_title: bool = Field(default=True, description="reject senders that call another AE title than ours")
    only_listed_sources: bool = Field(default=False, description="reject senders that are not among `sources`")
    processes: int = Field(
        default=1, ge=1, le=64, description="processes that share the port, for many senders at once"
    )
    max_associations: int = Field(
        default=64, ge=1, description="associations served at once by a process; more are rejected as congested"
    )
    idle_timeout: Duration = Field(
        default="60s", validate_default=True, description="a silent peer is cut off after this"
    )


class Database(Section):
    """Where the rows live."""

    url: Annotated[str, AfterValidator(database_url)] = Field(
        default="sqlite:///var/lib/ocunet-pacs/ocunet.db",
        validate_default=True,
        description="sqlite:///absolute/path.db, or postgresql://user:password@host/name",
    )


class Store(Section):
    """Where the files live; patient data, so keep it on a disk of your own."""

    path: Path = Field(default=Path("/var/lib/ocunet-pacs/store"), description="folder for received images and results")
    min_free: Size = Field(
        default="1 GiB", validate_default=True, description="below this C-STORE answers 0xA700, out of resources"
    )


class Model(Section):
    """Which weights, and where they run."""

    bundle: Path = Field(default=Path("/var/lib/ocunet-pacs/bundles/active"), description="folder of the model bundle")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda:N")
    allow_untrained: bool = Field(
        default=False, description="run a bundle without training (tests and demonstrations only)"
    )
    operating_point: Name = Field(
        default="default",
        description="which of the bundle's threshold sets counts as positive; `model show` lists them",
    )
    studies_at_once: Auto = Field(
        default="auto", description="studies analysed side by side, whose photographs share passes; auto: 2, on a GPU 8"
    )
    batch_size: Auto = Field(
        default="auto", description="photographs in one pass of the network at most; auto: 4, on a GPU 32"
    )
    batch_wait: Duration = Field(
        default="10ms", validate_default=True, description="how long a photograph waits for others to share its pass"
    )
    hung_after: Duration = Field(
        default="2m",
        validate_default=True,
        description="a pass that takes longer means a hung device: the worker restarts",
    )
    decoders: Auto = Field(
        default="auto", description="processes that decode and prepare photographs; auto: one a processor, 16 at most"
    )
    decode_timeout: Duration = Field(
        default="60s", validate_default=True, description="a picture that takes longer is given up, with a reason"
    )
    decode_memory: Size = Field(
        default="3 GiB", validate_default=True, description="a picture that needs more is given up, with a reason"
    )


class Shadow(Section):
    """A candidate bundle beside the active one: it looks at what was reported, and nobody is told what it says."""

    bundle: Path | None = Field(default=None, description="folder of the candidate's bundle; null: there is none")
    device: str = Field(
        default="cpu",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="cpu, cuda:N or auto; on a GPU that the active bundle uses it takes memory and time from it",
    )
    operating_point: Name = Field(default="default", description="which of the candidate's threshold sets counts")
    allow_untrained: bool = Field(default=False, description="let a bundle without training be the candidate (tests)")
    look_back: Duration = Field(
        default="14d",
        validate_default=True,
        description="studies reported up to this long ago are looked at, the newest first, while their files are here",
    )
    keep: Duration = Field(default="180d", validate_default=True, description="what it said is removed after this")
    give_way: bool = Field(
        default=True, description="do nothing while an analysis runs or is due, anywhere; false on a host of its own"
    )
    attempts: int = Field(default=3, ge=1, description="tries of one study before it is given up")
    batch_size: int = Field(
        default=1, ge=1, le=256, description="photographs in one pass of the network; a patient waits for one at most"
    )
    decoders: int = Field(default=1, ge=1, le=16, description="processes that decode and prepare photographs for it")
    memory: Size = Field(
        default="8 GiB", validate_default=True, description="memory for its data; past it, it ends and starts again"
    )

    @model_validator(mode="after")
    def _keeps_what_it_looks_back_to(self) -> Shadow:
        if self.keep <= self.look_back:
            raise ValueError("keep must be longer than look_back, or the candidate would look at a study again")
        return self


class Drift(Section):
    """Every night each camera's photographs beside what they were like: a dirty lens, a new camera; docs/drift.md."""

    enabled: bool = Field(default=True, description="keep what is measured of photographs, and compare it every night")
    at: TimeOfDay = Field(
        default="02:30", description="when, local time; where it could not run then, as soon as it can"
    )
    index: float = Field(
        default=0.25, ge=0.01, allow_inf_nan=False, description="population stability index that counts as a change"
    )
    chance: float = Field(
        default=0.001, gt=0, le=0.05, description="probability of a false alert for one camera in one night"
    )
    patients: int = Field(default=20, ge=10, description="how many patients it takes to compare")
    window: Duration = Field(
        default="7d",
        validate_default=True,
        description="so long ago are photographs taken together until that many are",
    )
    reference_photographs: int = Field(
        default=200, ge=50, description="photographs that make a camera's reference, at least"
    )
    reference_days: int = Field(default=7, ge=2, description="on how many days they must have been taken, at least")
    keep: Duration = Field(
        default="35d", validate_default=True, description="what was measured of a photograph is removed after this"
    )
    keep_nights: Duration = Field(
        default="400d", validate_default=True, description="what nights found is removed after this"
    )

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Drift:
        if self.keep < max(self.window, timedelta(days=self.reference_days)):
            raise ValueError("keep must be as long as window and reference_days, or there is nothing to compare")
        return self


class Assembly(Section):
    """When a study counts as complete. C-STORE never says so; a later image makes a new revision of the report."""

    quiet_period: Duration = Field(
        default="10s", validate_default=True, description="no image for this long closes the study"
    )
    force_after: Duration = Field(
        default="10m", validate_default=True, description="a study is closed after this even when images still come"
    )
    close_on_release: bool = Field(
        default=False, description="the end of the association closes the study: for senders that send a study in one"
    )


class Jobs(Section):
    """How work is retried."""

    lease: Duration = Field(
        default="5m", validate_default=True, description="a worker that is silent for this long loses its job"
    )
    analysis_attempts: int = Field(default=5, ge=1, description="tries of one analysis before it waits for a person")
    delivery_attempts: int = Field(
        default=48,
        ge=1,
        description="refusals of one delivery, over more than a day, before it waits for a person; a PACS that is down "
        "costs none",
    )
    unavailable_delay: Duration = Field(
        default="2m",
        validate_default=True,
        description="longest wait before a PACS that did not answer is tried again; the first waits are shorter",
    )
    poll_interval: Duration = Field(
        default="250ms", validate_default=True, description="how often an idle worker looks for work"
    )


class Metrics(Section):
    """What monitoring asks: /metrics for Prometheus, /live and /ready; never patient data."""

    host: str = Field(default="127.0.0.1", description="address to listen on; the default stays on this machine")
    port: Port = Field(default=9464, description="port of /metrics, /live and /ready; 0: none")


class Logging(Section):
    """What is written to standard error; never patient data."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="json, console, or auto: console on a terminal, else json"
    )
    study_uids: bool = Field(
        default=False, description="name studies by their Study Instance UIDs too; else by a digest alone"
    )


class Audit(Section):
    """The audit trail (PS3.15 A.5): DICOM audit messages to a syslog server or a file; see docs/audit.md."""

    to: Literal["none", "file", "udp", "tls"] = Field(
        default="none", description="where messages go: none (no audit trail), file, udp or tls (a syslog server)"
    )
    file: Path = Field(default=Path("/var/lib/ocunet-pacs/audit.xml"), description="with file: one message a line")
    host: str | None = Field(default=None, description="with udp and tls: the syslog server")
    port: Port | None = Field(default=None, description="its port; null: 514 with udp, 6514 with tls")
    tls_authority: Path | None = Field(
        default=None, description="PEM file of the authorities that vouch for the server; null: the system's"
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file of our certificate, where it wants one")
    tls_key: Path | None = Field(default=None, description="PEM file of its private key; null: in the same file")
    tls_check_host: bool = Field(default=True, description="the server's certificate must name its host")
    facility: int = Field(default=10, ge=0, le=23, description="syslog facility; 10 is security and authorization")
    source: str | None = Field(default=None, min_length=1, description="AuditSourceID; null: our AE title")
    site: str = Field(
        default="", description="AuditEnterpriseSiteID: what tells this site from others; empty: left out"
    )
    patients: Literal["pseudonym", "id"] = Field(
        default="pseudonym", description="how messages name patients: a pseudonym of this store, or their Patient ID"
    )
    keep: Size = Field(
        default="64 MiB",
        validate_default=True,
        ge=1 << 16,
        description="room for messages that wait for the server, for each process; later ones are dropped",
    )

    @model_validator(mode="after")
    def _has_a_server(self) -> Audit:
        if self.to in {"udp", "tls"} and not self.host:
            raise ValueError(f"audit.host is needed where audit.to is {self.to}")
        return self
