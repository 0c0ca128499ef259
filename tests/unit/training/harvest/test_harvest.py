"""From the daemon's store and the doctors' words to a corpus in which nobody can be found."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from typer.testing import CliRunner

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.decode import frames
from ocunet_pacs.imaging.wrap import write_dicom
from tests.unit.training.harvest.clinic import (
    SECRETS,
    compressed,
    forget_us,
    jpeg,
    our_report,
    photograph_of,
    put,
    uncompressed,
    verified_answer,
)
from training.cli.main import app
from training.data.manifest import read_manifest
from training.data.pixels import read_pixels
from training.errors import CorpusError
from training.harvest.jpeg_segments import without_metadata
from training.harvest.store import harvest
from training.harvest.verdicts import Verdict

KEY = b"k" * 32


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "patient.key").write_bytes(KEY)
    return folder


def verdict(uid, positive=(), negative=(), **more):
    return Verdict(frozenset(positive), frozenset(negative), f"sheet {uid[-4:]}", sop_instance_uid=uid, **more)


def test_a_corpus_names_nobody_and_shows_the_same_pixels(store, tmp_path):
    first, second = photograph_of(1), photograph_of(2, side=Laterality.LEFT)
    other = photograph_of(3, patient=2)
    verdicts = [verdict(put(store, ds), ["DR"]) for ds in (first, second, other)]
    found = harvest(store, verdicts, [], tmp_path / "out", key=None)
    assert len(found.manifest.rows) == 3
    everything = b"".join(path.read_bytes() for path in sorted((tmp_path / "out").rglob("*")) if path.is_file())
    names = " ".join(path.name for path in (tmp_path / "out").rglob("*"))
    identifiers = [str(ds[k].value) for ds in (first, second, other) for k in ("SOPInstanceUID", "StudyInstanceUID")]
    for secret in [*SECRETS, *identifiers]:
        assert secret.encode() not in everything, secret
        assert secret not in names
    assert b"20260304" not in everything, "the day of the study"
    sides = {1: Laterality.RIGHT, 2: Laterality.LEFT, 3: Laterality.RIGHT}
    before = {np.asarray(Image.open(io.BytesIO(jpeg(n, side)))).tobytes() for n, side in sides.items()}
    after = {read_pixels(found.manifest.path(row)).tobytes() for row in found.manifest.rows}
    assert after == before
    groups = {row.laterality + row.group for row in found.manifest.rows}
    assert len(groups) == 3
    assert len({row.group for row in found.manifest.rows}) == 2, "two eyes of one patient stay together"
    assert {row.camera for row in found.manifest.rows} == {"Kamerabau Fundus 3000"}
    assert read_manifest(tmp_path / "out" / "manifest.csv").rows == found.manifest.rows


def test_the_objects_say_that_and_how_they_were_deidentified(store, tmp_path):
    harvest(store, [verdict(put(store, photograph_of(1)), ["DR"])], [], tmp_path / "out", key=None)
    (path,) = (tmp_path / "out" / "images").iterdir()
    ds = dcmread(path)
    assert ds.PatientIdentityRemoved == "YES"
    assert ds.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert (ds.PatientName, ds.PatientBirthDate, ds.PatientSex, ds.AccessionNumber) == ("", "", "", "")
    assert (ds.Manufacturer, ds.ManufacturerModelName, ds.ImageLaterality) == ("Kamerabau", "Fundus 3000", "R")
    assert not [element for element in ds if element.tag.is_private]
    assert ds.BurnedInAnnotation == "NO", "as the camera said"


def test_harvests_are_the_same_again_and_grow(store, tmp_path):
    first = verdict(put(store, photograph_of(1)), ["DR"])
    before = harvest(store, [first], [], tmp_path / "out", key=None).manifest.rows
    second = verdict(put(store, photograph_of(2)), [], ["DR"])
    after = harvest(store, [first, second], [], tmp_path / "out", key=None).manifest.rows
    assert set(before) < set(after)
    key = tmp_path / "other.key"
    elsewhere = harvest(store, [first], [], tmp_path / "else", key=key).manifest.rows
    assert elsewhere[0].group != before[0].group, "another key, other names"
    assert key.stat().st_mode & 0o777 == 0o600
    assert harvest(store, [first], [], tmp_path / "again", key=key).manifest.rows == elsewhere


def test_a_store_without_a_key_asks_for_one(tmp_path):
    store = tmp_path / "store"
    uid = put(store, photograph_of(1))
    with pytest.raises(CorpusError, match="--key"):
        harvest(store, [verdict(uid, ["DR"])], [], tmp_path / "out", key=None)
    with pytest.raises(CorpusError, match="instances"):
        harvest(tmp_path / "nothing", [], [], tmp_path / "out", key=None)


def test_pixels_that_are_no_jpeg_are_kept_too(store, tmp_path):
    ds = uncompressed(photograph_of(1))
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "10", "ISO_10918_1"
    pixels = ds.pixel_array
    found = harvest(store, [verdict(put(store, ds), ["DR"])], [], tmp_path / "out", key=None)
    (row,) = found.manifest.rows
    assert np.array_equal(read_pixels(found.manifest.path(row)), pixels)
    made = dcmread(found.manifest.path(row))
    assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")


def test_frames_are_photographs_of_their_own(store, tmp_path):
    one = photograph_of(1)
    pixels = np.stack([one.pixel_array, photograph_of(2).pixel_array, photograph_of(3).pixel_array])
    uid = put(store, uncompressed(one, pixels))
    found = harvest(store, [verdict(uid, ["DR"], frame=2), verdict(uid, [], ["MYA"])], [], tmp_path / "out", key=None)
    assert len(found.manifest.rows) == 3
    shown = {read_pixels(found.manifest.path(row)).tobytes(): row for row in found.manifest.rows}
    assert "DR" in shown[pixels[1].tobytes()].positive
    assert "DR" in shown[pixels[0].tobytes()].unknown
    assert all("MYA" in row.negative for row in found.manifest.rows)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "", "REDFREE"]}, "not_colour"),
        ({"ContrastBolusAgent": "Fluorescein"}, "angiography"),
    ],
)
def test_what_is_no_colour_photograph_or_may_name_somebody_is_listed(store, tmp_path, changes, reason):
    uid = put(store, photograph_of(1, **changes))
    found = harvest(store, [verdict(uid, ["DR"])], [], tmp_path / "out", key=None)
    assert found.manifest.rows == ()
    (listed,) = read_manifest(tmp_path / "out" / "manifest.csv").unreadable
    assert reason in listed.reason
    assert uid not in listed.image


def test_photographs_without_a_verdict_stay_where_they_are(store, tmp_path):
    put(store, photograph_of(1))
    found = harvest(store, [verdict("1.2.3", ["DR"])], [], tmp_path / "out", key=None)
    assert (found.manifest.rows, found.without_verdict, found.unmatched) == ((), 1, ["sheet .2.3"])
    assert list((tmp_path / "out" / "images").iterdir()) == []


def test_a_report_that_a_doctor_verified_teaches_what_it_says(store, tmp_path):
    photograph = photograph_of(1)
    put(store, photograph)
    report = our_report(store, photograph, DR=0.9, EDN=0.8, MYA=0.7)
    answer = verified_answer(report, DR=True, EDN=False, MYA=None)
    write_dicom(answer, tmp_path / "answer.dcm")
    (tmp_path / "signed").mkdir()
    (tmp_path / "answer.dcm").rename(tmp_path / "signed" / "a.dcm")
    found = harvest(store, [], [tmp_path / "signed"], tmp_path / "out", key=None)
    (row,) = found.manifest.rows
    assert (row.positive, row.negative) == ({"DR", "Disease_Risk"}, {"EDN", "NORMAL"})
    assert "MYA" in row.unknown, "she left it open"
    assert found.answers == 1
    assert found.unmatched == []


def test_only_verified_answers_to_ours_count(store, tmp_path):
    photograph = photograph_of(1)
    put(store, photograph)
    report = our_report(store, photograph, DR=0.9)
    unsigned, stranger = verified_answer(report, at="20260102", DR=True), forget_us(verified_answer(report, DR=True))
    unsigned.VerificationFlag = "UNVERIFIED"
    del stranger.PredecessorDocumentsSequence
    (tmp_path / "signed").mkdir()
    write_dicom(unsigned, tmp_path / "signed" / "a.dcm")
    write_dicom(stranger, tmp_path / "signed" / "b.dcm")
    found = harvest(store, [], [tmp_path / "signed"], tmp_path / "out", key=None)
    assert (found.manifest.rows, found.answers) == ((), 0), "our own report is not a verdict either"


def test_an_answer_to_an_answer_replaces_it_even_where_ours_is_not_quoted(store, tmp_path):
    photograph = photograph_of(1)
    put(store, photograph)
    report = our_report(store, photograph, DR=0.9)
    first = forget_us(verified_answer(report, at="20260401101500", DR=True))
    second = forget_us(verified_answer(first, at="20260501101500", DR=False))
    (tmp_path / "signed").mkdir()
    write_dicom(first, tmp_path / "signed" / "a.dcm")
    write_dicom(second, tmp_path / "signed" / "b.dcm")
    found = harvest(store, [], [tmp_path / "signed"], tmp_path / "out", key=None)
    assert found.answers == 2
    assert "DR" in found.manifest.rows[0].negative


def test_a_jpeg_without_metadata_shows_the_same_and_says_nothing():
    stream = jpeg(5)
    bare = without_metadata(stream)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(bare))), np.asarray(Image.open(io.BytesIO(stream))))
    for secret in SECRETS:
        assert secret.encode() not in bare
    progressive = io.BytesIO()
    Image.open(io.BytesIO(stream)).save(progressive, "JPEG", progressive=True, comment=b"Mustermann")
    between = progressive.getvalue().replace(b"\xff\xda", b"\xff\xfe\x00\x0aPID-4711\xff\xda", 3)
    bare = without_metadata(between)
    assert b"PID-4711" not in bare
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(bare))), np.asarray(Image.open(io.BytesIO(between))))
    for end in (10, len(stream) // 2):
        with pytest.raises(ValueError, match=r"marker|segment|end"):
            without_metadata(stream[:end])


def test_a_stream_whose_colours_hang_on_the_data_set_keeps_them(store, tmp_path):
    """Without JFIF or Adobe segment a file's reader would guess; then the pixels are stored as they are."""
    buffer = io.BytesIO()
    rgb = np.asarray(Image.open(io.BytesIO(jpeg(4))))
    Image.fromarray(rgb).save(buffer, "JPEG", quality=90, keep_rgb=True)
    ds = compressed(photograph_of(4), buffer.getvalue())
    ds.PhotometricInterpretation = "RGB"
    uid = put(store, ds)
    path = next((store / "instances").rglob("*.dcm"))
    found = harvest(store, [verdict(uid, ["DR"])], [], tmp_path / "out", key=None)
    (row,) = found.manifest.rows
    assert np.array_equal(read_pixels(found.manifest.path(row)), next(iter(frames(path))))


def test_the_command_tells_what_it_found(store, tmp_path):
    uid = put(store, photograph_of(1))
    put(store, photograph_of(2))
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"sop_instance_uid,DR\n{uid},1\n1.2.3,0\n")
    ran = CliRunner().invoke(app, ["harvest", str(store), "--verdicts", str(sheet), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    assert "1 photographs of 1 patients, out of 2 in the store; 1 without a verdict" in ran.output.replace("\n", " ")
    assert "sheet.csv line 3: its photograph is not in the store" in ran.output
