"""Type every command of every page on a host of its own: `python -m tests.documented OUT.json [--wheel WHEEL]`.

First docs/install.md as far as a site that works, then the other pages there, then the rest of docs/install.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.acceptance.new_administrator import ORTHANC_SIDE, Site, arrived, in_a_world_of_its_own
from tests.acceptance.pacs import Contents
from tests.documented.pages import PAGES, blocks
from tests.documented.rules import ON_PAGES
from tests.documented.shell import Shell
from tests.wheel import build_wheel

if TYPE_CHECKING:
    from tests.documented.shell import Typed

WORK = "/srv/work"
_OURS = """\
#!/bin/sh
# What docs/install.md says that the other pages mean by `ocunet-pacs`.
program=/opt/ocunet-pacs/bin/ocunet-pacs
[ "$(id -un)" = ocunet-pacs ] && exec $program "$@"
exec sudo -u ocunet-pacs $program "$@"
"""
_FACTS = """\
# The number of a delivery that gave up, and the digest of the bundle, each in a file of the folder.
import sqlite3
with sqlite3.connect("/var/lib/ocunet-pacs/ocunet.db") as database:
    (number,) = database.execute("SELECT max(id) FROM jobs WHERE kind = 'deliver'").fetchone()
    database.execute("UPDATE jobs SET state = 'dead' WHERE id = ?", (number,))
    (digest,) = database.execute("SELECT max(bundle_digest) FROM analyses").fetchone()
open("dead", "w").write(str(number))
open("digest", "w").write(digest)
"""


def prepare(site: Site, folder: Path) -> None:
    """What the pages take for granted: folders to work in, a delivery that gave up, a report, a hundred photographs."""
    host = site.host
    host.write("/usr/local/bin/ocunet-pacs", _OURS, 0o755)
    host.write("/root/facts.py", _FACTS)
    host.write("/etc/ocunet-pacs/database.url", "sqlite:////var/lib/ocunet-pacs/ocunet.db")
    (report,) = Contents.read((folder / "results").iterdir()).reports
    report.save_as(host.root / "root" / "report.dcm")
    validation = host.root / "data" / "validation"
    validation.mkdir(parents=True)
    for number in range(100):
        shutil.copyfile(folder / f"eye-{number % 2}.jpg", validation / f"{number}.jpg")
    done = host.run(
        f"mkdir -p {WORK} /backup && cp /root/report.dcm {WORK} && chown -R ocunet-pacs: {WORK} /backup"
        f" && cd {WORK} && sudo -u ocunet-pacs python3 /root/facts.py"
    )
    if done.status:
        raise RuntimeError(done.text)
    site.pacs.client.put("/modalities/ocunet", json=ORTHANC_SIDE).raise_for_status()


def type_page(site: Site, page: Path, *, after: str = "") -> list[dict[str, Any]]:
    """Each command of the page, in order, and what came of it; of docs/install.md only what comes behind `after`."""
    found = []
    skipping = bool(after)
    for block in blocks(page):
        if block.is_shell and not skipping:
            shell = Shell(site.host, ON_PAGES, folder="/root" if after else WORK)
            found += [_said(shell.type(command)) for command in block.commands]
        skipping = skipping and not (block.is_shell and block.heading == after)
    return found


def _said(typed: Typed) -> dict[str, Any]:
    ran = typed.ran
    because = typed.rule.because if typed.rule else ""
    how = "not run" if ran is None else f"{ran.seconds:7.1f}" if ran.status == 0 else f"FAILED {ran.status}"
    sys.stdout.write(f"{how}  {typed.command}\n")
    sys.stdout.flush()
    return {
        "command": typed.command,
        "status": None if ran is None else ran.status,
        "text": "" if ran is None else ran.text[-2000:],
        "because": because,
    }


def main() -> None:
    """Read the command line; write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        in_a_world_of_its_own("tests.documented", *sys.argv[1:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with arrived(folder, options.wheel or build_wheel(folder)) as site:
            prepare(site, folder)
            pages = {page.name: type_page(site, page) for page in PAGES if page.name != "install.md"}
            (install,) = [page for page in PAGES if page.name == "install.md"]
            pages["install.md"] = type_page(site, install, after="Start")
            failed = site.host.run("systemctl list-units --failed --no-legend --plain 'ocunet*'").text
    options.out.write_text(json.dumps({"steps": dict(site.way.steps), "pages": pages, "failed": failed}, indent=1))


if __name__ == "__main__":
    main()
