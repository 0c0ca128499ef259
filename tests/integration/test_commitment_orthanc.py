"""Orthanc as the archive that commits: it takes the request, looks what it has, and reports to the listener."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from pydicom.uid import generate_uid

from ocunet_pacs.delivery.association import Destination
from ocunet_pacs.delivery.commitment import CommitmentRequestor
from ocunet_pacs.delivery.tls import pinned
from ocunet_pacs.domain.errors import DatabaseError
from ocunet_pacs.domain.result import Commitment
from ocunet_pacs.intake.tls import TlsConfig
from tests.certificates import self_signed
from tests.dcmtk import HOST, storescu
from tests.integration.committing import CommittedLedger
from tests.integration.objects import OP_8_BIT, photograph, write
from tests.integration.test_access import until
from tests.listening import listening
from tests.orthanc import Orthanc, orthanc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Receiver

pytestmark = pytest.mark.peers


class Transactions(CommittedLedger):
    """Knows every transaction."""

    def record_commitment(self, commitment, now):  # type: ignore[no-untyped-def]
        self.known.add(commitment.transaction_uid)
        return super().record_commitment(commitment, now)


@pytest.fixture
def ledger(tmp_path: Path) -> Transactions:
    return Transactions(tmp_path / "rows.db")


@pytest.fixture
def receiver(start: Callable[..., Receiver], ledger: Transactions) -> Receiver:
    """Only listed senders may send: Orthanc is none."""
    return start(ledger=ledger, committers={Orthanc.ae_title: "pacs"}, others=None)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@pytest.fixture
def pacs(running: Orthanc, receiver: Receiver) -> Orthanc:
    """Knows the listener."""
    running.add_modality("ocunet", "OCUNET", receiver.port)
    return running


def state_of(pacs: Orthanc, transaction: str) -> tuple[str, str]:
    """(id, state) of the job that reports a transaction."""
    (job,) = (j for j in pacs.get("/jobs?expand") if j["Content"].get("TransactionUid") == transaction)
    return job["ID"], job["State"]


def to(pacs: Orthanc) -> Destination:
    return Destination("pacs", pacs.ae_title, HOST, pacs.dicom_port, timedelta(seconds=30))


def stored(pacs: Orthanc, folder: Path, count: int) -> list[str]:
    """SOP Instance UIDs of photographs that it has."""
    uids = []
    for number in range(count):
        ds = photograph()
        assert storescu(pacs.dicom_port, write(ds, folder / f"{number}.dcm"), called=pacs.ae_title).status == 0
        uids.append(str(ds.SOPInstanceUID))
    return uids


def test_what_orthanc_has_it_commits_to_and_what_it_lost_it_does_not(
    receiver: Receiver, ledger: Transactions, pacs: Orthanc, tmp_path: Path
) -> None:
    kept, lost = stored(pacs, tmp_path, 2)
    requestor = CommitmentRequestor(to(pacs), "OCUNET", timedelta(seconds=1))
    assert requestor.request("2.25.77", [(OP_8_BIT, kept), (OP_8_BIT, lost)]) is None
    until(lambda: len(ledger.said) == 1)
    assert ledger.said == [Commitment("2.25.77", frozenset({kept, lost}))]

    (instance,) = pacs.post("/tools/lookup", lost.encode())
    pacs.client.delete(f"/instances/{instance['ID']}").raise_for_status()
    never = str(generate_uid())
    assert requestor.request("2.25.78", [(OP_8_BIT, uid) for uid in (kept, lost, never)]) is None
    until(lambda: len(ledger.said) == 2)
    assert ledger.said[1] == Commitment("2.25.78", frozenset({kept}), {lost: 0x0112, never: 0x0112})

    # Stored again it is there again.
    assert storescu(pacs.dicom_port, tmp_path / "1.dcm", called=pacs.ae_title).status == 0
    requestor.request("2.25.79", [(OP_8_BIT, lost)])
    until(lambda: len(ledger.said) == 3)
    assert ledger.said[2] == Commitment("2.25.79", frozenset({lost}))
    assert receiver.counted["commitments", "pacs", "committed"] == 2
    assert receiver.counted["commitments", "pacs", "failed"] == 1


def test_orthanc_looks_at_the_sop_class_too(pacs: Orthanc, ledger: Transactions, tmp_path: Path) -> None:
    (uid,) = stored(pacs, tmp_path, 1)
    CommitmentRequestor(to(pacs), "OCUNET", timedelta(0)).request("2.25.77", [("1.2.840.10008.5.1.4.1.1.7", uid)])
    until(lambda: len(ledger.said) == 1)
    assert ledger.said == [Commitment("2.25.77", frozenset(), {uid: 0x0119})]


def test_what_could_not_be_recorded_is_no_success_for_orthanc_and_can_be_asked_again(
    receiver: Receiver, pacs: Orthanc, ledger: Transactions, tmp_path: Path
) -> None:
    (uid,) = stored(pacs, tmp_path, 1)
    requestor = CommitmentRequestor(to(pacs), "OCUNET", timedelta(0))
    ledger.trouble = DatabaseError("away")
    requestor.request("2.25.771", [(OP_8_BIT, uid)])
    until(lambda: receiver.counted["commitments", "pacs", "not_recorded"] == 1)
    ledger.trouble = None
    # Orthanc reports once: its job waits for a person then, and our time-out for nobody.
    until(lambda: state_of(pacs, "2.25.771")[1] == "Failure")
    requestor.request("2.25.772", [(OP_8_BIT, uid)])
    until(lambda: len(ledger.said) == 1)
    pacs.post(f"/jobs/{state_of(pacs, '2.25.771')[0]}/resubmit", b"")
    until(lambda: state_of(pacs, "2.25.771")[1] == "Success")
    assert [commitment.transaction_uid for commitment in ledger.said] == ["2.25.772", "2.25.771"]


def test_the_daemon_hears_the_destinations_of_its_settings(running: Orthanc, tmp_path: Path) -> None:
    pacs = {"name": "pacs", "ae_title": running.ae_title, "host": HOST, "port": running.dicom_port, "commitment": True}
    with listening(tmp_path / "daemon", destinations=[pacs], dicom={"only_listed_sources": True}) as daemon:
        running.add_modality("ocunet", "OCUNET", daemon.port)
        (uid,) = stored(running, tmp_path, 1)
        CommitmentRequestor(to(running), "OCUNET", timedelta(0)).request("2.25.773", [(OP_8_BIT, uid)])
        # Nobody asked in the daemon's name: nothing is settled, and Orthanc is not kept waiting.
        until(lambda: '"commitment_unknown"' in daemon.log())
        until(lambda: state_of(running, "2.25.773")[1] == "Success")


def test_orthanc_commits_over_tls_both_ways(
    start: Callable[..., Receiver], ledger: Transactions, tmp_path: Path
) -> None:
    ours, theirs = self_signed(tmp_path, "localhost"), self_signed(tmp_path, "orthanc")
    receiver = start(
        ledger=ledger,
        port=None,
        tls=TlsConfig(ours.certificate, ours.key, "required", theirs.certificate),
        committers={Orthanc.ae_title: "pacs"},
    )
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs.certificate),
        "DicomTlsPrivateKey": str(theirs.key),
        "DicomTlsTrustedCertificates": str(ours.certificate),
        "DicomTlsRemoteCertificateRequired": False,
    }
    with orthanc(tmp_path / "orthanc", **settings) as pacs:
        modality = {"AET": "OCUNET", "Host": HOST, "Port": receiver.listener.tls_port, "UseDicomTls": True}
        httpx.put(f"http://{HOST}:{pacs.http_port}/modalities/ocunet", content=json.dumps(modality)).raise_for_status()
        ds = photograph()
        pacs.upload(write(ds, tmp_path / "a.dcm"))
        destination = Destination(
            "pacs", pacs.ae_title, HOST, pacs.dicom_port, timedelta(seconds=30), pinned(theirs.certificate)
        )
        CommitmentRequestor(destination, "OCUNET", timedelta(0)).request("2.25.77", [(OP_8_BIT, ds.SOPInstanceUID)])
        until(lambda: len(ledger.said) == 1)
    assert ledger.said == [Commitment("2.25.77", frozenset({str(ds.SOPInstanceUID)}))]
