"""The sections of the settings that concern what comes in: who sends, by which ways, what is analysed and kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from pydantic import Field, field_validator, model_validator

from ocunet_pacs.domain.gates import Gate
from ocunet_pacs.settings.kinds import AETitle, Duration, Hours, Name, Network, Port, Section, Size, is_loopback


def _refuse_both(section: _Gated) -> None:
    both = sorted(frozenset(section.open) & frozenset(section.close))
    if both:
        raise ValueError(f"a gate is open or closed, not both: {', '.join(both)}")


class _Gated(Protocol):
    open: tuple[Gate, ...]
    close: tuple[Gate, ...]


_OPEN = "gates that are open for it, whatever eligibility says; docs/eligibility.md has them"
_CLOSE = "gates that are closed for it, whatever eligibility says"


class Tls(Section):
    """DICOM over TLS (PS3.15 annex B, BCP 195). Where it is on, the plain port is closed unless asked for."""

    enabled: bool = Field(default=False, description="listen with TLS")
    port: Port = Field(default=2762, description="port to listen on with TLS; 0 takes a free one")
    certificate: Path | None = Field(default=None, description="PEM file of our certificate, and the chain above it")
    key: Path | None = Field(default=None, description="PEM file of its private key, without a passphrase")
    client_certificate: Literal["none", "optional", "required"] = Field(
        default="none", description="whether senders show a certificate: none, optional or required"
    )
    client_authority: Path | None = Field(
        default=None, description="PEM file of the authorities whose client certificates are accepted"
    )
    plain: bool = Field(default=False, description="keep dicom.port open without TLS as well")

    @model_validator(mode="after")
    def _has_its_files(self) -> Tls:
        if self.enabled and (self.certificate is None or self.key is None):
            raise ValueError("tls.certificate and tls.key are needed where tls.enabled is true")
        if self.enabled and self.client_certificate != "none" and self.client_authority is None:
            raise ValueError("tls.client_authority is needed to check the certificates of senders")
        return self


class Source(Section):
    """One sender, or several alike, and what is different for it."""

    example: ClassVar[dict[str, str]] = {"name": "camera-1", "ae_title": "VISUCAM", "address": "10.1.2.0/24"}

    name: Name = Field(description="short name, used in logs and metrics")
    ae_title: AETitle | None = Field(default=None, description="its calling AE title; null: any")
    address: Network | None = Field(default=None, description="its address or network; null: any")
    max_associations: int | None = Field(
        default=None, ge=1, description="associations at once with a process; null: no limit of its own"
    )
    max_instances_per_minute: int | None = Field(
        default=None, ge=1, description="more to a process are answered 0xA700; null: any number"
    )
    quiet_period: Duration | None = Field(default=None, description="instead of assembly.quiet_period")
    close_on_release: bool | None = Field(default=None, description="instead of assembly.close_on_release")
    open: tuple[Gate, ...] = Field(default=(), description=_OPEN)
    close: tuple[Gate, ...] = Field(default=(), description=_CLOSE)

    @model_validator(mode="after")
    def _gates_are_one_or_the_other(self) -> Source:
        _refuse_both(self)
        return self


class Eligibility(Section):
    """Which images are analysed; the others are reported as not assessed, with the reason (docs/eligibility.md)."""

    open: tuple[Gate, ...] = Field(
        default=(), description=f"gates that let pass what they stop by default: {', '.join(Gate)}"
    )
    close: tuple[Gate, ...] = Field(
        default=(), description="gates that stop what they let pass by default: unproven_region"
    )
    minimum_age: float = Field(default=18.0, ge=0, description="years; younger patients are stopped by the gate child")
    widest_field: float = Field(
        default=60.0, gt=0, description="degrees; wider images are stopped by the gate wide_field"
    )

    @model_validator(mode="after")
    def _gates_are_one_or_the_other(self) -> Eligibility:
        _refuse_both(self)
        return self


class Retention(Section):
    """How long files stay once they are analysed and delivered. What is not yet delivered is never removed."""

    keep: Duration = Field(default="30d", validate_default=True, description="files older than this are removed")
    keep_free: Size = Field(
        default="2 GiB", validate_default=True, description="below this much free space the oldest are removed earlier"
    )


class Archive(Section):
    """One PACS that past studies are fetched from."""

    example: ClassVar[dict[str, str]] = {"name": "archive", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": "4242"}

    name: Name = Field(description="short name, as in `backfill --from`")
    ae_title: AETitle = Field(description="its AE title")
    host: str = Field(description="host name or address")
    port: Port = Field(description="port")
    retrieve: Literal["get", "move"] = Field(
        default="get", description="C-GET, or C-MOVE to our own AE title, which the archive must know"
    )
    match_modalities: bool = Field(
        default=True, description="ask by Modalities in Study; false for an archive that then leaves studies out"
    )
    timeout: Duration = Field(default="60s", validate_default=True, description="how long it may stay silent")
    open: tuple[Gate, ...] = Field(default=(), description=_OPEN)
    close: tuple[Gate, ...] = Field(default=(), description=_CLOSE)

    @model_validator(mode="after")
    def _gates_are_one_or_the_other(self) -> Archive:
        _refuse_both(self)
        return self


class Backfill(Section):
    """How fast, and when, past studies are fetched."""

    studies_per_minute: float = Field(default=20.0, gt=0, description="studies fetched a minute at most")
    hours: Hours = Field(
        default="", description="when to fetch, local time, for example 19:00-06:00; empty: at any time"
    )
    max_waiting: int = Field(default=100, ge=1, description="no further study while this many wait for their analysis")
    attempts: int = Field(default=3, ge=1, description="tries of one study before it waits for --retry-failed")


class Stow(Section):
    """STOW-RS (PS3.18 section 10.5): intake over the web for cloud PACS and gateways, treated as C-STORE is."""

    enabled: bool = Field(default=False, description="listen for STOW-RS")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=8443, description="port to listen on; 0 takes a free one")
    base: str = Field(default="/dicom-web", description="path before /studies; empty: none")
    token: str | None = Field(
        default=None,
        min_length=16,
        repr=False,
        description="senders show it as Bearer token; best given as credential stow.token",
    )
    certificate: Path | None = Field(default=None, description="PEM file of our certificate, for HTTPS")
    key: Path | None = Field(default=None, description="PEM file of its private key")
    client_authority: Path | None = Field(
        default=None, description="PEM file of authorities: senders must show a certificate of theirs"
    )
    plain: bool = Field(default=False, description="listen without HTTPS on an address that other machines reach")
    max_request: Size = Field(default="2 GiB", validate_default=True, description="larger requests are refused")
    idle_timeout: Duration = Field(
        default="30s",
        validate_default=True,
        description="a sender that falls silent in a request is cut off",
    )
    max_requests: int = Field(default=16, ge=1, le=256, description="requests at once; more are answered 503")

    @field_validator("base")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", value):
            raise ValueError("expected a path such as /dicom-web, without a slash at its end, or nothing")
        return value

    @model_validator(mode="after")
    def _is_guarded(self) -> Stow:
        if self.enabled and self.token is None and self.client_authority is None:
            raise ValueError("stow needs a token, or a client_authority for mutual TLS")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("stow.certificate and stow.key belong together")
        if self.client_authority is not None and self.certificate is None:
            raise ValueError("stow.client_authority needs stow.certificate and stow.key")
        if self.enabled and self.certificate is None and not self.plain and not is_loopback(self.host):
            raise ValueError(
                "stow without certificate and key would send token and patient data in the clear: give both, "
                "keep stow.host at 127.0.0.1 behind a proxy, or allow it with stow.plain"
            )
        return self


WATCH_GROUPS = ("patient_id", "patient_name", "laterality", "date", "accession", "study")


class WatchFolder(Section):
    """One folder that a camera exports to. What was taken in moves to `done`, the rest to `refused` with its reason."""

    example: ClassVar[dict[str, str]] = {
        "name": "export",
        "path": "/srv/camera",
        "pattern": r"'(?P<patient_id>[^_]+)_(?P<laterality>[RL])_(?P<date>\d{8})'",
    }

    name: Name = Field(description="short name, used in logs, metrics and as source")
    path: Path = Field(description="the folder; its subfolders are not looked into")
    pattern: str = Field(
        default="",
        description="what file names say without their extension, a regular expression that fits all of it; its groups:"
        f" {', '.join(WATCH_GROUPS)}",
    )
    settle: Duration = Field(
        default="5s", validate_default=True, description="a file is complete when it did not change for this long"
    )
    unnamed: Literal["refuse", "accept"] = Field(
        default="refuse", description="what becomes of pictures whose name the pattern does not fit"
    )
    open: tuple[Gate, ...] = Field(default=(), description=_OPEN)
    close: tuple[Gate, ...] = Field(default=(), description=_CLOSE)

    @model_validator(mode="after")
    def _gates_are_one_or_the_other(self) -> WatchFolder:
        _refuse_both(self)
        return self

    @field_validator("pattern")
    @classmethod
    def _is_understood(cls, value: str) -> str:
        try:
            groups = set(re.compile(value).groupindex)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error.msg} at character {error.pos}") from None
        unknown = sorted(groups - set(WATCH_GROUPS))
        if unknown:
            raise ValueError(f"unknown groups {', '.join(unknown)}; there are {', '.join(WATCH_GROUPS)}")
        return value

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("expected an absolute path")
        return value
