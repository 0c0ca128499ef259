"""A folder of DICOM files: a row a frame, patients as keyed groups, labels by SOP Instance UID."""

import numpy as np
import pytest
from pydicom.uid import generate_uid

from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME
from tests.integration.objects import photograph, write
from training.corpora.dicom_folder import list_dicom, read_dicom
from training.corpora.reading import Reading
from training.errors import CorpusError

KEY = b"a key that stays at the site"


@pytest.fixture
def export(tmp_path, drawn):
    """Writes photographs with these attributes into an export's folders."""
    pixels = np.asarray(drawn[0])
    folder = tmp_path / "export"
    folder.mkdir()

    def make(**attributes):
        frames = attributes.get("NumberOfFrames", 1)
        ds = photograph(rows=pixels.shape[0], columns=pixels.shape[1])
        ds.PixelData = pixels.tobytes() * frames
        ds.Manufacturer, ds.ManufacturerModelName = "Topcon", "TRC-NW8"
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        write(ds, folder / f"IM{len(list(folder.iterdir())):04}")
        return ds.SOPInstanceUID

    make.folder = folder
    return make


def test_patients_are_groups_that_name_nobody(export):
    export(ImageLaterality="R")
    export(ImageLaterality="L", PatientName="TESTPERSON^ERIKA^")
    export(ImageLaterality="L", PatientID="T-4712")
    right, left, other = read_dicom(export.folder, key=KEY).rows
    assert right.group == left.group != other.group
    assert (right.laterality, left.laterality) == ("R", "L")
    assert {row.camera for row in (right, left, other)} == {"TRC-NW8"}
    for row in (right, left, other):
        told = "|".join(map(str, (row.image, row.group, row.source, row.camera))).casefold()
        assert "4711" not in told
        assert "testperson" not in told
        assert "erika" not in told
    assert read_dicom(export.folder, key=KEY[::-1]).rows[0].group != right.group


def test_labels_come_by_uid_and_by_frame(export, table, tmp_path):
    one = export()
    many = export(NumberOfFrames=3)
    labels = table(
        tmp_path / "labels.csv",
        [
            {"sop_instance_uid": one, "frame": "", "DR": "1", "NORMAL": "0"},
            {"sop_instance_uid": many, "frame": "1", "DR": "0", "NORMAL": "1"},
            {"sop_instance_uid": many, "frame": "3", "DR": "1", "NORMAL": ""},
        ],
    )
    rows = read_dicom(export.folder, key=KEY, labels=labels).rows
    assert [(row.frame, row.positive, row.negative) for row in rows] == [
        (None, {"DR"}, {"NORMAL"}),
        (1, {"NORMAL"}, {"DR"}),
        (3, {"DR"}, set()),
    ]


def test_a_row_for_an_object_is_for_all_its_frames(export, table, tmp_path):
    labels = table(tmp_path / "labels.csv", [{"uid": export(NumberOfFrames=2), "positive": "DR"}])
    rows = read_dicom(export.folder, key=KEY, labels=labels).rows
    assert [(row.frame, row.positive) for row in rows] == [(1, {"DR"}), (2, {"DR"})]
    assert len({row.key for row in rows}) == 2


def test_a_frame_that_is_not_there_is_listed(export, table, tmp_path):
    labels = table(tmp_path / "labels.csv", [{"uid": export(), "frame": "2", "positive": "DR"}])
    manifest = read_dicom(export.folder, key=KEY, labels=labels)
    assert manifest.rows == ()
    assert [entry.reason for entry in manifest.unreadable] == ["no_such_frame: there is no frame 2"]


def test_objects_and_rows_that_do_not_meet_are_told(export, table, tmp_path):
    silent, known, elsewhere = export(), export(), generate_uid()
    labels = table(tmp_path / "labels.csv", [{"uid": uid, "positive": "DR"} for uid in (elsewhere, known)])
    with pytest.raises(CorpusError, match=elsewhere):
        read_dicom(export.folder, key=KEY, labels=labels)
    assert len(read_dicom(export.folder, Reading(incomplete=True), key=KEY, labels=labels).rows) == 1
    remarks = list_dicom(export.folder, key=KEY, labels=labels).remarks
    assert any("without a row in labels.csv" in remark and silent in remark for remark in remarks)


def test_rows_that_contradict_each_other_are_refused(export, table, tmp_path):
    uid = export(NumberOfFrames=2)
    for frames in (("", "1"), ("2", ""), ("1", "1"), ("0", "1")):
        labels = table(tmp_path / "labels.csv", [{"uid": uid, "frame": frame, "positive": "DR"} for frame in frames])
        with pytest.raises(CorpusError, match=r"labels\.csv: line"):
            list_dicom(export.folder, key=KEY, labels=labels)


def test_what_is_no_photograph_is_counted_and_what_is_broken_is_listed(export):
    uid = export()
    export(SOPInstanceUID=uid)
    export(Manufacturer=MANUFACTURER, ManufacturerModelName=MODEL_NAME)
    (export.folder / "notes.txt").write_text("nothing")
    broken = export.folder / "broken"
    broken.write_bytes(bytes(128) + b"DICM" + b"\x00" * 7)
    cut = export.folder / "IM9999"
    cut.write_bytes((export.folder / "IM0000").read_bytes()[:-2000])
    manifest = read_dicom(export.folder, key=KEY)
    assert len(manifest.rows) == 1
    listing = list_dicom(export.folder, key=KEY)
    [left_out] = [remark for remark in listing.remarks if "left out" in remark]
    for told in ("no DICOM (1)", "our own results (1)", "further copies of an object"):
        assert told in left_out
    assert {entry.image for entry in manifest.unreadable} >= {"broken"}


def test_a_photograph_that_cannot_be_decoded_is_listed_with_its_reason(export):
    export()
    export(PhotometricInterpretation="MONOCHROME2", SamplesPerPixel=1)
    manifest = read_dicom(export.folder, key=KEY)
    assert len(manifest.rows) == 1
    assert [entry.reason.partition(":")[0] for entry in manifest.unreadable] == ["not_colour"]


def test_photographs_that_the_daemon_never_scores_are_left_out_with_its_reason(export):
    export()
    export(ContrastBolusAgent="FLUORESCEIN")
    export(CalibrationImage="YES")
    manifest = read_dicom(export.folder, key=KEY)
    assert len(manifest.rows) == 1
    assert [entry.reason.partition(":")[0] for entry in manifest.unreadable] == [
        "angiography",
        "calibration_or_quality_control_image",
    ]


def test_nobody_is_not_one_patient(export):
    for _ in range(2):
        export(PatientName="", PatientID="", StudyInstanceUID=generate_uid())
    listing = list_dicom(export.folder, key=KEY)
    assert len({entry.group for entry in listing.entries}) == 2
    assert any("2 photographs without a patient" in remark for remark in listing.remarks)


def test_one_name_for_everybody_is_noticed(export):
    for _ in range(11):
        export(PatientName="ANONYMOUS", PatientID="0", StudyInstanceUID=generate_uid())
    assert any("one patient has 11 of 11" in remark for remark in list_dicom(export.folder, key=KEY).remarks)


def test_a_folder_without_photographs_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(CorpusError, match="no DICOM file"):
        list_dicom(tmp_path, key=KEY)
