"""The store's key: made once, whoever comes first, and what it makes of a patient."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.store.files import Files
from ocunet_pacs.store.pseudonyms import KEY_BYTES, pseudonym, shared_key
from tests.conftest import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pseudonym_is_the_same_in_every_process_of_one_store_and_in_no_other(tmp_path: Path) -> None:
    here = Files(tmp_path / "a").pseudonym("an identity")
    program = (
        "import sys, pathlib; from ocunet_pacs.store.files import Files;"
        "print(Files(pathlib.Path(sys.argv[1])).pseudonym('an identity'))"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here
    assert Files(tmp_path / "b").pseudonym("an identity") != here
    assert Files(tmp_path / "a").pseudonym("another") != here


def test_many_who_come_at_once_get_one_key(tmp_path: Path) -> None:
    for number in range(20):
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(lambda _, path=tmp_path / str(number): shared_key(path), range(8)))
        assert len(keys) == 1
    assert len(list(tmp_path.iterdir())) == 20, "nothing half-written is left"


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    Files(tmp_path).pseudonym("x")
    path = tmp_path / "patient.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == KEY_BYTES


def test_a_damaged_key_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "patient.key").write_bytes(b"short")
    with pytest.raises(StoreError, match="restore it"):
        Files(tmp_path).pseudonym("x")


def test_a_pseudonym_says_nothing_without_the_key() -> None:
    assert pseudonym(b"k" * 32, "x") != pseudonym(b"l" * 32, "x")
    assert len(pseudonym(b"k" * 32, "\ud800 odd")) == 64
