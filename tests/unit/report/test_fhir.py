"""What record systems get: valid FHIR R4 that says what the report says, and no more than it."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.domain.labels import BY_NAME, LABELS, Urgency
from ocunet_pacs.domain.result import BundleRef, ImageResult, Predecessor, StudyResult, derive_uid
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.report import fhir_terms
from ocunet_pacs.report.caveats import caveat_of
from ocunet_pacs.report.fhir import build_fhir
from ocunet_pacs.report.fhir_settings import FhirSettings
from ocunet_pacs.report.ordering import COMPOSITE, NORMAL
from ocunet_pacs.report.report_settings import ReportSettings
from tests.unit.report.made import (
    NOW,
    STUDY,
    TRAINED,
    UNTRAINED,
    image,
    photograph,
    read,
    reporter,
    study,
)

Json = dict[str, Any]
FINDINGS = [label.name for label in LABELS if label.name not in {COMPOSITE, NORMAL}]
SIDES = {"R": "18944008", "L": "8966001", "U": "81745001"}


def unassessed(ordinal: int, eye: str, code: ReasonCode, detail: str = "as it is") -> ImageResult:
    return replace(image(ordinal, eye), scores=(), reasons=(Reason(code, detail),))


class Sent:
    """A Bundle, checked by a published schema, as a record system sees it."""

    def __init__(self, content: bytes) -> None:
        Bundle.model_validate_json(content)
        self.content = content
        self.text = content.decode()
        self.entries: list[Json] = json.loads(content)["entry"]
        self.resources: list[Json] = [entry["resource"] for entry in self.entries]

    def of(self, kind: str) -> list[Json]:
        return [r for r in self.resources if r["resourceType"] == kind]

    @property
    def report(self) -> Json:
        (found,) = self.of("DiagnosticReport")
        return found

    def finding(self, label: str, eye: str) -> Json:
        (found,) = (
            o
            for o in self.of("Observation")
            if o["code"]["coding"][0]["code"] == f"PROBABILITY_{label}" and code(o["bodySite"]) == SIDES[eye]
        )
        return found

    def eye(self, eye: str) -> Json:
        (found,) = (
            o
            for o in self.of("Observation")
            if o["code"]["text"].endswith(f"impression, {Laterality(eye).eye}") and code(o["bodySite"]) == SIDES[eye]
        )
        return found


def code(concept: Json) -> str:
    return concept["coding"][0]["code"]


def component(observation: Json, name: str) -> Json:
    (found,) = (c for c in observation["component"] if c["code"]["text"] == name)
    return found["valueCodeableConcept"]


def structured(folder: Path, result: StudyResult, urgencies: Any = (), **values: Any) -> Dataset:
    """The structured report of a study whose photographs have these attributes."""
    sources = {}
    for one in result.images:
        frames = 1 if one.frame is None else 2
        path = folder / f"{one.ordinal}.dcm"
        sources[one.sop_instance_uid] = photograph(path, one.ordinal, frames=frames, **values)
    return read(reporter(urgencies=urgencies).report(result, sources, {}))


def sent(
    folder: Path,
    *images: ImageResult,
    settings: FhirSettings | None = None,
    bundle: BundleRef = TRAINED,
    urgencies: Any = (),
    result: StudyResult | None = None,
    now: Any = NOW,
    **values: Any,
) -> Sent:
    result = result or study(*images, bundle=bundle)
    report = structured(folder, result, urgencies, **values)
    return Sent(
        build_fhir(
            result,
            report,
            settings=settings or FhirSettings(),
            report_settings=ReportSettings(urgencies=urgencies),
            now=now,
        )
    )


@pytest.fixture(scope="module")
def plain_report(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return structured(tmp_path_factory.mktemp("plain"), study(image(1)))


@pytest.mark.parametrize("eye", "RLU")
def test_says_of_every_label_what_it_is_where_how_probable_and_how_urgent(tmp_path: Path, eye: str) -> None:
    probabilities = {label: 0.5 + 0.01 * n for n, label in enumerate(FINDINGS)}
    bundle = sent(tmp_path, image(1, eye, **probabilities), ImageLaterality={"R": "R", "L": "L", "U": "B"}[eye])
    for label, probability in probabilities.items():
        said = bundle.finding(label, eye)
        row = BY_NAME[label]
        assert said["valueQuantity"] == {
            "value": round(100 * probability, 2),
            "unit": "%",
            "system": "http://unitsofmeasure.org",
            "code": "%",
        }
        assert said["referenceRange"][0]["high"]["value"] == 50
        assert said["interpretation"][0]["text"] == "above threshold"
        finding = component(said, "Finding")
        assert finding["text"] == row.display
        assert code(finding) == row.code.value
        assert code(component(said, "Finding Site")) == row.site.value
        assert code(component(said, "Suggested urgency of review")) == row.urgency.name
        assert [note["text"] for note in said.get("note", [])] == [caveat_of(row)] * bool(caveat_of(row))
    overall = next(o for o in bundle.of("Observation") if o["code"]["text"] == "Suggested urgency of review")
    assert code(overall["valueCodeableConcept"]) == "EMERGENCY"


def test_no_diagnosis_can_be_found_by_its_code(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, **dict.fromkeys(FINDINGS, 0.9)))
    named = {c["code"] for o in bundle.of("Observation") for c in o["code"]["coding"]}
    assert not named & {label.code.value for label in LABELS}
    assert {r["resourceType"] for r in bundle.resources} == {"Device", "Observation", "DiagnosticReport"}
    assert "conclusionCode" not in bundle.report
    assert {r["status"] for r in bundle.of("Observation") + bundle.of("DiagnosticReport")} == {"preliminary"}


def test_research_and_machine_are_said_in_every_resource(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, DR=0.9))
    for resource in bundle.resources:
        assert [tag["code"] for tag in resource["meta"]["tag"]] == ["RESEARCH"]
        assert [label["code"] for label in resource["meta"]["security"]] == ["AIAST"]
    assert bundle.report["conclusion"].startswith("RESEARCH: ")
    assert "not verified" in bundle.report["code"]["text"]


def test_untrained_weights_are_said_wherever_something_is_shown(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, DR=0.9), unassessed(2, "L", ReasonCode.UNGRADABLE), bundle=UNTRAINED)
    for resource in bundle.resources:
        assert [label["code"] for label in resource["meta"]["security"]] == ["AIAST", "HTEST"]
        assert "UNTRAINED" in [tag["code"] for tag in resource["meta"]["tag"]]
        shown = resource["code"]["text"] if "code" in resource else resource["deviceName"][0]["name"]
        assert "UNTRAINED" in shown
    assert "UNTRAINED MODEL: the weights were not trained" in bundle.report["conclusion"]


def test_everything_hangs_together(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, DR=0.9), image(2, "L", GLAUCOMA=0.8), unassessed(3, "R", ReasonCode.CHILD))
    urls = [entry["fullUrl"] for entry in bundle.entries]
    assert len(set(urls)) == len(urls)
    references = re.findall(r'"reference": "([^"]+)"', bundle.text)
    assert set(references) == set(urls) - {urls[-1]}, "all but the report itself are referred to"
    for entry in bundle.entries:
        mine = entry["resource"]["identifier"][0]
        assert entry["request"] == {
            "method": "POST",
            "url": entry["resource"]["resourceType"],
            "ifNoneExist": f"identifier={mine['system']}|{mine['value']}",
        }
        assert entry["fullUrl"] not in json.dumps(entry["resource"])


def test_the_same_work_has_the_same_identity_and_other_work_another(tmp_path: Path) -> None:
    def identities(found: Sent, kinds: tuple[str, ...] = ("Observation", "DiagnosticReport")) -> set[str]:
        return {r["identifier"][0]["value"] for kind in kinds for r in found.of(kind)}

    first = sent(tmp_path, image(1, DR=0.9))
    assert sent(tmp_path, image(1, DR=0.9)).content == first.content
    later = sent(tmp_path, image(1, DR=0.9), now=NOW + timedelta(hours=1))
    assert later.content != first.content
    assert identities(later) == identities(first)
    assert not identities(sent(tmp_path, image(1, DR=0.9), image(2))) & identities(first)
    other = replace(TRAINED, digest="77" * 32)
    everything = ("Device", "Observation", "DiagnosticReport")
    assert not identities(sent(tmp_path, image(1, DR=0.9), bundle=other), everything) & identities(first, everything)


def test_names_study_report_and_photographs_by_their_uids(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, DR=0.9))
    result = study(image(1, DR=0.9))
    report = structured(tmp_path, result)
    assert {"system": "urn:dicom:uid", "value": f"urn:oid:{report.SOPInstanceUID}"} in bundle.report["identifier"]
    assert bundle.report["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{STUDY}"
    sources = bundle.finding("DR", "R")["derivedFrom"]
    assert [s["identifier"]["value"] for s in sources] == [f"urn:oid:{STUDY}", f"urn:oid:{derive_uid('photo', '1')}"]
    assert bundle.report["basedOn"] == [
        {
            "type": "ServiceRequest",
            "identifier": {
                "type": {
                    "coding": [
                        {"system": f"{fhir_terms.TERMINOLOGY}v2-0203", "code": "ACSN", "display": "Accession ID"}
                    ]
                },
                "value": "A-7",
            },
        }
    ]


def test_links_the_report_where_the_site_serves_it(tmp_path: Path) -> None:
    linked = sent(tmp_path, image(1), settings=FhirSettings(dicomweb_url="https://pacs.example/dicom-web/"))
    (form,) = linked.report["presentedForm"]
    assert form["contentType"] == "application/dicom"
    assert form["url"].startswith(f"https://pacs.example/dicom-web/studies/{STUDY}/series/2.25.")


def test_the_device_says_software_model_and_operating_point(tmp_path: Path) -> None:
    careful = replace(TRAINED, operating_point="careful")
    (device,) = sent(tmp_path, image(1), bundle=careful).of("Device")
    versions = {v["type"]["text"]: v["value"] for v in device["version"]}
    assert versions == {"software": "1.2.3", "model": "ocunet-v4", "model bundle, sha256": careful.digest}
    assert "operating point careful" in device["note"][0]["text"]
    (usual,) = sent(tmp_path, image(1)).of("Device")
    assert usual["identifier"][0] != device["identifier"][0]


@pytest.mark.parametrize(
    ("positive", "value"),
    [
        ({}, "373068000"),
        ({"NORMAL": 0.9}, "17621005"),
        ({"Disease_Risk": 0.9}, "263654008"),
        ({"Disease_Risk": 0.9, "DR": 0.8}, "263654008"),
        ({"TSLN": 0.8}, "373068000"),
        ({"NORMAL": 0.9, "DR": 0.8}, "82334004"),
        ({"NORMAL": 0.9, "Disease_Risk": 0.8}, "82334004"),
    ],
)
def test_an_eye_is_normal_only_where_nothing_stands_against_it(
    tmp_path: Path, positive: dict[str, float], value: str
) -> None:
    eye = sent(tmp_path, image(1, **positive)).eye("R")
    assert code(eye["valueCodeableConcept"]) == value
    said = {c["code"]["coding"][0]["code"]: c["valueQuantity"]["value"] for c in eye.get("component", [])}
    general = {name: p for name, p in positive.items() if name in {COMPOSITE, NORMAL}}
    assert said == {f"PROBABILITY_{name}": 100 * p for name, p in general.items()}


def test_contradictions_are_stated(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, NORMAL=0.9, DR=0.8))
    assert "contradiction" in bundle.report["conclusion"]
    assert any("contradiction" in note["text"] for note in bundle.eye("R")["note"])
    alone = sent(tmp_path, image(1, Disease_Risk=0.9))
    assert "without any specific label" in alone.report["conclusion"]


def test_an_eye_with_several_images_says_its_highest_and_how_many(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, DR=0.6), image(2, DR=0.8), image(3))
    said = bundle.finding("DR", "R")
    assert said["valueQuantity"]["value"] == 80
    assert said["derivedFrom"][-1]["display"] == "OD image 2"
    assert said["note"][0]["text"] == "Highest of 3 images of this eye; above threshold in 2."
    eye = bundle.eye("R")
    assert len(eye["derivedFrom"]) == 4
    assert len(eye["hasMember"]) == 1


def test_frames_count_for_the_eyes_that_they_show(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, "R", frame=1, DR=0.9), image(1, "L", frame=2, GLAUCOMA=0.8))
    assert bundle.finding("DR", "R")["derivedFrom"][-1]["display"] == "OD image 1 frame 1"
    assert bundle.finding("GLAUCOMA", "L")["derivedFrom"][-1]["display"] == "OS image 1 frame 2"


def test_an_unknown_eye_gets_no_side(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, "U", DR=0.9), ImageLaterality="B")
    assert not {SIDES["R"], SIDES["L"]} & set(re.findall(r'"code": "(\d+)"', bundle.text))
    assert "not stated" in bundle.finding("DR", "U")["bodySite"]["text"]


def test_what_was_not_assessed_has_no_value_and_a_reason(tmp_path: Path) -> None:
    bundle = sent(
        tmp_path,
        image(1, "R", DR=0.9),
        unassessed(2, "R", ReasonCode.UNGRADABLE, "sharpness 0.2"),
        unassessed(3, "R", ReasonCode.UNGRADABLE, "sharpness 0.3"),
        unassessed(4, "L", ReasonCode.DECODER_FAILED),
        unassessed(5, "U", ReasonCode.CHILD),
    )
    beside = next(o for o in bundle.of("Observation") if o["code"]["text"].startswith("Not assessed"))
    assert beside["code"]["text"] == "Not assessed: OD images 2, 3"
    assert beside["dataAbsentReason"]["text"] == "Not assessed: not gradable (OD images 2, 3)."
    assert [c["code"] for c in beside["dataAbsentReason"]["coding"]] == ["not-performed", "ungradable"]
    left, unknown = bundle.eye("L"), bundle.eye("U")
    assert [c["code"] for c in left["dataAbsentReason"]["coding"]] == ["error", "decoder_failed"]
    assert [c["code"] for c in unknown["dataAbsentReason"]["coding"]] == ["not-performed", "child"]
    assert "OS, not assessed" in bundle.report["conclusion"]
    for observation in bundle.of("Observation"):
        assert ("dataAbsentReason" in observation) != any(name.startswith("value") for name in observation)


def test_an_eye_without_any_assessed_image_says_all_reasons(tmp_path: Path) -> None:
    faults = unassessed(1, "R", ReasonCode.DECODER_FAILED), unassessed(2, "R", ReasonCode.FILE_MISSING)
    said = sent(tmp_path, *faults).eye("R")["dataAbsentReason"]
    assert [c["code"] for c in said["coding"]] == ["error"]
    assert said["text"].startswith("Not assessed: picture could not be decoded (OD image 1); file missing")
    mixed = sent(tmp_path, *faults, unassessed(3, "R", ReasonCode.CHILD)).eye("R")["dataAbsentReason"]
    assert [c["code"] for c in mixed["coding"]] == ["not-performed"]


@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_can_be_told(tmp_path: Path, code: ReasonCode) -> None:
    bundle = sent(tmp_path, unassessed(1, "R", code))
    assert all("dataAbsentReason" in o for o in bundle.of("Observation"))
    assert bundle.report["result"], "the report is never empty"
    assert "No result does not mean normal" in bundle.report["conclusion"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("RLU"),
            st.one_of(
                st.dictionaries(st.sampled_from([label.name for label in LABELS]), st.floats(0, 1)),
                st.lists(st.sampled_from(list(ReasonCode)), min_size=1, max_size=3),
            ),
            st.sampled_from([None, 1, 2]),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=30, deadline=None)
def test_whatever_was_found_is_said_validly(plain_report: Dataset, found: list[Any]) -> None:
    images = []
    for ordinal, (eye, what, frame) in enumerate(found, 1):
        if isinstance(what, dict):
            images.append(image(ordinal, eye, frame=frame, **what))
        else:
            reasons = tuple(Reason(code, "as it is") for code in what)
            images.append(replace(image(ordinal, eye, frame=frame), scores=(), reasons=reasons))
    result = study(*images)
    said = Sent(build_fhir(result, plain_report, settings=FhirSettings(), report_settings=ReportSettings(), now=NOW))
    expected = {
        (SIDES[i.laterality], f"PROBABILITY_{s.label}") for i in images for s in i.positives if s.label in FINDINGS
    }
    observations = said.of("Observation")
    shown = [(code(o["bodySite"]), code(o["code"])) for o in observations if "PROBABILITY" in code(o["code"])]
    assert sorted(shown) == sorted(expected)
    assert len({entry["fullUrl"] for entry in said.entries}) == len(said.entries)
    for one in observations:
        assert ("dataAbsentReason" in one) != any(name.startswith("value") for name in one)


def test_an_image_scored_against_the_rules_says_so(tmp_path: Path) -> None:
    odd = replace(image(1, DR=0.9), despite=(Reason(ReasonCode.UNGRADABLE, "sharpness 0.2"),))
    bundle = sent(tmp_path, odd)
    assert "although judged" in bundle.finding("DR", "R")["note"][-1]["text"]
    assert any("although judged" in note["text"] for note in bundle.eye("R")["note"])


def test_sites_may_say_how_urgent_a_label_is(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1, DR=0.9), urgencies=(("DR", Urgency.ROUTINE),))
    assert code(component(bundle.finding("DR", "R"), "Suggested urgency of review")) == "ROUTINE"


def test_the_patient_is_an_identifier_and_nothing_else(tmp_path: Path) -> None:
    bundle = sent(
        tmp_path, image(1, DR=0.9), PatientName="Müller^Änne", PatientComments="afraid", IssuerOfPatientID="Clinic 3"
    )
    assert not re.search("Müller|Änne|Doe|afraid|1960|Screening", bundle.text)
    expected = {"type": "Patient", "identifier": {"value": "P-1", "assigner": {"display": "Clinic 3"}}}
    assert [r["subject"] for r in bundle.resources if r["resourceType"] != "Device"] == [expected] * (
        len(bundle.resources) - 1
    )
    assert "subject" not in bundle.of("Device")[0]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Müller^Änne^^Dr.", "Müller Änne Dr."),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada Tarou / 山田 太郎 / やまだ たろう"),
        ("", None),
    ],
)
def test_the_name_stands_beside_it_where_the_site_wants_it(tmp_path: Path, name: str, shown: str | None) -> None:
    bundle = sent(tmp_path, image(1), settings=FhirSettings(include_patient_name=True), PatientName=name)
    assert bundle.report["subject"].get("display") == shown


def test_patients_without_an_identifier_are_nobody(tmp_path: Path) -> None:
    bundle = sent(tmp_path, image(1), PatientID="", AccessionNumber="")
    assert "subject" not in bundle.report
    assert "basedOn" not in bundle.report


def test_the_namespace_of_patients_comes_from_the_photographs_or_the_site(tmp_path: Path) -> None:
    qualifiers = Dataset()
    qualifiers.UniversalEntityID = "1.2.276.0.76.3"
    qualifiers.UniversalEntityIDType = "ISO"
    values = {"IssuerOfPatientIDQualifiersSequence": [qualifiers], "PatientID": "P 1|x"}
    own = sent(tmp_path, image(1), **values)
    assert own.report["subject"]["identifier"]["system"] == "urn:oid:1.2.276.0.76.3"
    sites = FhirSettings(patient_system="https://clinic.example/patients", resolve_patient=True)
    resolved = sent(tmp_path, image(1), settings=sites, **values).report["subject"]
    assert resolved["reference"] == "Patient?identifier=https://clinic.example/patients|P%201%7Cx"
    assert resolved["identifier"]["system"] == "https://clinic.example/patients"
    with pytest.raises(ValueError, match="patient_system"):
        FhirSettings(resolve_patient=True)


def test_times_have_a_time_of_day_only_where_the_zone_is_known(tmp_path: Path) -> None:
    assert sent(tmp_path, image(1)).report["effectiveDateTime"] == "2026-03-01"
    zoned = sent(tmp_path, image(1), image(2, "L"), TimezoneOffsetFromUTC="+0100")
    assert zoned.report["effectiveDateTime"] == "2026-03-01T10:16:00+01:00"
    assert zoned.report["issued"] == "2026-03-04T05:06:07.000Z"
    nowhen = {"AcquisitionDateTime": None, "StudyDate": "", "StudyTime": ""}
    assert "effectiveDateTime" not in sent(tmp_path, image(1), **nowhen).report
    of_the_study = sent(tmp_path, image(1), AcquisitionDateTime=None, TimezoneOffsetFromUTC="-0330")
    assert of_the_study.report["effectiveDateTime"] == "2026-03-01T10:15:00-03:30"


def test_a_revision_names_the_report_before_it(tmp_path: Path) -> None:
    earlier = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", derive_uid("earlier"), derive_uid("series"))
    result = study(image(1, DR=0.9), image(2, "L"), revision=2, predecessor=earlier)
    (extension,) = sent(tmp_path, result=result).report["extension"]
    assert extension == {
        "url": "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces",
        "valueReference": {
            "type": "DiagnosticReport",
            "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{earlier.sop_instance_uid}"},
        },
    }
    partial = replace(result, images=(image(1, DR=0.9), unassessed(2, "L", ReasonCode.FILE_REMOVED)))
    adds = sent(tmp_path, result=partial).report
    assert adds["extension"][0]["url"].endswith("addendumOf")
    assert "adds to the earlier report" in adds["conclusion"]
    assert "extension" not in sent(tmp_path, image(1)).report


def test_other_patients_in_the_study_are_said_first(tmp_path: Path) -> None:
    result = replace(study(image(1, DR=0.9)), patient_conflict=True)
    assert "Check which patient" in sent(tmp_path, result=result).report["conclusion"].splitlines()[1]


def test_a_report_of_another_study_is_refused(tmp_path: Path) -> None:
    result = study(image(1))
    report = structured(tmp_path, result)
    report.StudyInstanceUID = derive_uid("another")
    with pytest.raises(InvalidReport, match="another study"):
        build_fhir(result, report, settings=FhirSettings(), report_settings=ReportSettings(), now=NOW)


def test_icd_10_can_be_left_out(tmp_path: Path) -> None:
    assert "sid/icd-10" in sent(tmp_path, image(1, DR=0.9)).text
    assert "sid/icd-10" not in sent(tmp_path, image(1, DR=0.9), settings=FhirSettings(icd10=False)).text


@pytest.mark.shared
def test_icd_10_classes_are_those_that_are_no_guess(shared: Path) -> None:
    with (shared / "facts" / "labels.csv").open(encoding="utf-8", newline="") as file:
        facts = {row["label"]: row["icd10"] for row in csv.DictReader(file)}
    for label, known in fhir_terms.ICD_10_CLASSES.items():
        assert facts[label].split()[0] == known.value
    guessed = {
        label for label, words in facts.items() if re.search(r"nearest|memory|none|\bor\b|;\s*H\d\d\.\d if", words)
    }
    assert not guessed & set(fhir_terms.ICD_10_CLASSES)
