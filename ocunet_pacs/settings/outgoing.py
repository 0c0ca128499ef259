"""The sections of the settings that concern what goes out: destinations, routes, notifications, record systems."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ocunet_pacs.domain.labels import BY_NAME, Urgency
from ocunet_pacs.settings.kinds import AETitle, Duration, Name, Port, Section

NOTICE_FIELDS = ("study_instance_uid", "accession_number", "patient_id", "patient_name", "station_name")
Result = Literal["report", "heatmap", "map", "pdf"]


def _is_web(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("expected an address such as https://host/path, without user, query or fragment")
    return value.rstrip("/")


class Report(Section):
    """What the results say."""

    content_qualification: Literal["RESEARCH", "PRODUCT", "SERVICE"] = Field(
        default="RESEARCH", description="Content Qualification (0018,9004): RESEARCH, PRODUCT or SERVICE"
    )
    include_below_threshold: bool = Field(
        default=False, description="report the probabilities of labels below their threshold too"
    )
    nothing_eligible: bool = Field(
        default=True, description="report a study in which no image could be assessed, once, with the reasons"
    )
    heatmap_labels: int = Field(default=3, ge=1, le=6, description="leading positive labels explained in one heatmap")
    urgencies: dict[str, Urgency] = Field(
        default={},
        description="urgency of review by label instead of docs/report.md's, for example {ODC: soon}; "
        f"{', '.join(Urgency)}",
    )

    @field_validator("urgencies")
    @classmethod
    def _labels_are_known(cls, value: dict[str, Urgency]) -> dict[str, Urgency]:
        unknown = sorted(set(value) - set(BY_NAME))
        if unknown:
            raise ValueError(f"unknown labels: {', '.join(unknown)}")
        return value


class Destination(Section):
    """One PACS that the results go to: by DICOM (ae_title, host, port) or by the web (url)."""

    example: ClassVar[dict[str, str]] = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": "4242"}

    name: Name = Field(description="short name, used in commands and logs")
    ae_title: AETitle | None = Field(default=None, description="AE title of the destination")
    host: str | None = Field(default=None, description="host name or address")
    port: Port | None = Field(default=None, description="port")
    timeout: Duration = Field(default="30s", validate_default=True, description="how long it may stay silent")
    results: tuple[Result, ...] = Field(
        default=("report", "heatmap"), min_length=1, description="what it gets: report, heatmap, map, pdf"
    )
    report_class: Literal["comprehensive-3d", "comprehensive", "enhanced"] = Field(
        default="comprehensive-3d",
        description="SOP class of its reports; older archives need comprehensive or enhanced",
    )
    report_title: Literal["measurement-report", "imaging-report"] = Field(
        default="measurement-report",
        description="title of its reports; OHIF shows the text of an imaging-report only (docs/viewers.md)",
    )
    heatmap_encoding: Literal["uncompressed", "jpeg"] = Field(
        default="uncompressed", description="encoding of its heatmaps: uncompressed, or jpeg (a tenth of the size)"
    )
    commitment: bool = Field(
        default=False, description="ask it to commit to what it stored; results count as delivered only then"
    )
    commitment_timeout: Duration = Field(
        default="1h", validate_default=True, description="an answer that is not there by then is asked for again"
    )
    tls: bool = Field(default=False, description="speak TLS with it")
    tls_authority: Path | None = Field(
        default=None, description="PEM file of the authorities that vouch for it; null: the system's"
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file of our certificate, where it asks for one")
    tls_key: Path | None = Field(default=None, description="PEM file of its private key")
    tls_check_host: bool = Field(default=True, description="its certificate must name the host")
    url: str | None = Field(default=None, description="address of its DICOMweb service, for STOW-RS instead of C-STORE")
    token: str | None = Field(
        default=None, repr=False, description="Bearer token for the url; best given as credential destinations.0.token"
    )

    _web = field_validator("url")(_is_web)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Destination:
        if self.url is None:
            missing = [key for key in ("ae_title", "host", "port") if getattr(self, key) is None]
            if missing:
                raise ValueError(f"{self.name}: {', '.join(missing)} missing (or give a url, for STOW-RS)")
        elif self.ae_title is not None or self.host is not None or self.port is not None:
            raise ValueError(f"{self.name}: give ae_title, host and port, or a url, not both")
        elif self.commitment:
            raise ValueError(f"{self.name}: storage commitment is of DICOM, a url has none")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{self.name}: tls_certificate and tls_key belong together")
        return self


class Route(Section):
    """Studies that a destination gets. One that no route names gets all of them."""

    example: ClassVar[dict[str, str]] = {"to": "[pacs]", "minimum_urgency": "urgent"}

    to: tuple[Name, ...] = Field(min_length=1, description="names of destinations, notifications or record systems")
    sources: tuple[str, ...] = Field(
        default=(), description="only studies from these sources, by name or calling AE title; empty: from any"
    )
    stations: tuple[str, ...] = Field(
        default=(), description="only studies with these Station Names (0008,1010); empty: with any"
    )
    minimum_urgency: Urgency = Field(default=Urgency.NONE, description=f"only studies from {', '.join(Urgency)} on")
    results: tuple[Result, ...] = Field(
        default=(), description="only these results, of those that it gets; empty: all of them"
    )


class Notification(Section):
    """Word of urgent studies, by webhook (url) or e-mail (mail_to)."""

    example: ClassVar[dict[str, str]] = {
        "name": "on-call",
        "url": "https://pager.example/hook",
        "secret": "sixteen-characters-or-more",
    }

    name: Name = Field(description="short name, used in commands and logs")
    minimum_urgency: Urgency = Field(default=Urgency.URGENT, description="from which urgency on word is given")
    include: tuple[Literal[NOTICE_FIELDS], ...] = Field(  # type: ignore[valid-type]
        default=(),
        description=f"what may be told of study and patient besides the findings: {', '.join(NOTICE_FIELDS)}",
    )
    url: str | None = Field(default=None, description="where to POST the notice")
    secret: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        description="key of the notice's HMAC signature; best given as credential notifications.0.secret",
    )
    mail_to: tuple[str, ...] = Field(default=(), description="e-mail addresses instead of a url")
    mail_from: str = Field(default="ocunet-pacs@localhost", description="sender's address")
    mail_host: str = Field(default="localhost", description="mail server")
    mail_port: Port = Field(default=25, description="its port")
    mail_security: Literal["none", "starttls", "tls"] = Field(default="none", description="none, starttls or tls")
    mail_user: str | None = Field(default=None, description="user name for the mail server")
    mail_password: str | None = Field(
        default=None, repr=False, description="best given as credential notifications.0.mail_password"
    )
    tls_authority: Path | None = Field(
        default=None, description="PEM file of the authorities that vouch for it; null: the system's"
    )
    timeout: Duration = Field(default="30s", validate_default=True, description="how long it may stay silent")

    _web = field_validator("url")(_is_web)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Notification:
        if (self.url is None) == (not self.mail_to):
            raise ValueError(f"{self.name}: give a url, or mail_to, not both")
        if self.url is not None and self.secret is None:
            raise ValueError(f"{self.name}: a webhook needs a secret, so that the receiver can tell who speaks")
        return self


class RecordSystem(Section):
    """A record system that gets reports as FHIR R4 resources: at its endpoint (url), or as files in a folder."""

    example: ClassVar[dict[str, str]] = {"name": "record", "folder": "/srv/fhir"}

    name: Name = Field(description="short name, used in commands and logs")
    url: str | None = Field(default=None, description="base address of its FHIR service")
    folder: Path | None = Field(default=None, description="folder for the files instead of a url")
    token: str | None = Field(
        default=None, repr=False, description="Bearer token for the url; best given as credential records.0.token"
    )
    patient_name: bool = Field(default=False, description="name the patient beside the identifier")
    patient_system: str = Field(
        default="", description="URI of the namespace of patient identifiers; empty: as in the photographs"
    )
    accession_system: str = Field(default="", description="URI of the namespace of accession numbers; empty: none")
    resolve_patient: bool = Field(
        default=False, description="let it look the patient up by the identifier; needs patient_system"
    )
    dicomweb_url: str = Field(
        default="", description="address of a DICOMweb service that has the reports, for a link; empty: no link"
    )
    tls_authority: Path | None = Field(
        default=None, description="PEM file of the authorities that vouch for it; null: the system's"
    )
    timeout: Duration = Field(default="30s", validate_default=True, description="how long it may stay silent")

    _web = field_validator("url")(_is_web)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> RecordSystem:
        if (self.url is None) == (self.folder is None):
            raise ValueError(f"{self.name}: give a url or a folder, not both")
        if self.folder is not None and not self.folder.is_absolute():
            raise ValueError(f"{self.name}: folder must be an absolute path")
        if self.resolve_patient and not self.patient_system:
            raise ValueError(f"{self.name}: resolve_patient needs patient_system")
        return self
