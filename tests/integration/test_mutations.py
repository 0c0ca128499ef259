"""Five thousand broken and malicious objects sent to a listener process: none harms it, or costs it much."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES
from ocunet_pacs.store.files import Files
from tests.integration.ledgers import FileLedger
from tests.integration.listener_process import running
from tests.integration.mutations import mutants
from tests.integration.objects import OP_8_BIT
from tests.integration.upper_layer import Peer, echo

if TYPE_CHECKING:
    from tests.integration.mutations import Mutant

MUTANTS = 5000
SEED = 20260301
SENDERS = 4
A_BATCH = 500
MEMORY_LIMIT_MIB = 256
"""Of the whole process, at its worst moment; Python with what the listener imports is 115 of it."""
STATUSES = {0x0000, 0xA900, 0xC000}


@pytest.mark.timeout(600)
def test_five_thousand_mutants(tmp_path: Path) -> None:
    answers: list[int] = []
    wrong: list[str] = []
    site = tmp_path / "site"
    site.mkdir()
    with running(site) as listener:
        before = memory_mib(listener.pid)
        everything = list(mutants(SEED, MUTANTS))
        for start in range(0, MUTANTS, A_BATCH):
            batch = everything[start : start + A_BATCH]
            senders = [
                threading.Thread(target=send, args=(listener.port, batch[n::SENDERS], answers, wrong))
                for n in range(SENDERS)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            assert wrong == []
            assert echo(listener.port)
            assert list((site / "store" / "incoming").iterdir()) == []
        peak = memory_mib(listener.pid)
    counted = Counter(answers)
    print(f"memory: {before} MiB at first, {peak} MiB at most; answers: {counted}")  # noqa: T201
    assert len(answers) == MUTANTS
    assert counted[0] > MUTANTS / 20, "harmless damage was among them"
    assert peak < MEMORY_LIMIT_MIB
    assert "Exception in thread" not in (tmp_path / "site.log").read_text()
    every_row_has_its_file(site)


def send(port: int, batch: list[Mutant], answers: list[int], wrong: list[str]) -> None:
    """Send them on one association; what must not happen is noted in `wrong`."""
    with Peer(port, [(OP_8_BIT, syntax) for syntax in TRANSFER_SYNTAXES]) as peer:
        for mutant in batch:
            try:
                status, comment = peer.store((OP_8_BIT, mutant.transfer_syntax), mutant.instance, mutant.content)
            except Exception as error:  # noqa: BLE001 - whatever it was, the test reports it
                wrong.append(f"{mutant.name}: {error!r}")
                return
            if status not in STATUSES or (comment == "") != (status == 0):
                wrong.append(f"{mutant.name}: 0x{status:04X} {comment}")
            answers.append(status)
        peer.release()


def memory_mib(pid: int) -> int:
    """Peak resident memory of the process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


def every_row_has_its_file(folder: Path) -> None:
    files, ledger = Files(folder / "store"), FileLedger(folder / "database" / "rows.db")
    rows = ledger.rows()
    ledger.close()
    named = {path for path in (files.root / "instances").rglob("*") if path.is_file()}
    assert {files.path(row["file_key"]) for row in rows} == named
