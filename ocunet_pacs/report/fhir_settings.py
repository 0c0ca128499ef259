"""What a site may choose about the resources that its record system gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """Everything that one record system may have its own way.

    `patient_system` and `accession_system` are the URIs of the namespaces of patient identifiers and accession numbers;
    "": for patients as the photographs say, for accession numbers none. `resolve_patient`: refer to the patient so that
    the server looks the identifier up when it stores, and refuses the whole where it finds none or several; needs
    `patient_system`. `dicomweb_url` is the base of a WADO-RS service that has the structured report; "": no link to it.
    `icd10`: add the WHO's ICD-10 class beside a finding's own code, where it is no guess.
    """

    include_patient_name: bool = False
    patient_system: str = ""
    accession_system: str = ""
    resolve_patient: bool = False
    dicomweb_url: str = ""
    icd10: bool = True

    def __post_init__(self) -> None:
        if self.resolve_patient and not self.patient_system:
            raise ValueError("resolve_patient needs patient_system: identifiers are looked up within a namespace")
