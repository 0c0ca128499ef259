"""One case through everything: built in three SOP classes, validated, dumped, compared and read back by others."""

from __future__ import annotations

import subprocess
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import highdicom
from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sr.codedict import codes as dictionary
from pydicom.tag import Tag

from ocunet_pacs.domain.result import MadeObject, Output, OutputKind, StudyResult, derive_uid, work_key
from ocunet_pacs.domain.routes import Form
from ocunet_pacs.report import codes
from ocunet_pacs.report.report_settings import SR_CLASSES
from ocunet_pacs.report.reporter import Reports
from ocunet_pacs.report.secondary_capture import heatmap_uid
from ocunet_pacs.report.validate import broken_rules
from tests.conformance.reports.cases import Case, cases, own
from tests.unit.report.made import photograph, reporter

Statement = tuple[str, str, str, float | None, str, int]
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@cache
def every_case() -> dict[str, Case]:
    return cases()


def start_worker() -> None:
    """What a process of the pool does first."""
    warnings.simplefilter("error")


def examine(name: str, folder: str, programs: dict[str, str]) -> list[str]:
    """What is wrong with the case's reports; empty where nothing is."""
    place = Path(folder) / derive_uid("case", name)
    place.mkdir()
    case = own(name, every_case()[name])
    reports = reporter(**case.settings)
    sources = _photographs(place, name, case)
    result, pictures = _result(name, case, reports)
    forms = [Form(word, case.heatmap, case.title) for word in SR_CLASSES]
    made = {form.sr_class: reports.report(result, sources, pictures, form) for form in forms}
    paths = []
    for word, report in made.items():
        paths.append(place / f"{word}.dcm")
        paths[-1].write_bytes(report.content)
    problems = [f"{path.stem}: {line}" for path in paths for line in _errors(programs["dciodvfy"], path, case.allowed)]
    problems += _run("dsrdump", [programs["dsrdump"], "-q", "+Pt", "+Pc", *map(str, paths)])
    if case.compare:
        same = _to_compare(place, name, case, sources)
        problems += _run("dcentvfy", [programs["dcentvfy"], *map(str, same), *map(str, paths)])
    problems += _same_trees(made)
    turn = list(every_case()).index(name) % len(paths)
    listed = set(sources) | (set(pictures) if case.heatmap else set())
    problems += _read_back(paths[turn], expected(result, case), listed)
    if turn == 0:  # each was held to the rules before it was written; what is written is held to them again
        problems += [f"rule {rule}" for rule in broken_rules(dcmread(paths[turn]))]
    return problems


def _photographs(place: Path, name: str, case: Case, suffix: str = ".dcm") -> dict[str, Path]:
    """The photographs on disk, each of this case's own study and patient."""
    sources: dict[str, Path] = {}
    for one in case.images:
        if one.sop_instance_uid in sources:
            continue
        values = {
            "StudyInstanceUID": derive_uid("matrix study", name),
            "SeriesInstanceUID": derive_uid("matrix series", name),
            "SOPInstanceUID": one.sop_instance_uid,
            "ImageLaterality": {"R": "R", "L": "L", "U": "B"}[one.laterality],
            **case.values,
        }
        if name == "without rows" and not one.assessed:
            values |= dict.fromkeys(("Rows", "Columns", "PixelData"))
        plain = {key: value for key, value in values.items() if not isinstance(value, bytes)}
        path = place / f"photograph{one.ordinal}{suffix}"
        with config.disable_value_validation():
            photograph(path, one.ordinal, frames=1 if one.frame is None else 2, **plain)
            write_as_they_are(path, {key: value for key, value in values.items() if isinstance(value, bytes)})
        sources[one.sop_instance_uid] = path
    return sources


def write_as_they_are(path: Path, values: dict[str, bytes]) -> None:
    if not values:
        return
    ds = dcmread(path)
    for keyword, value in values.items():
        tag = Tag(keyword)
        ds[tag] = RawDataElement(
            tag, dictionary_VR(tag), len(value), value, 0, is_implicit_VR=False, is_little_endian=True
        )
    ds.save_as(path)


