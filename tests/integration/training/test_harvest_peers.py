"""De-identified photographs before a validator that is not ours."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import program
from tests.unit.training.harvest.clinic import photograph_of, put, uncompressed
from training.harvest.store import harvest
from training.harvest.verdicts import Verdict

pytestmark = pytest.mark.peers

_EXPECTED = (
    "PixelSpacing",  # a photograph's file does not tell it, and neither does what was sent
    "PatientSex",
)


@pytest.mark.parametrize("change", [lambda ds: ds, uncompressed], ids=["jpeg", "native"])
def test_dciodvfy_finds_no_fault_but_what_nobody_knows(tmp_path, change):
    store = tmp_path / "store"
    uid = put(store, change(photograph_of(1)))
    verdict = Verdict(frozenset({"DR"}), frozenset(), "sheet", sop_instance_uid=uid)
    found = harvest(store, [verdict], [], tmp_path / "out", key=tmp_path / "key")
    path = found.manifest.path(found.manifest.rows[0])
    said = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True, timeout=60, check=False)
    errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
    assert [line for line in errors if not any(name in line for name in _EXPECTED)] == []
    assert "OphthalmicPhotography8BitImage" in said.stderr
