"""What a file's name says, which object a picture becomes, and when a file is complete."""

from __future__ import annotations

import string
from datetime import date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.intake.settling import Seen, Settling
from ocunet_pacs.intake.watch import NO_FACTS, Facts, is_ignored, read_name, taken_at, uids_for
from ocunet_pacs.settings import from_tree

PATTERN = r"(?P<patient_id>[^_]+)_(?P<laterality>[^_]*)_(?P<date>[\d-]*)(_(?P<accession>[^_]*))?"
WRITTEN = datetime(2026, 3, 9, 12, 30, tzinfo=timezone(timedelta(hours=1)))


def test_a_name_that_fits() -> None:
    assert read_name(PATTERN, "P1_OD_20260301_A7.jpg") == Facts(
        patient_id="P1", laterality=Laterality.RIGHT, date=date(2026, 3, 1), accession="A7"
    )
    assert read_name(PATTERN, "P1_l_2026-03-01") == Facts("P1", "", Laterality.LEFT, date(2026, 3, 1))
    moment = read_name(PATTERN, "P1__20260301-173000.tif")
    assert moment is not None
    assert (moment.date, moment.time) == (date(2026, 3, 1), time(17, 30))
    name = read_name(r"(?P<patient_name>.*)#.*", "Müller^Zoë#1.png")
    assert name == Facts(patient_name="Müller^Zoë")


@pytest.mark.parametrize(
    "name",
    [
        "P1_R.jpg",  # the pattern wants more
        "x P1_R_20260301_A_more.jpg",
        "P1_R_20260231.jpg",  # no such day
        "P1_R_2026.jpg",
        "P1_R_00010101.jpg",
        f"{'P' * 65}_R_20260301.jpg",  # longer than a Patient ID may be
        "P1_R_20260301_12345678901234567.jpg",
        "P\\1_R_20260301.jpg",  # would be two values in DICOM
        "P\n1_R_20260301.jpg",
        "P\udcff_R_20260301.jpg",  # bytes that are no UTF-8
        "",
    ],
)
def test_a_name_that_does_not_fit_says_nothing_at_all(name: str) -> None:
    assert read_name(PATTERN, name) is None
    assert read_name("", name) is None


@pytest.mark.parametrize(
    ("word", "eye"),
    [("R", "R"), ("od", "R"), ("Right", "R"), ("l", "L"), ("OS", "L"), ("LEFT", "L")]
    + [(word, "U") for word in ("", "OU", "both", "re", "RL", "links", "X")],
)
def test_an_eye_is_known_or_unknown_but_never_guessed(word: str, eye: str) -> None:
    facts = read_name(PATTERN, f"P1_{word}_20260301.jpg")
    assert facts is not None
    assert facts.laterality.value == eye


TEXT = st.text(alphabet=string.ascii_letters + string.digits + " .-äß漢", min_size=1, max_size=64).filter(str.strip)


@given(TEXT, st.sampled_from("RL"), st.dates(date(1900, 1, 1)))
def test_what_is_written_into_a_name_is_read_from_it(patient: str, eye: str, day: date) -> None:
    name = f"{patient}_{eye}_{day.strftime('%Y%m%d').rjust(8, '0')}.jpg"
    assert read_name(PATTERN, name) == Facts(patient.strip(), "", Laterality(eye), day)


@given(st.text(max_size=80))
def test_no_name_breaks_it_and_nothing_that_dicom_cannot_hold_comes_through(name: str) -> None:
    facts = read_name(r"(?P<patient_id>.*)", name)
    if facts is not None:
        assert len(facts.patient_id) <= 64
        assert "\\" not in facts.patient_id
        assert not facts.patient_id or facts.patient_id.isprintable()


def test_the_time_of_taking() -> None:
    exif = "2026:03:01 10:11:12"
    assert taken_at(NO_FACTS, "", WRITTEN) == (WRITTEN, True)
    assert taken_at(NO_FACTS, exif, WRITTEN)[0] == datetime(2026, 3, 1, 10, 11, 12, tzinfo=WRITTEN.tzinfo)
    dated = Facts(date=date(2026, 3, 1))
    assert taken_at(dated, exif, WRITTEN)[0].time() == time(10, 11, 12)
    assert taken_at(dated, "2025:03:01 10:11:12", WRITTEN) == (datetime(2026, 3, 1, tzinfo=WRITTEN.tzinfo), False)
    assert taken_at(Facts(date=WRITTEN.date()), "", WRITTEN) == (WRITTEN, True)
    exact = Facts(date=date(2026, 3, 1), time=time(1, 2))
    assert taken_at(exact, exif, WRITTEN)[0].time() == time(1, 2)
    for broken in ("0000:00:00 00:00:00", "2026:13:01 10:11:12", "yesterday", "2026:03:01", "\x00"):
        assert taken_at(NO_FACTS, broken, WRITTEN) == (WRITTEN, True)


