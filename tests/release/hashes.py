"""The digests of the packages that an installation fetches, so that pip takes nothing else.

pip is asked what it would install, and tells where from and with which digest. That holds for the Python and the
machine that it is asked on: another Python takes other wheels of the compiled packages, and needs a list of its own.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from pathlib import Path

Report = Mapping[str, Any]
"""pip's installation report, version 1."""


class NotResolved(Exception):
    """pip could not say what it would install; the text is its own."""


def resolve(requirements: Sequence[str], constraints: Path, *options: str) -> Report:
    """What pip would install for the requirements in an empty environment. NotResolved."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command += ["--only-binary", ":all:", "--constraint", str(constraints), *options, *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotResolved(done.stderr.strip())
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def digests(report: Report, *, without: str) -> dict[str, tuple[str, str]]:
    """Version and SHA-256 of each package by its name, but for `without`, which is ours."""
    found = {}
    for item in report["install"]:
        name = canonicalize_name(item["metadata"]["name"])
        if name != without:
            found[name] = (item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"])
    return dict(sorted(found.items()))


def requirements(found: Mapping[str, tuple[str, str]]) -> str:
    """A file for `pip install --require-hashes --no-deps --requirement`."""
    python = f"Python {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}"
    lines = [f"# What an installation fetches, for {python} on {platform.machine()}; other wheels are refused.\n"]
    # torch's builds differ in a local version (2.13.0+cpu), which only the index that has that build can tell apart.
    lines += [f"{name}=={version.split('+')[0]} --hash=sha256:{digest}\n" for name, (version, digest) in found.items()]
    return "".join(lines)
