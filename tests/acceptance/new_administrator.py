"""A new administrator's path, timed: from an empty host to results in the PACS, as docs/install.md says.

    python -m tests.acceptance.new_administrator                  the packages are those of this environment
    python -m tests.acceptance.new_administrator --fetch          from the package index, with Debian's Python

It boots a host of its own in an empty folder (root and namespaces; nothing of it is left), types the page's commands
there one after the other under a real systemd, and looks from another machine, at the end of a cable, for what an
administrator wants: C-ECHO, a first study, a report and heatmaps in Orthanc, a doctor who finds nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.acceptance.pacs import Contents, download
from tests.conftest import PROJECT, program
from tests.daemon import cli, wait_until
from tests.documented.pages import Block, blocks
from tests.documented.rules import OFFLINE, ONLINE
from tests.documented.shell import Shell
from tests.host.clinic import furnish, of_this_python, will_change
from tests.host.machine import Machine, machine
from tests.host.weights import calibration, write_checkpoint
from tests.orthanc import Orthanc, orthanc
from tests.wheel import build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = PROJECT / "docs" / "install.md"
PACS_PORT = 4242
ARCHIVE = {"ae_title": "ORTHANC", "host": "10.0.0.5", "port": PACS_PORT}
SETTINGS = {
    "destinations": [{"name": "pacs", **ARCHIVE}],
    "archives": [{"name": "archive", **ARCHIVE}, {"name": "past", **ARCHIVE}],
    "assembly": {"quiet_period": "5s"},
    "store": {"min_free": "10 MiB"},
}
ORTHANC = {"RemoteAccessAllowed": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
ORTHANC_SIDE = {"AET": "OCUNET", "Host": "10.0.0.9", "Port": 11112}
STUDY = "1.2.840.113619.2.55.3"
"""The study of the examples."""


@dataclass
class Way:
    """What was done so far, and how long it took."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens in the block."""
        began = time.monotonic()
        yield
        self.steps.append((name, time.monotonic() - began))

    def table(self) -> str:
        """As the page has it."""
        rows = [f"| {name} | {seconds:.0f} |" for name, seconds in self.steps]
        total = f"| **all** | **{sum(seconds for _, seconds in self.steps):.0f}** |"
        return "\n".join(["| step | seconds |", "|---|---|", *rows, total])


@dataclass(frozen=True)
class Site:
    """Where the administrator has arrived: a host that works, its archive, and how long each step took."""

    host: Machine
    pacs: Orthanc
    way: Way


@contextmanager
def arrived(folder: Path, wheel: Path, *, fetch: str = "", also: Sequence[Path] = ()) -> Iterator[Site]:
    """Go the whole way; the site is there until the block ends. AssertionError or RuntimeError where it leads nowhere.

    `fetch`: the network from which pip fetches, as a file; "" for none. `also`: what pip needs for that.
    """
    way = Way()
    binds = dict.fromkeys(also) if fetch else of_this_python()
    with (
        machine(folder / "host", binds={source: target or str(source) for source, target in binds.items()}) as host,
        orthanc(folder / "orthanc", dicom_port=PACS_PORT, http_port=8042, **ORTHANC) as pacs,
    ):
        bring_along(host, wheel, fetch=bool(fetch))
        sections = {block.heading: block for block in reversed(list(blocks(PAGE))) if block.is_shell}
        for heading in ("Program", "Host", "Model, settings, database", "Start"):
            with way.step(heading):
                follow(host, sections[heading], fetch=fetch)
        with way.step("C-ECHO from outside"):
            outside("echoscu", "-aec", "OCUNET", "192.0.2.10", "11112")
        with way.step("first study sent"):
            outside("storescu", "-R", "-xy", "-aec", "OCUNET", "192.0.2.10", "11112", *study(folder))
        with way.step("report and heatmaps in Orthanc"):
            look_for_results(pacs, folder)
        with way.step("doctor finds nothing"):
            see_the_doctor(host)
        yield Site(host, pacs, way)


def in_a_world_of_its_own(module: str, *arguments: str) -> NoReturn:
    """Run the module again, where it takes no port of this machine and leaves no process when it is killed."""
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    os.set_inheritable(network, True)
    os.chdir(PROJECT)
    words = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words += [sys.executable, "-m", module, *arguments, "--inside", str(network)]
    os.execv(program("unshare"), words)


def network_of(inside: str) -> str:
    """The file of the network from which we came."""
    return f"/proc/{os.getpid()}/fd/{inside}"


def bring_along(host: Machine, wheel: Path, *, fetch: bool) -> None:
    """What the administrator has in /root before the first command: release, weights, and what to write."""
    if fetch:
        furnish(host, python="/usr/bin/python3", packages="/opt/ocunet-pacs/lib/python3.11/site-packages")
    else:
        furnish(host)
    home = host.root / "root"
    (home / wheel.name).write_bytes(wheel.read_bytes())
    (home / "constraints.txt").write_bytes((PROJECT / "constraints.txt").read_bytes())
    write_checkpoint(home / "ocunetv4.pth")
    (home / "calibration.yaml").write_text(calibration())
    will_change(host, SETTINGS)


def follow(host: Machine, block: Block, *, fetch: str) -> None:
    """Type the block."""
    pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key == "XDG_CONFIG_DIRS"}
    shell = Shell(host, ONLINE if fetch else OFFLINE)
    for typed in shell.type_all(block.commands, network=fetch if block.heading == "Program" else "", **pip):
        _say(f"  {typed.command}" if typed.ran else f"  not run: {typed.command}")


def outside(name: str, *arguments: str) -> None:
    """Run a peer's program on the other machine. RuntimeError with what it said."""
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stdout}{done.stderr}")


def study(folder: Path) -> list[str]:
    """Two drawn eyes as DICOM files."""
    from PIL import Image

    from ocunet_pacs.domain.study import Laterality
    from ocunet_pacs.imaging.drawn import draw_fundus

    pictures = []
    for seed, laterality in enumerate(Laterality.RIGHT for _ in range(2)):
        pictures.append(folder / f"eye-{seed}.jpg")
        Image.fromarray(draw_fundus(seed=seed, laterality=laterality, size=(640, 480))).save(pictures[-1])
    done = cli("wrap", *pictures, "--out", folder / "study", "--laterality", "R", "--study-uid", STUDY)
    return done.stdout.split()


def look_for_results(pacs: Orthanc, folder: Path) -> None:
    """A report, and a heatmap for each photograph."""
    wait_until(lambda: len(pacs.instances()) >= 3, "report and heatmaps in Orthanc", 180)
    contents = Contents.read(download(pacs, folder / "results"))
    assert len(contents.reports) == 1
    assert len(contents.heatmaps) == 2


def see_the_doctor(host: Machine) -> None:
    """Not a warning either, but for the machine's clock, which is not the host's to set."""
    doctor = "sudo -u ocunet-pacs /opt/ocunet-pacs/bin/ocunet-pacs doctor --json"
    said = host.run(doctor)
    odd = [check for check in json.loads(said.text)["checks"] if check["level"] != "ok" and check["check"] != "clock"]
    assert said.status == 0, odd
    assert not odd, odd


def main() -> None:
    """Read the command line; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fetch", action="store_true", help="install from the package index")
    parser.add_argument("--bind", type=Path, action="append", default=[], help="what pip needs of this machine")
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        in_a_world_of_its_own("tests.acceptance.new_administrator", *sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = options.wheel or build_wheel(folder)
        with arrived(
            folder, wheel, fetch=network_of(options.inside) if options.fetch else "", also=options.bind
        ) as site:
            _say(site.way.table())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
