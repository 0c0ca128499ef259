"""STOW-RS by those who send it in practice: Orthanc with its DICOMweb plug-in, and dicomweb-client."""

from __future__ import annotations

from pathlib import Path

import httpx
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom.uid import generate_uid

from tests.conftest import plugin
from tests.integration.objects import photograph, write
from tests.integration.web import TOKEN, web
from tests.orthanc import orthanc

pytestmark = [pytest.mark.peers, pytest.mark.timeout(180)]


def sent(study: str) -> list[pydicom.Dataset]:
    return [photograph(study=study, rows=64 * number, columns=64) for number in range(1, 4)]


def test_dicomweb_client(tmp_path: Path) -> None:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    with web(tmp_path) as service:
        client = DICOMwebClient(service.url.removesuffix("/studies"), session=session)
        study = generate_uid()
        objects = sent(study)
        for ds in objects:
            ds.preamble = bytes(128)
        for answer in (client.store_instances(objects), client.store_instances(objects, study_instance_uid=study)):
            stored = [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence]
            assert stored == [ds.SOPInstanceUID for ds in objects]
        assert len(service.ledger.rows()) == 3


def test_orthanc_sends_a_study(tmp_path: Path) -> None:
    study = generate_uid()
    objects = sent(study)
    with web(tmp_path) as service:
        servers = {
            "ocunet": {
                "Url": service.url.removesuffix("studies"),
                "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"},
            },
            "intruder": {"Url": service.url.removesuffix("studies")},
        }
        settings = {"Plugins": [plugin("libOrthancDicomWeb.so")], "DicomWeb": {"Enable": True, "Servers": servers}}
        with orthanc(tmp_path / "orthanc", **settings) as peer:
            ids = [peer.upload(write(ds, tmp_path / f"{number}.dcm")) for number, ds in enumerate(objects)]
            answer = peer.post("/dicom-web/servers/ocunet/stow", {"Resources": ids, "Synchronous": True})
            assert int(answer["InstancesCount"]) == 3
            rows = service.ledger.rows()
            assert {row["sop_instance_uid"] for row in rows} == {ds.SOPInstanceUID for ds in objects}
            assert {row["study_id"] for row in rows} == {1}
            for row in rows:
                assert pydicom.dcmread(service.files.root / row["file_key"]).PatientID == "T-4711"
            with pytest.raises(httpx.HTTPStatusError):
                peer.post("/dicom-web/servers/intruder/stow", {"Resources": ids, "Synchronous": True})
            assert service.counted[("security_events", "stow_unauthorised")] >= 1