def test_pictures_of_one_visit_come_together_and_others_stay_apart() -> None:
    day = date(2026, 3, 1)
    right, left = Facts("P1", laterality=Laterality.RIGHT), Facts("P1", laterality=Laterality.LEFT)
    ours = uids_for("export", right, day, "aa")
    assert uids_for("export", right, day, "aa") == ours
    other_eye = uids_for("export", left, day, "bb")
    assert (other_eye.study, other_eye.series) == (ours.study, ours.series)
    assert other_eye.instance != ours.instance
    for elsewhere in (
        uids_for("export", right, date(2026, 3, 2), "cc"),
        uids_for("export", Facts("P2"), day, "cc"),
        uids_for("other", right, day, "cc"),
        uids_for("export", Facts("P1", accession="A1"), day, "cc"),
        uids_for("export", Facts("P1", study="2"), day, "cc"),
    ):
        assert elsewhere.study != ours.study
    # The same picture again on another day, without a date in its name, is the same object.
    assert uids_for("export", right, date(2026, 3, 9), "aa").instance == ours.instance
    # A name that was corrected makes another object, so that the correction is not lost.
    assert uids_for("export", left, day, "aa").instance != ours.instance


def test_pictures_without_a_patient_are_never_put_together() -> None:
    day = date(2026, 3, 1)
    assert uids_for("export", NO_FACTS, day, "aa").study != uids_for("export", NO_FACTS, day, "bb").study


def test_files_that_nobody_exported() -> None:
    for name in (".hidden.jpg", "a.jpg.part", "b.TMP", "~lock", "c.jpg~", "Thumbs.db", "desktop.ini", "x.filepart"):
        assert is_ignored(name)
    for name in ("a.jpg", "part.png", "b.tiff", "no-suffix"):
        assert not is_ignored(name)


def test_a_file_is_complete_when_it_did_not_change_for_as_long_as_the_site_says() -> None:
    settling = Settling(5.0)
    small, grown, other = Seen(1, 10, 100), Seen(1, 20, 101), Seen(2, 20, 101)
    assert settling.update({"a": small}, 0.0) == []
    assert settling.update({"a": grown}, 4.0) == []
    assert settling.update({"a": grown}, 8.0) == []
    assert settling.update({"a": grown, "b": small}, 9.0) == ["a"]
    assert settling.update({"a": other}, 10.0) == []  # replaced by another of the same size and time
    settling.update({}, 11.0)
    assert settling.update({"a": other}, 15.0) == []  # gone, and there again
    assert settling.update({"a": other}, 20.0) == ["a"]
    settling.again("a", 20.0)
    assert settling.update({"a": other}, 24.0) == []
    assert settling.update({"a": other}, 25.0) == ["a"]


def test_the_oldest_come_first() -> None:
    settling = Settling(0.0)
    scan = {"z": Seen(1, 1, 10), "a": Seen(2, 1, 20), "b": Seen(3, 1, 10)}
    assert settling.update(scan, 0.0) == ["b", "z", "a"]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"pattern": "(?P<patient_id>"}, r"watch\.0\.pattern: not a regular expression"),
        ({"pattern": "(?P<patient>x)"}, r"watch\.0\.pattern: unknown groups patient"),
        ({"pattern": "x", "path": "relative"}, r"watch\.0\.path"),
    ],
)
def test_settings_are_checked_when_they_are_read(wrong: dict[str, str], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        from_tree({"watch": [{"name": "export", "path": "/srv/camera"} | wrong]})


def test_two_watchers_of_one_folder_are_refused() -> None:
    one = {"name": "a", "path": "/srv/camera", "pattern": "x"}
    with pytest.raises(ConfigError, match="folder of its own"):
        from_tree({"watch": [one, one | {"name": "b"}]})
