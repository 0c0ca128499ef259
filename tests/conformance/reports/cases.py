"""The matrix: studies of every label, eye and number of frames, every gap in a header, every script, every refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from ocunet_pacs.domain.labels import LABELS, Urgency
from ocunet_pacs.domain.result import BundleRef, ImageResult, Predecessor, StudyResult, derive_uid
from ocunet_pacs.domain.routes import USUAL_TITLE
from ocunet_pacs.domain.study import Laterality, Reason, ReasonCode
from ocunet_pacs.report import header
from tests.unit.report.made import TRAINED, UNTRAINED, image, scores

Change = Callable[[StudyResult], StudyResult]
OF_THE_IMAGE = (
    "AcquisitionDateTime",
    "ImageLaterality",
    "LossyImageCompression",
    "Modality",
    "PatientOrientation",
    "Columns",
    "InstanceNumber",
)
"""What a report takes from a photograph beside patient and study."""


@dataclass(frozen=True)
class Case:
    """One study. `values` are attributes of its photographs: None removes one, bytes are written as they are.

    `compare` is false where a photograph says something that no report can repeat: a date that is none.
    """

    images: tuple[ImageResult, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    bundle: BundleRef = TRAINED
    settings: Mapping[str, Any] = field(default_factory=dict)
    change: Change = lambda result: result
    heatmap: str = "uncompressed"
    title: str = USUAL_TITLE
    compare: bool = True
    patient: str = ""
    """The name that the photographs' bytes stand for, where they are in another character set than the report."""
    allowed: str = ""
    """What dciodvfy says of a value that is the photograph's own, and not ours to change."""


def refused(ordinal: int, eye: str, code: ReasonCode, frame: int | None = None) -> ImageResult:
    return replace(image(ordinal, eye, frame=frame), scores=(), reasons=(Reason(code, "this is why"),))


ONE = (image(1, "R", DR=0.9),)
EVERY_LABEL = dict.fromkeys((label.name for label in LABELS), 0.9)


def cases() -> dict[str, Case]:
    """All cases by name."""
    found: dict[str, Case] = {}
    for rows in (labels(), gaps(), names(), refusals(), others()):
        for name, case in rows:
            assert name not in found, name
            found[name] = case
    return found


def labels() -> Iterator[tuple[str, Case]]:
    for number, label in enumerate(LABELS):
        p = round(0.5 + number / 61, 4)
        for eye in Laterality:
            yield f"{label.name} {eye} single", Case((image(1, eye, **{label.name: p}),))
            frames = image(1, eye, frame=1, **{label.name: p}), image(1, eye, frame=2)
            yield f"{label.name} {eye} frames", Case(frames)


MALFORMED: Mapping[str, bytes] = {
    "PatientBirthDate": b"19601399",
    "PatientBirthTime": b"259999",
    "PatientSex": b"?!",
    "PatientAge": b"old ",
    "PatientSize": b"tall",
    "PatientWeight": b"heavy ",
    "StudyDate": b"2026-3-1",
    "StudyTime": b"noon",
    "PatientName": b"Roe^J\xfc",
    "TimezoneOffsetFromUTC": b"UTC ",
    "AcquisitionDateTime": b"yesterday ",
    "ImageLaterality": b"RL",
    "Modality": b"op",
    "LossyImageCompression": b"NO",
    "PatientIdentityRemoved": b"maybe ",
}
"""Values that their VR or their definition does not allow."""


