"""Results a second out to dcmtk's storescp and Orthanc: an association each, or one that stays open, side by side.

The results of a study are one report and two heatmaps, of a kilobyte and of a megabyte each. The receivers are as in
`receive`; an object that is there already is written again.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ocunet_pacs.delivery.cstore import CStoreSender, Destination
from tests.bench.rounds import measure, say
from tests.dcmtk import HOST, storescp
from tests.integration.objects import write
from tests.integration.results import heatmap, picture, report
from tests.orthanc import orthanc

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
STUDIES = int(os.environ.get("BENCH_STUDIES", "10"))
KEPT = {"each": timedelta(0), "kept": timedelta(seconds=2)}


def main() -> None:
    """Print a row a receiver and kind of object: results a second (medians), and kept by each with least and most."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder, ExitStack() as stack:
        room = Path(folder)
        (room / "storescp").mkdir()
        port = stack.enter_context(storescp(room / "storescp", "--fork", "+xa"))
        pacs = stack.enter_context(orthanc(room / "orthanc"))
        receivers = {"storescp": (port, "ARCHIVE"), "orthanc": (pacs.dicom_port, pacs.ae_title)}
        results = {
            "reports": [write(report(), room / f"report-{n}.dcm") for n in range(3 * STUDIES)],
            "studies": _studies(room),
        }
        say(f"{'receiver':10}{'objects':>10}{'each':>10}{'kept':>10}   kept by each")
        for name, (where, ae_title) in receivers.items():
            for kind, paths in results.items():
                contenders = {
                    word: _sending(Destination(name, ae_title, HOST, where, timedelta(seconds=60)), idle, paths)
                    for word, idle in KEPT.items()
                }
                times = measure(contenders, ROUNDS)
                speeds = "".join(f"{len(paths) / statistics.median(times[word]):10.1f}" for word in KEPT)
                ratios = [e / k for e, k in zip(times["each"], times["kept"], strict=True)]
                say(
                    f"{name:10}{kind:>10}{speeds}   "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
                )


def _studies(room: Path) -> list[Path]:
    paths = []
    for n in range(STUDIES):
        paths.append(write(report(), room / f"{n}-report.dcm"))
        paths += [write(heatmap(picture(512, 700)), room / f"{n}-{eye}.dcm") for eye in ("od", "os")]
    return paths


def _sending(destination: Destination, idle: timedelta, paths: list[Path]) -> Callable[[], None]:
    def send() -> None:
        sender = CStoreSender(destination, "OCUNET", idle=idle)
        for path in paths:
            sender.send(path)
        sender.close()

    return send


if __name__ == "__main__":
    main()
