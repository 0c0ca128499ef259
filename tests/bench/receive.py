"""Images a second over C-STORE into ours, dcmtk's storescp and Orthanc: same sender, same images, side by side.

The sender is dcmtk's storescu, one process an association, which gives every image a new SOP Instance UID. Ours keeps
its promise meanwhile: file fsynced and renamed, folder fsynced, row committed, then the answer. storescp writes files
without fsync; Orthanc writes files and rows as it comes out of the box.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from tests.bench.rounds import measure, say
from tests.conftest import program
from tests.dcmtk import HOST, echoscu, storescp
from tests.integration.objects import photograph, write
from tests.listening import listening
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
PROCESSES = (1, 2, 4)
ASSOCIATIONS = tuple(map(int, os.environ.get("BENCH_ASSOCIATIONS", "1,4").split(",")))
BASE = ("storescp", "orthanc")


@dataclass(frozen=True, slots=True)
class Kind:
    """Images of one size: the file that is sent, how often in one association, storescu's options."""

    name: str
    file: Path
    count: int
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to send, and which folder to empty after each run."""

    port: int
    ae_title: str
    kept: Path


def main() -> None:
    """Print a row a cell: images a second (medians), and ours by each of the others, with least and most."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder, ExitStack() as stack:
        room = Path(folder)
        receivers = {
            "storescp": stack.enter_context(_storescp(room / "storescp")),
            "orthanc": stack.enter_context(_orthanc(room / "orthanc")),
            **{f"ours {n}": stack.enter_context(_ours(room / f"ours-{n}", n)) for n in PROCESSES},
        }
        say(f"{'image':10}{'assoc':>6}" + "".join(f"{name:>10}" for name in receivers) + "   ours by the others")
        for kind in (_jpeg(room), _raw(room)):
            for associations in ASSOCIATIONS:
                _cell(kind, associations, receivers)


def _cell(kind: Kind, associations: int, receivers: dict[str, Receiver]) -> None:
    contenders = {name: _sending(kind, associations, receiver) for name, receiver in receivers.items()}
    times = measure(contenders, ROUNDS)
    total = kind.count * associations
    speeds = "".join(f"{total / statistics.median(times[name]):10.1f}" for name in receivers)
    said = []
    for ours in (name for name in receivers if name not in BASE):
        for base in BASE:
            ratios = [b / o for b, o in zip(times[base], times[ours], strict=True)]
            said.append(f"{ours}/{base} {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    say(f"{kind.name:10}{associations:6}{speeds}   " + "; ".join(said))


def _sending(kind: Kind, associations: int, receiver: Receiver) -> Callable[[], None]:
    command = [program("storescu"), "+II", "-R", *kind.options, "-aec", receiver.ae_title, HOST, str(receiver.port)]
    command += [str(kind.file)] * kind.count

    def send() -> None:
        senders = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(associations)]
        for sender in senders:
            _, problems = sender.communicate(timeout=300)
            if sender.returncode:
                raise RuntimeError(f"{receiver.ae_title}: {problems.decode()[-500:]}")
        # Folders stay, as they do in a store that has been there for a while.
        for path in receiver.kept.rglob("*"):
            if path.is_file():
                path.unlink()

    return send


@contextmanager
def _storescp(folder: Path) -> Iterator[Receiver]:
    folder.mkdir()
    # +xa: every transfer syntax; +uf: a name for each instance.
    with storescp(folder, "--fork", "+xa", "+uf") as port:
        yield Receiver(port, "ARCHIVE", folder)


@contextmanager
def _orthanc(folder: Path) -> Iterator[Receiver]:
    (folder / "kept").mkdir(parents=True)
    with orthanc(folder, StorageDirectory=str(folder / "kept"), IndexDirectory=str(folder / "index")) as peer:
        yield Receiver(peer.dicom_port, peer.ae_title, folder / "kept")


@contextmanager
def _ours(folder: Path, processes: int) -> Iterator[Receiver]:
    with listening(folder, processes) as found:
        if echoscu(found.port).status:
            raise RuntimeError("the listener does not answer")
        found.instances.mkdir(exist_ok=True)
        yield Receiver(found.port, "OCUNET", found.instances)


def _jpeg(room: Path) -> Kind:
    """What a camera sends compressed: two megabytes that cannot be compressed further."""
    ds = photograph()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([np.random.default_rng(1).bytes(2_000_000)])
    return Kind("2 MB JPEG", write(ds, room / "jpeg.dcm"), 30, ("-xy",))


def _raw(room: Path) -> Kind:
    return Kind("12 MB raw", write(photograph(rows=2000, columns=2000), room / "raw.dcm"), 12, ("-xe",))


if __name__ == "__main__":
    main()
