"""Word of an urgent study: what it says, and what it never says unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from ocunet_pacs.domain.labels import Urgency
from ocunet_pacs.domain.result import ImageResult, StudyResult, derive_uid
from ocunet_pacs.domain.study import Reason, ReasonCode
from ocunet_pacs.logs import study_digest
from ocunet_pacs.report.notice import KEYWORDS, build_notice
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from ocunet_pacs.settings.outgoing import NOTICE_FIELDS
from tests.unit.report.made import NOW, STUDY, UNTRAINED, image, photograph, study

REPORT = derive_uid("a report")
MARKED = {
    "PatientName": "Marked^Name",
    "PatientID": "MARKED-ID",
    "PatientBirthDate": "19010101",
    "AccessionNumber": "MARKED-ACC",
    "StudyDate": "19020202",
    "StudyInstanceUID": STUDY,
    "StationName": "MARKED-STATION",
    "InstitutionName": "MARKED-HOUSE",
    "ReferringPhysicianName": "Marked^Doctor",
    "StudyDescription": "MARKED-STUDY",
}


def header(**values: str) -> Dataset:
    ds = Dataset()
    for keyword, value in (MARKED | values).items():
        setattr(ds, keyword, value)
    return ds


def notice(result: StudyResult, *, include: tuple[str, ...] = (), **more: Any) -> tuple[dict[str, Any], str]:
    urgencies = more.pop("urgencies", ())
    content = build_notice(
        result,
        REPORT,
        study_header=more.pop("study_header", header()),
        include=include,
        settings=ReportSettings(urgencies=urgencies),
        now=NOW,
        software_version="1.2.3",
    )
    return json.loads(content), content.decode()


def urgent() -> tuple[ImageResult, ...]:
    missed = replace(image(4), scores=(), reasons=(Reason(ReasonCode.UNGRADABLE, "sharpness 0.2"),))
    return image(1, "R", DR=0.9, Disease_Risk=0.99), image(2, "L", RD=0.7, DN=0.8), image(3, "R", DR=0.95), missed


def test_says_the_findings_the_most_urgent_first() -> None:
    said, _ = notice(study(*urgent()))
    assert said["kind"] == "urgent_study"
    assert said["urgency"] == "emergency"
    assert [(f["label"], f["eye"], f["urgency"], f["probability"]) for f in said["findings"]] == [
        ("RD", "OS", "emergency", 0.7),
        ("DR", "OD", "soon", 0.95),
        ("DN", "OS", "routine", 0.8),
    ]
    assert said["findings"][0] == {
        "eye": "OS",
        "label": "RD",
        "display": "Retinal detachment",
        "probability": 0.7,
        "threshold": 0.5,
        "urgency": "emergency",
    }
    assert said["not_assessed"] == 1
    assert said["report_sop_instance_uid"] == REPORT
    assert said["trained"] is True
    assert "not a diagnosis" in said["disclaimer"]
    assert said["made"] == "2026-03-04T05:06:07.000Z"
    assert said["content_qualification"] == "RESEARCH"


def test_says_nothing_of_the_patient_unasked() -> None:
    said, text = notice(study(*urgent()))
    assert said["study"] == {"digest": study_digest(STUDY)}
    assert "marked" not in text.lower()
    assert STUDY not in text
    assert "1901" not in text
    assert "1902" not in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("study_instance_uid", STUDY),
        ("accession_number", "MARKED-ACC"),
        ("patient_id", "MARKED-ID"),
        ("patient_name", "Marked Name"),
        ("station_name", "MARKED-STATION"),
    ],
)
def test_says_what_the_site_allows_and_no_more(field: str, value: str) -> None:
    said, text = notice(study(*urgent()), include=(field,))
    assert said["study"] == {"digest": study_digest(STUDY), field: value}
    rest = text.replace(value, "")
    assert "marked" not in rest.lower()


def test_leaves_out_what_nobody_knows() -> None:
    said, _ = notice(study(*urgent()), include=tuple(KEYWORDS), study_header=Dataset())
    assert set(said["study"]) == {"digest"}


def test_names_keep_their_scripts() -> None:
    said, text = notice(
        study(*urgent()), include=("patient_name",), study_header=header(PatientName="Yamada^Tarou=山田^太郎")
    )
    assert said["study"]["patient_name"] == "Yamada Tarou / 山田 太郎"
    assert "山田" in text


def test_the_settings_offer_what_can_be_told() -> None:
    assert set(NOTICE_FIELDS) == set(KEYWORDS)
    with pytest.raises(ValueError, match="patient_birth_date"):
        notice(study(*urgent()), include=("patient_birth_date",))


def test_is_known_again_when_it_comes_twice() -> None:
    first, text = notice(study(*urgent()))
    assert notice(study(*urgent()))[1] == text
    assert notice(study(*urgent()[:2]))[0]["id"] != first["id"]


def test_untrained_weights_are_said() -> None:
    said, _ = notice(study(*urgent(), bundle=UNTRAINED))
    assert said["trained"] is False
    assert said["disclaimer"].startswith("UNTRAINED MODEL")


def test_sites_may_say_how_urgent_a_label_is() -> None:
    said, _ = notice(study(image(1, DR=0.9)), urgencies=(("DR", Urgency.URGENT),))
    assert said["urgency"] == said["findings"][0]["urgency"] == "urgent"


def test_a_study_without_findings_is_not_urgent() -> None:
    said, _ = notice(study(image(1)))
    assert (said["urgency"], said["findings"]) == ("none", [])


def test_the_reporter_tells_what_any_of_the_photographs_says(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM")
    images = image(1, DR=0.9), image(2, "L"), image(3, "L")
    sources = {
        images[0].sop_instance_uid: tmp_path / "broken.dcm",
        images[1].sop_instance_uid: photograph(tmp_path / "2.dcm", 2, AccessionNumber=""),
        images[2].sop_instance_uid: photograph(tmp_path / "3.dcm", 3, StationName="CAMERA-2"),
    }
    reports = Reports(ReportSettings(), lambda: NOW, "1.2.3", notices={"all": tuple(KEYWORDS), "none": ()})
    missed = replace(images[0], scores=(), reasons=(Reason(ReasonCode.UNREADABLE_DATASET, "broken"),))
    result = study(missed, *images[1:])
    report = reports.report(result, sources, {})
    told = json.loads(reports.notice(result, report, sources, "all").content)["study"]
    assert told == {
        "digest": study_digest(STUDY),
        "study_instance_uid": STUDY,
        "accession_number": "A-7",
        "patient_id": "P-1",
        "patient_name": "Roe Jane",
        "station_name": "CAMERA-2",
    }
    untold = json.loads(reports.notice(result, report, sources, "none").content)
    assert untold["study"] == {"digest": study_digest(STUDY)}
    assert untold["report_sop_instance_uid"] == report.sop_instance_uid
