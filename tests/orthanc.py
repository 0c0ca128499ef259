"""Orthanc as a PACS of our own: starts in a folder on free ports of this machine, answers REST, stops by itself."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.conftest import program
from tests.dcmtk import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Orthanc:
    """A running Orthanc. Its AE title is ORTHANC; it takes what anybody sends and answers C-ECHO."""

    ae_title = "ORTHANC"

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        dicom_port: int,
        http_port: int,
        user: tuple[str, str] | None = None,
    ) -> None:
        self.process = process
        self.dicom_port = dicom_port
        self.http_port = http_port
        self.url = f"http://{HOST}:{http_port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, auth=user)

    def get(self, path: str) -> Any:
        """JSON of a REST resource."""
        answer = self.client.get(path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, content: Any) -> Any:
        """POST bytes as they are, anything else as JSON; the JSON answer."""
        payload = {"content": content} if isinstance(content, bytes) else {"json": content}
        answer = self.client.post(path, **payload)
        answer.raise_for_status()
        return answer.json()

    def upload(self, path: Path) -> str:
        """Put a DICOM file in over REST; Orthanc's id of the instance."""
        return str(self.post("/instances", path.read_bytes())["ID"])

    def delete(self, path: str) -> None:
        """Remove a REST resource, such as /instances/{id}."""
        self.client.delete(path).raise_for_status()

    def instances(self) -> list[str]:
        """Orthanc's ids of everything it has."""
        return list(self.get("/instances"))

    def sop_instance_uids(self) -> set[str]:
        """SOP Instance UIDs of everything it has."""
        expanded = self.get("/instances?expand")
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in expanded}

    def file(self, instance: str) -> bytes:
        """The Part 10 file of one instance, by Orthanc's id."""
        return self.client.get(f"/instances/{instance}/file").raise_for_status().content

    def add_modality(self, name: str, ae_title: str, port: int, host: str = HOST) -> None:
        """Let Orthanc know a DICOM peer, to store to or echo."""
        self.client.put(f"/modalities/{name}", json={"AET": ae_title, "Host": host, "Port": port}).raise_for_status()

    def store(self, modality: str, instances: list[str]) -> Any:
        """C-STORE the instances (Orthanc's ids) to a peer; Orthanc's summary. HTTPStatusError when it failed."""
        return self.post(f"/modalities/{modality}/store", {"Resources": instances, "Synchronous": True})

    def wait_for(self, count: int, seconds: float = 60.0) -> list[str]:
        """The ids once there are `count` instances. TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.instances()
            if len(found) >= count:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"Orthanc has {len(self.instances())} instances, not {count}")


@contextmanager
def orthanc(
    folder: Path,
    *,
    dicom_port: int | None = None,
    http_port: int | None = None,
    modalities: Mapping[str, tuple[str, str, int]] | None = None,
    user: tuple[str, str] | None = None,
    **settings: Any,
) -> Iterator[Orthanc]:
    """Run Orthanc with its database in `folder` (an existing one is opened again) until the block ends.

    `dicom_port` and `http_port` fix a port, for a PACS that goes away and comes back; `modalities` are name ->
    (AE title, host, port); `user` is who we are, with a password; `settings` are further keys of Orthanc's
    configuration.
    """
    executable = program("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    dicom, http = dicom_port or free_port(), http_port or free_port()
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": Orthanc.ae_title,
        "DicomPort": dicom,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "DicomModalities": {name: list(peer) for name, peer in (modalities or {}).items()},
        "StableAge": 1,
        "Plugins": [],
        **settings,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen([executable, str(path)], stdout=log, stderr=log)
    peer = Orthanc(process, dicom, http, user)
    try:
        _wait_until_ready(peer, folder / "orthanc.log")
        yield peer
    finally:
        peer.client.close()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_until_ready(peer: Orthanc, log: Path) -> None:
    for _ in range(300):
        if peer.process.poll() is not None:
            raise RuntimeError(f"Orthanc ended with status {peer.process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            peer.get("/system")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("Orthanc does not answer")
