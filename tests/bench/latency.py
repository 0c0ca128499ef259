"""From a study's last byte to its results in the PACS: seconds that are ours, without the quiet period.

The daemon as an administrator runs it (`serve`, SQLite, a resident model), a camera that sends two photographs over one
association, and Orthanc as the PACS. The clock starts when the association is released and stops when Orthanc has the
last result. The shares of the stages come from the daemon's own log. The bar is a median of 1.5 s.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import Lesion, draw_fundus
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.model.untrained import write_untrained_bundle
from tests.daemon import Daemon
from tests.orthanc import Orthanc, orthanc

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDIES = 15
QUIET = timedelta(seconds=1)
BAR = 1.5
SIZES = ((2000, 2000), (4288, 2848))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = ("closing", "analysing", "delivering")


def main() -> None:
    """Print a row a size: the median, the middle half, and each stage's share of it."""
    with tempfile.TemporaryDirectory() as name, _running(Path(name)) as (daemon, pacs):
        sys.stdout.write(f"{'photographs':14}{'median s':>10}{'middle half':>16}")
        sys.stdout.write("".join(f"{stage:>14}" for stage in STAGES) + "\n")
        for width, height in SIZES:
            _measure(daemon, pacs, width, height, Path(name))
    sys.stdout.write(f"bar: a median of {BAR} s\n")


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Daemon, Orthanc]]:
    write_untrained_bundle(folder / "bundle", NOW)
    with orthanc(folder / "orthanc") as pacs:
        destination = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": pacs.dicom_port}
        daemon = Daemon(folder / "daemon", folder / "bundle", [destination], quiet_period=f"{QUIET.total_seconds():g}s")
        daemon.start()
        try:
            daemon.wait_for_listener()
            while '"event": "ready"' not in daemon.log_text():
                time.sleep(0.2)
            yield daemon, pacs
        finally:
            daemon.stop()


def _measure(daemon: Daemon, pacs: Orthanc, width: int, height: int, folder: Path) -> None:
    files = []
    for seed, eye in ((3, Laterality.RIGHT), (4, Laterality.LEFT)):
        path = folder / f"{width}-{eye}.jpg"
        pixels = draw_fundus(seed=seed, laterality=eye, size=(width, height), lesions=tuple(Lesion)[:3])
        Image.fromarray(pixels).save(path, quality=92)
        files.append((path, eye))
    _one(daemon, pacs, files, f"warm {width}")
    runs = [_one(daemon, pacs, files, f"{width} {number}") for number in range(STUDIES)]
    whole = [run["whole"] for run in runs]
    low, _, high = statistics.quantiles(whole, n=4)
    row = f"{width} x {height}"
    median = statistics.median(whole)
    sys.stdout.write(f"{row:14}{median:10.2f}{f'{low:.2f} to {high:.2f}':>16}")
    sys.stdout.write("".join(f"{statistics.median(run[s] / run['whole'] for run in runs):13.0%} " for s in STAGES))
    sys.stdout.write(f"  {'within the bar' if median <= BAR else 'ABOVE THE BAR'}\n")


def _one(daemon: Daemon, pacs: Orthanc, files: list[tuple[Path, Laterality]], name: str) -> dict[str, float]:
    """Send one study and wait for its results; seconds of the whole and of each stage."""
    objects = [_wrapped(path, eye, number, name) for number, (path, eye) in enumerate(files, 1)]
    before, lines = len(pacs.instances()), len(daemon.log_text().splitlines())
    released = _send(daemon.port, objects)
    expected = before + 3
    while pacs.get("/statistics")["CountInstances"] < expected:
        time.sleep(0.01)
    arrived = time.time()
    events = _events(daemon, lines, deliveries=3)
    # The last object counts as received a moment before the release: the quiet period runs from there.
    due = released + QUIET.total_seconds()
    closed, analysed = events["study_closed"], events["study_analysed"]
    return {
        "whole": arrived - due,
        "closing": closed - due,
        "analysing": analysed - closed,
        "delivering": arrived - analysed,
    }


def _wrapped(path: Path, eye: Laterality, number: int, name: str) -> Path:
    """The photograph as a DICOM file beside it."""
    ds = wrap_photograph(
        path,
        laterality=eye,
        patient_id="BENCH",
        patient_name="Bench^Drawn",
        study_instance_uid=derive_uid("latency study", name),
        series_instance_uid=derive_uid("latency series", name),
        sop_instance_uid=derive_uid("latency image", name, str(number)),
        instance_number=number,
        now=NOW,
    )
    file = path.with_suffix(".dcm")
    write_dicom(ds, file)
    return file


def _send(port: int, objects: list[Path]) -> float:
    """All over one association; when it was released, in Unix time."""
    ae = AE(ae_title="CAMERA")
    for path in objects:
        meta = read_file_meta_info(path)
        ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="OCUNET")
    for path in objects:
        assert association.send_c_store(path).Status == 0x0000
    association.release()
    return time.time()


def _events(daemon: Daemon, skip: int, *, deliveries: int) -> dict[str, float]:
    """When each event of the study was last logged, in Unix time, once all of its deliveries are."""
    deadline = time.monotonic() + 30
    while True:
        entries = [_entry(line) for line in daemon.log_text().splitlines()[skip:]]
        if sum(entry.get("event") == "delivery" for entry in entries) >= deliveries:
            return {e["event"]: datetime.fromisoformat(e["timestamp"]).timestamp() for e in entries if "timestamp" in e}
        assert time.monotonic() < deadline, "the log lacks a delivery"
        time.sleep(0.05)


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
