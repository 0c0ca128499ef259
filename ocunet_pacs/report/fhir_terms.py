"""The vocabulary of our FHIR R4 resources: code systems, codes that the structured report has none for, data types.

A resource is a plain JSON object here. The tables say which code stands for what; the labels' own codes live in
`ocunet_pacs.domain.labels`, those that FHIR shares with DICOM in `ocunet_pacs.report.codes`.
"""

from __future__ import annotations

import re
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.labels import PRIVATE_SCHEME, SNOMED_CT, Code
from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.report.codes import EYE, label_of
from ocunet_pacs.report.wording import REASON_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
PRIVATE_SYSTEM = f"urn:oid:{derive_uid('coding scheme', PRIVATE_SCHEME)}"
"""Code system of our private codes; the same codes are 99OCUNET in DICOM."""
UCUM = "http://unitsofmeasure.org"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
"""The WHO's edition; national ones have systems of their own."""

SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        SNOMED_CT: "http://snomed.info/sct",
        "DCM": "http://dicom.nema.org/resources/ontology/DCM",
        PRIVATE_SCHEME: PRIVATE_SYSTEM,
    }
)
"""System of each Coding Scheme Designator that our codes have."""

SOFTWARE = Code("706687001", SNOMED_CT, "Software")
EYES: Mapping[Laterality, Code] = MappingProxyType(
    {
        Laterality.RIGHT: Code("18944008", SNOMED_CT, "Right eye structure"),
        Laterality.LEFT: Code("8966001", SNOMED_CT, "Left eye structure"),
        Laterality.UNKNOWN: EYE,
    }
)
"""Not "entire right eye" and "entire left eye" (362502000, 362503005): published systems have confused those two."""

EYE_WORDS: Mapping[Laterality, str] = MappingProxyType(
    {
        Laterality.RIGHT: "OD (right eye)",
        Laterality.LEFT: "OS (left eye)",
        Laterality.UNKNOWN: "Eye not stated, or stated with contradictions",
    }
)

ICD_10_CLASSES: Mapping[str, Code] = MappingProxyType(
    {
        "DR": Code("H36.0", "ICD10", "Diabetic retinopathy"),
        "ARMD": Code("H35.3", "ICD10", "Degeneration of macula and posterior pole"),
        "DN": Code("H35.3", "ICD10", "Degeneration of macula and posterior pole"),
        "BRVO": Code("H34.8", "ICD10", "Other retinal vascular occlusions"),
        "ERM": Code("H35.3", "ICD10", "Degeneration of macula and posterior pole"),
        "MS": Code("H31.0", "ICD10", "Chorioretinal scars"),
        "CSR": Code("H35.7", "ICD10", "Separation of retinal layers"),
        "CRVO": Code("H34.8", "ICD10", "Other retinal vascular occlusions"),
        "AION": Code("H47.0", "ICD10", "Disorders of optic nerve, not elsewhere classified"),
        "RS": Code("H30.9", "ICD10", "Chorioretinal inflammation, unspecified"),
        "CRS": Code("H30.9", "ICD10", "Chorioretinal inflammation, unspecified"),
        "MHL": Code("H35.3", "ICD10", "Degeneration of macula and posterior pole"),
        "CATARACT": Code("H26.9", "ICD10", "Cataract, unspecified"),
        "RP": Code("H35.5", "ICD10", "Hereditary retinal dystrophy"),
    }
)
"""The class that each label falls into, where there is one and it was found in an index.

Without a row: labels whose class depends on what the model does not say (type, cause, degenerative or not, suspected or
proven) or was never looked up.
"""

_FAULTS = frozenset(
    {
        ReasonCode.NOT_DICOM,
        ReasonCode.UNREADABLE_DATASET,
        ReasonCode.NO_PIXELS,
        ReasonCode.UNREADABLE_PIXELS,
        ReasonCode.DECODER_FAILED,
        ReasonCode.FILE_REMOVED,
        ReasonCode.FILE_MISSING,
    }
)
"""Reasons that speak of a fault on the way. The others say that the image was not one to assess."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(text: str) -> str:
    """Text without the control characters that a FHIR string must not hold."""
    return _CONTROL.sub("", text).strip()


def readable(value: str) -> str:
    """A DICOM value as a reader wants it: a name without its separators, in each of its scripts."""
    spellings = (" ".join(group.replace("^", " ").split()) for group in clean(value).split("="))
    return " / ".join(spelling for spelling in spellings if spelling)


def coding(code: Code) -> Json:
    """The code as Coding."""
    return {"system": SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}


def terminology(system: str, code: str, display: str) -> Json:
    """A code of HL7's own terminology as Coding."""
    return {"system": TERMINOLOGY + system, "code": code, "display": display}


def concept(text: str, *codings: Json) -> Json:
    """CodeableConcept."""
    return {"coding": list(codings), "text": text} if codings else {"text": text}


def coded(code: Code, text: str = "") -> Json:
    """The code as CodeableConcept; its meaning is the text where there is no other."""
    return concept(text or code.meaning, coding(code))


def percent(share: float) -> Json:
    """A share of 1 as Quantity in percent, rounded as in the structured report."""
    return {"value": round(100 * share, 2), "unit": "%", "system": UCUM, "code": "%"}


def dicom_identifier(uid: str) -> Json:
    """A DICOM UID as Identifier."""
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


def identifier(uid: str) -> Json:
    """The UID of a resource of ours as Identifier."""
    return {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{uid}"}


def full_url(uid: str) -> str:
    """What other resources of the Bundle call a resource of ours: the UUID inside its UID (PS3.5 section B.2).

    Another spelling than in its identifier on purpose: servers replace this one everywhere by where they stored it.
    """
    return f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"


def probability_of(label: str) -> Code:
    """What an Observation of a label is about, so that a record system can follow the label over time."""
    return Code(f"PROBABILITY_{label}", PRIVATE_SCHEME, f"Model's probability: {label_of(label).display}")


def finding(label: str, *, icd10: bool) -> Json:
    """The label itself as CodeableConcept."""
    known = label_of(label)
    classes = [ICD_10_CLASSES[label]] if icd10 and label in ICD_10_CLASSES else []
    others = [{"system": ICD_10, "code": code.value, "display": code.meaning} for code in classes]
    return concept(known.display, coding(known.code), *others)


def absent(reasons: Iterable[ReasonCode], words: str, main: ReasonCode | None = None) -> Json:
    """Why there is no value, as CodeableConcept: HL7's word for it, then ours for the `main` one of the reasons."""
    kinds = {reason in _FAULTS for reason in reasons}
    word = ("error", "Error") if kinds == {True} else ("not-performed", "Not Performed")
    ours = [coding(Code(main.value, PRIVATE_SCHEME, REASON_WORDS[main]))] if main else []
    return concept(words, terminology("data-absent-reason", *word), *ours)
