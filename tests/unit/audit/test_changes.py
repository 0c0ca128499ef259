"""Changes of the settings: each kind once, and nothing where nothing is different."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.audit.changes import changes
from ocunet_pacs.domain.audit import Alert, AuditOutcome

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = {
    Alert.NETWORK_CONFIGURATION: {"dicom": "1", "routes": "1"},
    Alert.SECURITY_CONFIGURATION: {"tls": "1"},
}
AFTER = {
    Alert.NETWORK_CONFIGURATION: {"dicom": "2", "routes": "2"},
    Alert.SECURITY_CONFIGURATION: {"tls": "1"},
}


def test_each_kind_of_change_is_said_once_with_the_sections(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    assert changes(path, BEFORE) == []
    assert changes(path, BEFORE) == []
    (found,) = changes(path, AFTER)
    assert found.alert is Alert.NETWORK_CONFIGURATION
    assert found.outcome is AuditOutcome.SUCCESS
    assert found.description.endswith(": dicom, routes")
    assert changes(path, AFTER) == []
    assert path.stat().st_mode & 0o77 == 0


def test_of_many_processes_that_start_at_once_one_says_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    changes(path, BEFORE)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: changes(path, AFTER), range(8)))
    assert sum(map(len, found)) == 1


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"110128": 1}', b"\xff\0"])
def test_a_damaged_note_is_as_good_as_none(damaged: bytes, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(damaged)
    assert changes(path, BEFORE) == []
    assert len(changes(path, AFTER)) == 1
