"""A checkpoint is whole or is not there, and nothing in it is executed."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.errors import RunError
from training.learning.checkpoints import (
    BEST,
    LAST,
    best_weights,
    latest_checkpoint,
    read_checkpoint,
    remove_partial,
    write_checkpoint,
)


def content(epoch: int, step: int = 0) -> dict[str, object]:
    return {
        "position": {"epoch": epoch, "step": step, "history": [{"epoch": 1, "map": float("nan")}]},
        "averaged": {"head": torch.full((3,), float(epoch))},
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / LAST, content(2, 5))
    read = read_checkpoint(tmp_path / LAST)
    assert read["position"]["step"] == 5
    assert torch.equal(read["averaged"]["head"], torch.full((3,), 2.0))
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import torch
from training.learning.checkpoints import write_checkpoint

class Slow:
    def __reduce__(self):  # called while torch writes: the file is half there
        os.kill(os.getpid(), signal.SIGKILL)

write_checkpoint(Path(sys.argv[1]), {"averaged": torch.ones(100_000), "position": Slow()})
"""


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / LAST, content(2))
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / LAST)], check=False)
    assert ended.returncode == -signal.SIGKILL
    left = [path.name for path in tmp_path.iterdir() if path.name != LAST]
    assert len(left) == 1  # the file that was being written
    assert read_checkpoint(tmp_path / LAST)["position"]["epoch"] == 2
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda d: (calls.append("fsync"), fsync(d))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("rename"), replace(self, to))[1])
    write_checkpoint(tmp_path / LAST, content(1))
    assert calls == ["fsync", "rename", "fsync"]  # the file, its name, the folder


def test_a_full_disk_leaves_the_old_checkpoint_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / LAST, content(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"last\.pt: cannot be written: No space left on device; what was there"):
        write_checkpoint(tmp_path / LAST, content(2))
    assert read_checkpoint(tmp_path / LAST)["position"]["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


def test_the_one_that_got_furthest_goes_on(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path / BEST, content(3))
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found["position"]["epoch"] == 3
    for last, expected in (((2, 9), (3, 0)), ((3, 1), (3, 1))):
        write_checkpoint(tmp_path / LAST, content(*last))
        found = latest_checkpoint(tmp_path)
        assert found is not None
        assert (found["position"]["epoch"], found["position"]["step"]) == expected


def test_best_weights_are_the_averaged_ones(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no epoch of this run has been validated"):
        best_weights(tmp_path)
    write_checkpoint(tmp_path / BEST, content(4))
    assert torch.equal(best_weights(tmp_path)["head"], torch.full((3,), 4.0))


class Armed:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.target,)  # type: ignore[return-value]


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"format": 1, "position": Armed(tmp_path / "ran")}, tmp_path / LAST)
    with pytest.raises(RunError, match="is damaged, or is no checkpoint"):
        read_checkpoint(tmp_path / LAST)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("fault", ["empty", "cut", "text", "pickle", "other"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, fault: str) -> None:
    path = tmp_path / LAST
    write_checkpoint(path, content(1))
    whole = path.read_bytes()
    if fault == "other":
        torch.save({"format": 99}, path)
    else:
        path.write_bytes(
            {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello", "pickle": pickle.dumps([1], 2)}[fault]
        )
    with pytest.raises(RunError, match=r"is damaged, or is no checkpoint|of this release's form"):
        read_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"last\.pt: cannot be read: No such file"):
        read_checkpoint(tmp_path / LAST)