def gaps() -> Iterator[tuple[str, Case]]:
    """Each attribute absent, empty and malformed, by itself and all together."""
    present = (*header.REQUIRED, "StudyDescription", *OF_THE_IMAGE)
    copied = tuple(dict.fromkeys((*header.REQUIRED, *header.OPTIONAL, *OF_THE_IMAGE, "InstitutionName")))
    for keyword in present:
        yield f"{keyword} absent", Case(ONE, {keyword: None})
    for keyword in copied:
        yield f"{keyword} empty", Case(ONE, {keyword: empty(keyword)})
    for keyword, value in MALFORMED.items():
        yield f"{keyword} malformed", Case(ONE, {keyword: value}, compare=False)
    for keyword in ("AccessionNumber", "StudyID"):
        long = Case(ONE, {keyword: b"X-12345678901234567890"}, allowed="Length invalid for this VR = <22>")
        yield f"{keyword} longer than allowed", long
    for keyword in copied:
        if dictionary_VR(keyword) == "SQ":
            yield f"{keyword} with an empty item", Case(ONE, {keyword: [Dataset()]}, compare=False)
    yield "everything absent", Case((image(1, "U", DR=0.9),), dict.fromkeys(present))
    yield "everything empty", Case((image(1, "U", DR=0.9),), {keyword: empty(keyword) for keyword in copied})
    yield "everything malformed", Case(ONE, MALFORMED, compare=False)
    yield (
        "nothing about the second photograph",
        Case((*ONE, image(2, "L", RD=0.7)), {"AccessionNumber": None, "StudyTime": None}),
    )


def empty(keyword: str) -> object:
    return [] if dictionary_VR(keyword) == "SQ" else b""


