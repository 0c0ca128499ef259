"""The section of the settings that concerns the console, the web page for the people who look after the daemon."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from ocunet_pacs.settings.kinds import Port, Section, is_loopback


class Console(Section):
    """The console: a web page that shows how it goes and takes dead jobs up again; see docs/console.md."""

    enabled: bool = Field(default=True, description="show it; on this machine only, unless console.host says otherwise")
    host: str = Field(default="127.0.0.1", description="address to listen on; another than this needs a token")
    port: Port = Field(default=8043, description="port to listen on; 0 takes a free one")
    token: str | None = Field(
        default=None,
        min_length=16,
        repr=False,
        description="whoever opens it gives this first, here too; null: this machine's users need none; best given as "
        "credential console.token",
    )
    names: tuple[str, ...] = Field(
        default=(), description="names by which browsers call it, beside localhost, addresses and this host's own name"
    )
    certificate: Path | None = Field(default=None, description="PEM file of our certificate, for HTTPS")
    key: Path | None = Field(default=None, description="PEM file of its private key")
    plain: bool = Field(default=False, description="listen without HTTPS on an address that other machines reach")
    show_patient: bool = Field(
        default=False, description="show names, numbers and birth dates of patients; false: photographs alone"
    )
    max_requests: int = Field(default=16, ge=1, le=256, description="requests at once; more wait, many more get 503")

    @field_validator("names")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", name)]
        if wrong:
            raise ValueError(f"expected host names such as console.clinic.example, without port: {', '.join(wrong)}")
        return tuple(name.lower() for name in value)

    @model_validator(mode="after")
    def _is_guarded(self) -> Console:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("console.certificate and console.key belong together")
        if not self.enabled or is_loopback(self.host):
            return self
        if self.token is None:
            raise ValueError("console needs a token where other machines reach it: give one, or keep it at 127.0.0.1")
        if self.certificate is None and not self.plain:
            raise ValueError(
                "console without certificate and key would send token and photographs in the clear: give both, "
                "keep console.host at 127.0.0.1 (reached by ssh -L, or behind a proxy), or allow it with console.plain"
            )
        return self
