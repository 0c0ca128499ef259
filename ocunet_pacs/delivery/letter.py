"""A notice in plain words, for people who read it on a telephone between two patients."""

from __future__ import annotations

from typing import Any

_EYES = {"OD": "Right eye (OD)", "OS": "Left eye (OS)"}
_STUDY = (
    ("accession_number", "Accession number"),
    ("patient_id", "Patient ID"),
    ("patient_name", "Patient"),
    ("station_name", "Station"),
    ("study_instance_uid", "Study Instance UID"),
    ("digest", "Reference"),
)
"""What may be told of the study, in this order; what the notice does not hold is not told."""


def subject(notice: dict[str, Any]) -> str:
    """Urgency and eyes, and nothing that names a patient: subjects are shown on locked screens."""
    eyes = sorted({_one_line(finding.get("eye")) for finding in _findings(notice)} & set(_EYES))
    of_which = f" ({', '.join(eyes)})" if eyes else ""
    return f"Fundus photographs{of_which}: {_urgency(notice)} review suggested"


def body(notice: dict[str, Any]) -> str:
    """The whole letter. Only what the notice holds is in it."""
    study = notice.get("study")
    study = study if isinstance(study, dict) else {}
    lines = [
        f"An automatic analysis of fundus photographs suggests {_urgency(notice)} review.",
        "",
        *(f"  {_finding(finding)}" for finding in _findings(notice)),
        "",
        *(f"{words}: {_one_line(study[key])}" for key, words in _STUDY if study.get(key)),
        *_line("Report (SOP Instance UID)", notice.get("report_sop_instance_uid")),
        *_line("Made", notice.get("made")),
        *_line("By", notice.get("software")),
        "",
    ]
    if notice.get("trained") is False:
        lines += ["The model's weights are UNTRAINED: these are the results of a test, not of a patient.", ""]
    lines.append(_one_line(notice.get("disclaimer")) or "Decision support, not a diagnosis.")
    return "\n".join(lines) + "\n"


def _finding(finding: dict[str, Any]) -> str:
    eye = _one_line(finding.get("eye"))
    what = _one_line(finding.get("display") or finding.get("label"))
    figures = f"probability {_percent(finding.get('probability'))}, threshold {_percent(finding.get('threshold'))}"
    urgency = _one_line(finding.get("urgency"))
    return f"{_EYES.get(eye, eye or 'Eye unknown')}: {what} above threshold ({figures})" + (
        f", {urgency}" if urgency else ""
    )


def _findings(notice: dict[str, Any]) -> list[dict[str, Any]]:
    findings = notice.get("findings")
    return [f for f in findings if isinstance(f, dict)] if isinstance(findings, list) else []


def _urgency(notice: dict[str, Any]) -> str:
    return _one_line(notice.get("urgency")) or "urgent"


def _line(words: str, value: object) -> list[str]:
    return [f"{words}: {_one_line(value)}"] if value else []


def _one_line(value: object) -> str:
    """Text without line breaks and control characters, whoever it came from."""
    text = "" if value is None else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _percent(value: object) -> str:
    return f"{value:.0%}" if isinstance(value, (int, float)) else "unknown"