NAMES: Mapping[str, tuple[str | list[str] | None, str]] = {
    "ascii without character set": (None, "Roe^Jane"),
    "latin-1": ("ISO_IR 100", "Müller^Jürgen"),
    "latin-2": ("ISO_IR 101", "Wałęsa^Žofia"),
    "latin-3": ("ISO_IR 109", "Ĉapelo^Ĝis"),
    "latin-4": ("ISO_IR 110", "Šķiņķis^Jānis"),
    "latin-5": ("ISO_IR 148", "Çavuşoğlu^Ahmet"),
    "cyrillic": ("ISO_IR 144", "Иванов^Пётр"),
    "greek": ("ISO_IR 126", "Διονύσιος^Ελένη"),
    "arabic": ("ISO_IR 127", "قباني^نزار"),
    "hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "thai": ("ISO_IR 166", "สมชาย^ใจดี"),
    "half-width kana": (["ISO_IR 13"], "ﾔﾏﾀﾞ^ﾀﾛｳ=ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "kanji": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "kanji and kana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "supplementary kanji": (["", "ISO 2022 IR 87", "ISO 2022 IR 159"], "Yamada^Tarou=山田^太郎=丂丄^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese 2022": (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"),
    "gb18030": ("GB18030", "Wang^XiaoDong=王^小东="),
    "gbk": ("GBK", "Wang^XiaoDong=王^小东="),
    "greek beside cyrillic": (["ISO 2022 IR 100", "ISO 2022 IR 126", "ISO 2022 IR 144"], "Διον^Иван"),
    "utf-8 japanese": ("ISO_IR 192", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "utf-8 korean": ("ISO_IR 192", "Kim^Hyunji=金^賢智=김^현지"),
    "utf-8 greek": ("ISO_IR 192", "Παπαδόπουλος^Γεώργιος"),
    "utf-8 cyrillic": ("ISO_IR 192", "Щукина^Ольга"),
    "utf-8 arabic": ("ISO_IR 192", "القحطاني^محمد"),
    "utf-8 devanagari": ("ISO_IR 192", "शर्मा^अनिल"),
    "utf-8 beyond the plane": ("ISO_IR 192", "𠮷田^太郎"),
    "utf-8 decomposed": ("ISO_IR 192", "Mu\u0308ller^Ju\u0308rgen"),
    "five components": ("ISO_IR 192", "Adams^John Robert Quincy^de^Rev.^B.A. M.Div."),
    "only ideographic": ("ISO_IR 192", "=山田^太郎"),
    "long": ("ISO_IR 192", f"{'Wolfeschlegelsteinhausen' * 2}^{'Hubert' * 2}"),
    "long and not ascii": ("ISO_IR 192", f"{'Łódź' * 7}^{'Žofia' * 6}"),
    "apostrophes": ("ISO_IR 100", "O'Brien-d'Été^Anne-Marie"),
}


_CHINESE = "Zhang^XiaoDong=\x1b$)A张^\x1b$)A小东".encode("gb2312")
"""PS3.5 annex K; pydicom reads it and cannot write it."""


def names() -> Iterator[tuple[str, Case]]:
    for name, (charset, patient) in NAMES.items():
        counted = "Length invalid for this VR = <86>" if name == "long and not ascii" else ""  # bytes, not characters
        written = _CHINESE if name == "chinese 2022" else patient
        values = {"SpecificCharacterSet": charset, "PatientName": written}
        yield f"name {name}", Case(ONE, values, allowed=counted, patient=patient)


def refusals() -> Iterator[tuple[str, Case]]:
    for code in ReasonCode:
        yield f"refused {code}", Case((refused(1, "R", code),))
    yield "refused of both eyes", Case((refused(1, "R", ReasonCode.CHILD), refused(2, "L", ReasonCode.UNGRADABLE)))
    yield "refused frames", Case(tuple(refused(1, "U", ReasonCode.NOT_FUNDUS, frame) for frame in (1, 2)))
    yield (
        "refused for two reasons",
        Case((replace(refused(1, "L", ReasonCode.UNGRADABLE), reasons=(Reason(ReasonCode.UNGRADABLE, "dark"),) * 2),)),
    )
    yield "refused without a reason", Case((replace(refused(1, "L", ReasonCode.CHILD), reasons=()),))
    yield (
        "one assessed beside every refusal",
        Case((*ONE, *(refused(n, "R", code) for n, code in enumerate(ReasonCode, 2)))),
    )


def others() -> Iterator[tuple[str, Case]]:
    both = (image(1, "R", DR=0.9, EDN=0.8), image(2, "L", GLAUCOMA=0.9, NORMAL=0.7))
    earlier = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4", "1.2.3")
    gone = Reason(ReasonCode.FILE_REMOVED, "its file is no longer kept")
    judged = (Reason(ReasonCode.UNGRADABLE, "out of focus: contrast 0.0021, at least 0.003 is needed"),)
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "T-AA610", "SRT", "Retina"
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "FUN", "99CLINIC", "Fundus"
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = "99CLINIC", "Our clinic's"

    yield "both eyes", Case(both)
    yield "no label", Case((image(1, "R"), image(2, "L")))
    yield "every label", Case((replace(image(1, "L"), scores=scores(**EVERY_LABEL)),))
    yield (
        "every label of three eyes",
        Case(tuple(replace(image(n, eye), scores=scores(**EVERY_LABEL)) for n, eye in enumerate("RLU", 1))),
    )
    yield "normal beside a disease", Case((image(1, "R", NORMAL=0.9, RD=0.8),))
    yield "normal beside the flag", Case((image(1, "R", NORMAL=0.9, Disease_Risk=0.8),))
    yield "normal in one image, disease in the other", Case((image(1, "R", NORMAL=0.9), image(2, "R", RD=0.8)))
    yield "normal and contradictory images", Case((image(1, "R", NORMAL=0.9), image(2, "R", NORMAL=0.8, RD=0.8)))
    yield "the flag alone", Case((image(1, "R", Disease_Risk=0.9),))
    yield "the flag alone beside another eye's label", Case((image(1, "R", Disease_Risk=0.9), image(2, "L", MYA=0.9)))
    yield "a disease and the flag", Case((image(1, "R", Disease_Risk=0.9, CRVO=0.8),))
    yield "haze and a disease", Case((image(1, "R", MH=0.9), image(2, "L", DR=0.8)))
    yield "at the threshold", Case((image(1, "R", DR=0.5),))
    yield "certain", Case((image(1, "R", DR=1.0),))
    yield "a hair above", Case((image(1, "R", DR=0.500001),))
    for eye in Laterality:
        yield f"below threshold {eye}", Case((image(1, eye, DR=0.9),), settings={"include_below_threshold": True})
        yield f"untrained {eye}", Case((image(1, eye, DR=0.9), image(2, eye)), bundle=UNTRAINED)
        yield f"scored although judged {eye}", Case((replace(image(1, eye, DR=0.9), despite=judged), image(2, eye)))
        yield f"without heatmaps {eye}", Case((image(1, eye, DR=0.9),), heatmap="")
        yield f"the title for OHIF {eye}", Case((image(1, eye, DR=0.9), image(2, eye)), title="imaging-report")
        yield f"jpeg heatmaps {eye}", Case((image(1, eye, DR=0.9),), heatmap="jpeg")
    yield "revision 2", Case(both, change=lambda result: replace(result, revision=2, predecessor=earlier))
    yield "revision 2 of nothing", Case(both, change=lambda result: replace(result, revision=2))
    yield (
        "revision beside a removed file",
        Case(
            (*ONE, replace(refused(2, "U", ReasonCode.FILE_REMOVED), reasons=(gone,))),
            change=lambda result: replace(result, revision=3, predecessor=earlier),
        ),
    )
    yield "another patient's objects", Case(ONE, change=lambda result: replace(result, patient_conflict=True))
    yield (
        "a stereo pair",
        Case(
            (*ONE, image(2, "R")),
            change=lambda r: replace(r, stereo_pairs=((r.images[0].sop_instance_uid, r.images[1].sop_instance_uid),)),
        ),
    )
    yield "quality measured", Case((replace(ONE[0], quality=(("brightness", 86.0),)), image(2, "L")))
    yield "nothing but context", Case((refused(1, "U", ReasonCode.CONTEXT), refused(2, "R", ReasonCode.CONTEXT)))
    yield "a photograph and context", Case((*ONE, refused(2, "U", ReasonCode.CONTEXT)))
    yield (
        "frames of two eyes",
        Case((image(1, "R", frame=1, DR=0.9), image(1, "L", frame=2, RD=0.8)), {"ImageLaterality": "B"}),
    )
    yield (
        "frames of two eyes, one refused",
        Case((image(1, "R", frame=1, DR=0.9), refused(1, "L", ReasonCode.UNGRADABLE, 2)), {"ImageLaterality": "B"}),
    )
    yield "twelve images", Case(tuple(image(n, "RL"[n % 2], DR=0.5 + n / 30, CATARACT=0.9) for n in range(1, 13)))
    yield "old codes", Case(ONE, {"AnatomicRegionSequence": [region]})
    yield (
        "private codes",
        Case(ONE, {"ProcedureCodeSequence": [procedure], "CodingSchemeIdentificationSequence": [scheme]}),
    )
    yield "private codes that nobody identifies", Case(ONE, {"ProcedureCodeSequence": [procedure]})
    yield (
        "urgencies of the site",
        Case(
            (image(1, "R", CATARACT=0.9, Disease_Risk=0.9),),
            settings={"urgencies": (("CATARACT", Urgency.EMERGENCY), ("Disease_Risk", Urgency.SOON))},
        ),
    )
    for qualification in ("PRODUCT", "SERVICE"):
        yield f"qualified as {qualification}", Case(ONE, settings={"content_qualification": qualification})
    yield "a site's names", Case(ONE, settings={"institution_name": "Augenklinik Zürich", "device_name": "X" * 40})
    yield "a name of its series", Case(ONE, settings={"series_number": 1200})
    yield "an operating point", Case(ONE, bundle=replace(TRAINED, operating_point="screening"))
    yield (
        "missing labels",
        Case(
            (replace(ONE[0], scores=tuple(s for s in ONE[0].scores if s.label not in {"RP", "Disease_Risk"})),),
            bundle=replace(TRAINED, missing_labels=("RP", "Disease_Risk")),
        ),
    )
    yield (
        "a label that nobody knows",
        Case((replace(ONE[0], scores=(*ONE[0].scores, replace(ONE[0].scores[1], label="A_LABEL_OF_ANOTHER_MODEL"))),)),
    )
    yield "external camera", Case(ONE, {"Modality": "XC"})
    yield "modality unknown", Case(ONE, {"Modality": "ZZ"})
    yield "without rows", Case((*ONE, refused(2, "R", ReasonCode.NO_PIXELS)), {"AcquisitionDateTime": None})
    yield "in another zone", Case(ONE, {"TimezoneOffsetFromUTC": "+0900"})


def own(name: str, case: Case) -> Case:
    """The same case about instances of its own, so that no two cases share a UID."""
    mine = tuple(replace(one, sop_instance_uid=derive_uid("matrix", name, str(one.ordinal))) for one in case.images)
    return replace(case, images=mine)
