"""What lies beside a released wheel: digests that pip insists on, and the list of parts."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.release import bill, hashes
from tests.release.licences import Accepted
from tests.release.parts import parts, pins

MADE = datetime(2026, 11, 28, tzinfo=UTC)


def small_wheel(folder: Path, name: str, needs: str = "") -> Path:
    """A wheel of one module, made here."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_pip_takes_what_the_list_names_and_nothing_else(tmp_path: Path) -> None:
    ours, theirs = small_wheel(tmp_path, "ours", "theirs"), small_wheel(tmp_path / "index", "theirs")
    (tmp_path / "constraints.txt").write_text("theirs==1.0\n")
    index = ("--no-index", "--find-links", str(tmp_path / "index"))
    found = hashes.digests(hashes.resolve([str(ours)], tmp_path / "constraints.txt", *index), without="ours")
    listed = tmp_path / "requirements.txt"
    listed.write_text(hashes.requirements(found))
    command = [sys.executable, "-m", "pip", "install", *index, "--require-hashes", "--no-deps", "--requirement"]
    command += [str(listed), "--target", str(tmp_path / "site")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "site" / "theirs.py").is_file()

    theirs.write_bytes(theirs.read_bytes() + b"\n")
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("")
    with pytest.raises(hashes.NotResolved, match="theirs"):
        hashes.resolve(["theirs"], tmp_path / "constraints.txt", "--no-index")


def test_the_list_of_parts_is_valid_and_names_every_part(tmp_path: Path) -> None:
    found = parts(pins(PROJECT / "constraints.txt"))
    accepted = Accepted.read(PROJECT / "tests" / "release" / "accepted-licences.yaml")
    wheel = small_wheel(tmp_path, "ocunet_pacs")
    digests = {"torch": ("2.13.0+cpu", "ab" * 32)}
    text = bill.bill(wheel, "1.0", found, accepted, digests, MADE)
    assert text == bill.bill(wheel, "1.0", found, accepted, digests, MADE), "the same each time"
    tree = json.loads(text)
    assert tree["bomFormat"] == "CycloneDX"
    versions = pins(PROJECT / "constraints.txt")
    components = {component["name"]: component for component in tree["components"]}
    assert set(components) == {part.name for part in found}
    assert all(component["version"] == versions[name] for name, component in components.items())
    assert all(component["licenses"] for component in components.values())
    assert components["torch"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert components["torch"]["scope"] == "required"
    assert components["psycopg"]["scope"] == "optional"
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in tree["dependencies"]}
    assert "torch==2.13.0" in edges["ocunet-pacs"]
    assert set(edges) == {"ocunet-pacs", *(component["bom-ref"] for component in components.values())}


def test_a_list_of_parts_that_breaks_the_schema_is_not_written(tmp_path: Path) -> None:
    found = parts(pins(PROJECT / "constraints.txt"))
    accepted = Accepted.read(PROJECT / "tests" / "release" / "accepted-licences.yaml")
    wheel = small_wheel(tmp_path, "ocunet_pacs")
    with pytest.raises(bill.NotValid):
        bill.bill(wheel, "1.0", found, accepted, {"torch": ("1.0", "no digest")}, MADE)
