"""`demo`: the whole product on this machine, as a clinic would run it, in about a minute.

A real `serve` in its own process tree on SQLite, a storage SCP as the PACS, two photographs sent by C-STORE, and what
came back rendered for people. Nothing is simulated but the eyes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import yaml
from PIL import Image
from pydicom import dcmread

from ocunet_pacs.app.demo_pacs import AE_TITLE, DemoPacs
from ocunet_pacs.app.process import utc_now
from ocunet_pacs.app.readable import write_readable
from ocunet_pacs.app.wrap import new_uid, wrap_files
from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from ocunet_pacs.delivery.echo import echo
from ocunet_pacs.domain.errors import DeliveryError, OcunetError
from ocunet_pacs.domain.job import JobState
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.drawn_lesions import Lesion
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.model.research import research_bundle
from ocunet_pacs.model.untrained import write_untrained_bundle
from ocunet_pacs.report.readable import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_PATIENCE = timedelta(minutes=3)
_OURS = "OCUNET"


class DemoFailed(OcunetError):
    """The demonstration did not come to its end; the message says where its log is."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What to show: the report as text, and the files that were written."""

    text: str
    files: tuple[Path, ...]


def run_demo(photographs: Sequence[Path], bundle: Path | None, out: Path, say: Callable[[str], None]) -> DemoResult:
    """Run it; everything is written under `out`, which must be empty or not there. DemoFailed, ConfigError."""
    out = out.resolve()
    if out.exists() and any(out.iterdir()):
        raise DemoFailed(f"{out}: is not empty; choose another folder with --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    bundle = bundle or research_bundle()
    if bundle is None:
        say("building a bundle with deterministic UNTRAINED weights")
        bundle = out / "bundle"
        write_untrained_bundle(bundle, utc_now())
    elif read_manifest(bundle).research and not photographs:
        say("taking the research bundle, made for photographs: what it says of drawn eyes means nothing")
    say("drawing two eyes" if not photographs else f"wrapping {len(photographs)} photographs")
    sent = _study(photographs, out)
    with DemoPacs(out / "pacs") as pacs:
        port = _free_port()
        config = _write_config(out, bundle.resolve(), port, pacs.port)
        say(f"starting the daemon on port {port} (AE title {_OURS}), with a storage SCP as the PACS")
        with _daemon(config, out / "daemon.log") as process:
            ours = Destination(
                name="ocunet", ae_title=_OURS, host="127.0.0.1", port=port, timeout=timedelta(seconds=30)
            )
            _wait("the daemon to answer C-ECHO", lambda: _answers(ours), process, out)
            say(f"sending {len(sent)} photographs by C-STORE, as a camera would")
            sender = CStoreSender(ours, calling_ae_title="CAMERA")
            for path in sent:
                sender.send(path)
            sender.close()
            say("waiting for the study to be quiet, analysed and delivered")
            database = out / "ocunet.db"
            _wait("the results to reach the PACS", lambda: _finished(database), process, out)
    return _show(out)


def _study(photographs: Sequence[Path], out: Path) -> list[Path]:
    """DICOM files of one study: the user's photographs, or one drawn pair of eyes."""
    folder = out / "photographs"
    if photographs:
        return wrap_files(photographs, folder, laterality=None, patient_id="DEMO", patient_name="Demo^Patient")
    study = new_uid()
    files: list[Path] = []
    folder.mkdir()
    diabetic = (Lesion.MICROANEURYSMS, Lesion.HAEMORRHAGES, Lesion.HARD_EXUDATES)
    for laterality, seed, lesions in ((Laterality.RIGHT, 7, diabetic), (Laterality.LEFT, 8, ())):
        pixels = draw_fundus(seed=seed, laterality=laterality, size=(1600, 1200), lesions=lesions)
        photograph = folder / f"drawn-{laterality.eye}.jpg"
        Image.fromarray(pixels).save(photograph, quality=92)
        files += wrap_files(
            [photograph],
            folder,
            laterality=laterality,
            patient_id="DEMO",
            patient_name="Demo^Drawn",
            study_instance_uid=study,
        )
    return files


def _write_config(out: Path, bundle: Path, port: int, pacs_port: int) -> Path:
    path = out / "ocunet-pacs.yaml"
    settings = {
        "dicom": {"ae_title": _OURS, "host": "127.0.0.1", "port": port},
        "database": {"url": f"sqlite:///{out / 'ocunet.db'}"},
        "store": {"path": str(out / "store"), "min_free": "50 MiB"},
        "model": {"bundle": str(bundle), "device": "auto", "allow_untrained": True},
        "assembly": {"quiet_period": "2s"},
        "destinations": [{"name": "pacs", "ae_title": AE_TITLE, "host": "127.0.0.1", "port": pacs_port}],
    }
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


@contextmanager
def _daemon(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`serve` in a process tree of its own; SIGTERM at the end, and a check that it drained."""
    command = [sys.executable, "-m", "ocunet_pacs", "serve", "--config", str(config)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OCUNET_PACS__")}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file, stdout=file, env=environment)  # noqa: S603
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        if code != 0:
            raise DemoFailed(f"the daemon did not stop well (status {code}); its log: {log}")


def _wait(what: str, done: Callable[[], bool], process: subprocess.Popen[bytes], out: Path) -> None:
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while not done():
        if process.poll() is not None:
            raise DemoFailed(f"the daemon ended while waiting for {what}; its log: {out / 'daemon.log'}")
        if time.monotonic() > deadline:
            raise DemoFailed(f"gave up waiting for {what}; the daemon's log: {out / 'daemon.log'}")
        time.sleep(0.25)


def _answers(destination: Destination) -> bool:
    try:
        echo(destination, "CAMERA")
    except DeliveryError:
        return False
    return True


def _finished(database: Path) -> bool:
    """Whether the study was analysed and everything that came of it delivered; DemoFailed when a job died."""
    engine = open_engine(f"sqlite:///{database}")
    try:
        jobs = SqlJobs(engine)
        dead = jobs.find(state=JobState.DEAD, limit=1)
        if dead:
            raise DemoFailed(f"job {dead[0].id} is dead: {dead[0].reason}")
        counts = jobs.counts()
    finally:
        engine.dispose()
    moving = sum(n for (_, state), n in counts.items() if state in {JobState.WAITING, JobState.RUNNING})
    return bool(counts) and not moving


def _show(out: Path) -> DemoResult:
    """Render what the PACS received; the report as text."""
    received = sorted((out / "pacs").glob("*.dcm"))
    reports = [ds for ds in map(dcmread, received) if ds.Modality == "SR"]
    if not reports:
        raise DemoFailed(f"the PACS received no report; the daemon's log: {out / 'daemon.log'}")
    files = write_readable(received, out / "results")
    return DemoResult("\n\n".join(as_text(report) for report in reports), (*files, *received))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
