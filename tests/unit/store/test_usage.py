"""What the store holds is measured now and then, and known at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.store.files import Files
from ocunet_pacs.store.usage import Usage, last_measured, measure

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def test_what_was_measured_is_known_to_whoever_asks_later(files: Files) -> None:
    assert last_measured(files) is None
    files.put("instances/aa/one.dcm", b"123")
    files.put("results/aa/two.dcm", b"12345")
    measured = measure(files, NOW)
    assert measured == Usage({"instances": 3, "results": 5}, NOW)
    files.put("results/aa/three.dcm", b"1")
    assert last_measured(Files(files.root)) == measured
    assert measured.total == 8


def test_what_is_kept_is_no_file_of_the_store(files: Files) -> None:
    measure(files, NOW)
    assert measure(files, NOW).total == 0
    assert list(files.incoming.iterdir()) == []


@pytest.mark.parametrize(
    "damaged", ["", "{}", "[1]", '{"parts": 3, "at": "x"}', '{"parts": {"a": "b"}, "at": "x"}', "é"]
)
def test_what_cannot_be_understood_was_not_measured(files: Files, damaged: str) -> None:
    (files.root / "usage.json").write_text(damaged, encoding="utf-8")
    assert last_measured(files) is None
    measure(files, NOW)
    assert last_measured(files) is not None
