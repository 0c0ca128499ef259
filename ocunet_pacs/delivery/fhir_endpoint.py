"""Reports to a record system's FHIR endpoint: the `Sender` port, one transaction Bundle a request (R4, http.html).

The Bundle creates only what is not there yet, so sending it again is safe. What the endpoint says about it may hold
patient data and goes nowhere; the codes of its OperationOutcome, which are words of the standard, may.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ocunet_pacs.delivery.posting import Service
from ocunet_pacs.domain.errors import DeliveryError, PeerBusy, PeerRefused, PeerUnavailable, StoreError
from ocunet_pacs.domain.ports import Receipt

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path

    from ocunet_pacs.delivery.posting import Answer

_FHIR_JSON = "application/fhir+json"
_ABOUT_THE_BUNDLE = frozenset({404, 413})
"""Statuses that elsewhere are about the way there: servers say 404 of a patient whom they cannot find."""
_MAY_BE_THERE = frozenset({409, 412})
"""Conflict, or several match a condition: among other things when the resources are there already."""
_FOR_NOW = frozenset({408, 423, 425, 429})
_ANSWERS = frozenset({"transaction-response", "batch-response"})


@dataclass(frozen=True, slots=True)
class _Bundle:
    """A Bundle to send: the whole file, how many entries it has, and where its DiagnosticReport would be found."""

    content: bytes
    entries: int
    search: str


class FhirSender:
    """Sends to one endpoint; `url` is the service's base address. Threads may share it."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: timedelta,
        token: str | None = None,
        basic: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`basic`: user and password; `tls` None: the system's authorities (see `tls.client_context`). ConfigError."""
        self._name = name
        self._service = Service(name, url, timeout=timeout, token=token, basic=basic, headers=headers, tls=tls)

    def send(self, path: Path) -> Receipt:
        """The endpoint has everything in the Bundle. PeerUnavailable, PeerBusy, PeerRefused: see `posting`. StoreError.

        Conflicts (409) and conditions that several resources match (412) count as success only where the endpoint
        shows the report.
        """
        bundle = _read(path)
        answer = self._service.post(
            bundle.content,
            {"content-type": _FHIR_JSON, "accept": _FHIR_JSON, "prefer": "return=minimal"},
            ours=_ABOUT_THE_BUNDLE,
        )
        said = _parsed(answer)
        if not 200 <= answer.status < 300:
            return self._judge(bundle, answer.status, said)
        if said is None:
            return self._without_words(bundle, answer)
        if said.get("resourceType") == "Bundle" and said.get("type") in _ANSWERS:
            return self._judge_entries(bundle, said)
        if said.get("resourceType") == "OperationOutcome" and not _is_failure(said):
            return Receipt("accepted")
        raise PeerRefused(f"{self._name}: it answers with something else than what became of the report{_codes(said)}")

    def _judge_entries(self, bundle: _Bundle, said: Mapping[str, Any]) -> Receipt:
        """Of each entry what became of it: a transaction is stored as a whole, a batch may be in part."""
        entries = [entry.get("response", {}) for entry in _list(said, "entry")]
        statuses = [_number(str(response.get("status", ""))) for response in entries]
        for status, response in zip(statuses, entries, strict=True):
            if not (200 <= status < 300 or status == 304):
                return self._judge(bundle, status, response.get("outcome") or {})
        if len(entries) != bundle.entries:
            raise PeerRefused(f"{self._name}: it speaks of {len(entries)} of {bundle.entries} resources that it got")
        made = statuses.count(201)
        return Receipt(f"stored, {made} of {len(statuses)} resources new" if made else "it had it already")

    def _judge(self, bundle: _Bundle, status: int, said: Mapping[str, Any] | None) -> Receipt:
        words = f"HTTP status {status}{_codes(said or {})}"
        if status in _MAY_BE_THERE:
            if self._has(bundle):
                return Receipt("it had it already")
            if status == 409:
                raise PeerBusy(f"{self._name}: it reports a conflict and does not show the report ({words})")
        if status == 404 and not said:
            raise PeerUnavailable(f"{self._name}: there is no FHIR service at this address; check url ({words})")
        if status in _FOR_NOW or 500 <= status < 600:
            raise PeerBusy(f"{self._name}: refused for now ({words})")
        raise PeerRefused(f"{self._name}: refused, {_meaning(status)} ({words})")

    def _without_words(self, bundle: _Bundle, answer: Answer) -> Receipt:
        """A success with no FHIR in it: gateways that only pass on say nothing; a login page is not a success."""
        if not answer.content.strip():
            return Receipt("accepted, without a word of what was stored")
        if self._has(bundle):
            return Receipt("stored")
        raise PeerRefused(f"{self._name}: what answers is no FHIR service; check url (HTTP status {answer.status})")

    def _has(self, bundle: _Bundle) -> bool:
        """Whether the endpoint shows the report; False where it does not say."""
        try:
            found = _parsed(self._service.get(f"/DiagnosticReport?{bundle.search}", {"accept": _FHIR_JSON}))
        except DeliveryError:
            return False
        if found is None or found.get("type") != "searchset":
            return False
        kinds = {entry.get("resource", {}).get("resourceType") for entry in _list(found, "entry")}
        return "DiagnosticReport" in kinds

    def probe(self) -> str:
        """The endpoint is there and lets us in, in words. PeerUnavailable, PeerBusy: see `posting`."""
        return self._service.probe("/metadata")

    def close(self) -> None:
        """Close the connections that are kept."""
        self._service.close()


def _read(path: Path) -> _Bundle:
    try:
        content = path.read_bytes()
        entries = json.loads(content)["entry"]
        requests = (entry["request"] for entry in entries)
        condition = next(request["ifNoneExist"] for request in requests if request["url"] == "DiagnosticReport")
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise StoreError("a report to deliver is missing from the store or not readable") from error
    return _Bundle(content, len(entries), quote(condition, safe="=:"))


def _parsed(answer: Answer) -> dict[str, Any] | None:
    try:
        said = json.loads(answer.content)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _list(said: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    found = said.get(key)
    yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _number(status: str) -> int:
    """The number that a status like "201 Created" begins with, 0 where it begins with none."""
    found = re.match(r"\d{3}\b", status)
    return int(found.group()) if found else 0


def _is_failure(outcome: Mapping[str, Any]) -> bool:
    return any(issue.get("severity") in {"fatal", "error"} for issue in _list(outcome, "issue"))


def _codes(outcome: Mapping[str, Any]) -> str:
    """The kinds of its issues (value set issue-type) in a form to append; its sentences stay out."""
    codes = dict.fromkeys(str(issue.get("code", "")) for issue in _list(outcome, "issue"))
    words = [code for code in codes if re.fullmatch(r"[a-z]+(-[a-z]+)*", code) and len(code) <= 20]
    return f": {', '.join(words[:5])}" if words else ""


def _meaning(status: int) -> str:
    return {
        404: "it does not know what the report refers to",
        412: "several resources there match what the report refers to",
        413: "the report is too large for it",
        422: "the report breaks rules of its own",
    }.get(status, "it does not take the report")