def _result(name: str, case: Case, reports: Reports) -> tuple[StudyResult, dict[str, Output]]:
    """What the model said, and rows for the heatmaps that there would be."""
    pictures: dict[str, Output] = {}
    images = []
    for one in case.images:
        shown = one
        if one.positives:
            shown = replace(one, heatmap_uid=reports.heatmap_uid(one, case.bundle))
            uid = heatmap_uid(one, case.bundle, reports._settings, case.heatmap or "uncompressed")
            series = derive_uid("matrix heatmaps", name)
            pictures[uid] = Output(OutputKind.HEATMAP, SECONDARY_CAPTURE, uid, series, "key")
        images.append(shown)
    key = work_key((one.sop_instance_uid for one in images), case.bundle.digest, name)
    result = StudyResult(derive_uid("matrix study", name), 1, key, case.bundle, tuple(images))
    return case.change(result), pictures


def _errors(program: str, path: Path, allowed: str) -> list[str]:
    """What dciodvfy calls an error; it exits with 0 whatever it finds."""
    done = subprocess.run([program, "-new", str(path)], capture_output=True, timeout=120, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    if not lines:
        return ["dciodvfy is silent"]
    errors = [line for line in lines if line.startswith(("Error", "Abort"))]
    return [line for line in errors if not allowed or allowed not in line]


def _run(name: str, command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    return [] if done.returncode == 0 else [f"{name}: {output}"]


def _to_compare(place: Path, name: str, case: Case, sources: dict[str, Path]) -> Iterable[Path]:
    """dcentvfy compares bytes, so photographs in another character set than the report's are written in that too."""
    if case.values.get("SpecificCharacterSet", "ISO_IR 192") == "ISO_IR 192":
        return sources.values()
    values = {**case.values, "SpecificCharacterSet": "ISO_IR 192", "PatientName": case.patient}
    return _photographs(place, name, replace(case, values=values), ".utf8").values()


def _same_trees(made: dict[str, MadeObject]) -> list[str]:
    """The content is the same in every SOP class, byte for byte."""
    trees = {report.content.partition(b"\x40\x00\x30\xa7SQ")[2] for report in made.values()}
    return [] if len(trees) == 1 and all(trees) else ["the trees of the three SOP classes differ"]


def expected(result: StudyResult, case: Case) -> Counter[Statement]:
    """(finding, site, side, probability, instance, frame) of everything that the report must state."""
    found: Counter[Statement] = Counter()
    below = case.settings.get("include_below_threshold", False)
    for one in result.images:
        side = {"R": "24028007", "L": "7771000", "U": ""}[one.laterality]
        for score in one.scores:
            label = codes.label_of(score.label)
            if score.positive or below:
                is_class = score.label in {"Disease_Risk", "NORMAL"}
                finding = "" if is_class else label.code.value
                probability = round(100 * score.probability, 2)
                found[finding, label.site.value, side, probability, one.sop_instance_uid, one.frame or 0] += 1
    return found


def _read_back(path: Path, statements: Counter[Statement], listed: set[str]) -> list[str]:
    """What highdicom reads, against what the model said and the instances that the report is about."""
    report: Any = highdicom.sr.srread(path)
    if {instance for _, _, instance, _ in report.get_evidence()} != listed:
        return ["the evidence is not what the report is about"]
    found: Counter[Statement] = Counter()
    for group in report.content.get_image_measurement_groups():
        for number in group.get_measurements(name=dictionary.DCM.Probability):
            if number.unit.value != "%":
                return [f"highdicom reads {number.unit.value} as the unit"]
            (site,) = group.finding_sites
            (source,) = group.source_images
            frames = source.referenced_frame_numbers or [0]
            laterality = site.laterality
            found[
                "" if group.finding_type is None else group.finding_type.value,
                site.value.value,
                "" if laterality is None else laterality.value,
                number.value,
                source.referenced_sop_instance_uid,
                frames[0],
            ] += 1
    return [] if found == statements else [f"highdicom reads {found - statements} for {statements - found}"]
