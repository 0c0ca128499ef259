"""What a running listener makes of two patients in one study, and of files that were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocunet_pacs.domain.upkeep import FileOwner
from tests.integration.objects import OP_8_BIT, encoded, photograph
from tests.integration.raw_sender import association, send_bytes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from tests.integration.conftest import Receiver

STUDY = "1.2.826.0.1.3680043.10.1"


def of(patient_id: str, **values: Any) -> Dataset:
    ds = photograph(study=STUDY)
    ds.PatientID = patient_id
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def send(receiver: Receiver, *images: Dataset) -> None:
    with association(receiver.port, OP_8_BIT) as peer:
        for ds in images:
            assert send_bytes(peer, OP_8_BIT, ds.SOPInstanceUID, encoded(ds))[0] == 0x0000


def studies_of(receiver: Receiver) -> list[int]:
    return [row["study_id"] for row in receiver.ledger.rows()]


def conflicts(receiver: Receiver) -> list[Any]:
    return [line for line in receiver.logged if line["event"] == "patient_conflict"]


def test_two_patients_under_one_study_uid_are_two_studies_and_it_is_logged(receiver: Receiver) -> None:
    send(receiver, of("P-ROE"), of("P-DOE"), of("P-ROE"))
    assert studies_of(receiver) == [1, 2, 1]
    (line,) = conflicts(receiver)
    assert set(line) >= {"study", "stored"}
    assert "DOE" not in str(receiver.logged), "nothing in the log names a patient"
    assert receiver.ledger.upkeep_counts().patient_conflicts == 2


def test_a_corrected_patient_is_acknowledged_flagged_and_not_stored_again(receiver: Receiver) -> None:
    sent = of("P-ROE")
    corrected = of("P-ROE-2", SOPInstanceUID=sent.SOPInstanceUID)
    send(receiver, sent, corrected)
    assert len(receiver.stored()) == 1
    assert [line["stored"] for line in conflicts(receiver)] == [False]


def test_the_database_cannot_be_searched_for_a_patient(receiver: Receiver) -> None:
    send(receiver, of("P-ROE"))
    content = b"".join(path.read_bytes() for path in receiver.files.root.parent.glob("rows.db*"))
    assert b"P-ROE" not in content
    assert b"Testperson" not in content


def test_an_image_that_was_lost_is_taken_again(receiver: Receiver) -> None:
    sent = of("P-ROE")
    send(receiver, sent)
    (lost,) = receiver.stored()
    lost.unlink()
    send(receiver, sent)
    (again,) = receiver.stored()
    (row,) = receiver.ledger.rows()
    assert receiver.files.path(row["file_key"]) == again != lost
    (kept,) = receiver.ledger.kept_files(FileOwner.INSTANCES, 0, 10)
    assert not kept.missing
    assert "instance_restored" in [line["event"] for line in receiver.logged]
