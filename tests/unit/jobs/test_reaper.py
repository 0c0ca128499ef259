"""Whether a lease's owner is gone: only ever true of a process that certainly is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ocunet_pacs.jobs.reaper import is_gone, owner_name

OTHER = "import sys; from ocunet_pacs.jobs.reaper import owner_name; print(owner_name('work/1'), flush=True); input()"


@pytest.fixture
def other() -> subprocess.Popen[str]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_this_process_is_not_gone() -> None:
    assert not is_gone(owner_name("listen"))


def test_an_owner_names_its_role_and_its_process() -> None:
    assert owner_name("deliver").endswith("/deliver")
    assert f"/{os.getpid()}/" in owner_name("deliver")
    assert owner_name("a") == owner_name("a")
    assert owner_name("a") != owner_name("b")


def test_a_killed_process_is_gone_before_and_after_its_parent_noticed(other: subprocess.Popen[str]) -> None:
    owner = said(other)
    assert not is_gone(owner)
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert is_gone(owner)
    other.wait()
    assert is_gone(owner)


def test_a_later_process_with_the_same_pid_is_another_one() -> None:
    place, pid, start, role = owner_name("work").rsplit("/", 3)
    assert is_gone(f"{place}/{pid}/{int(start) - 1}/{role}")


@pytest.mark.parametrize("part", [0, 1])
def test_of_another_host_or_namespace_nothing_is_known(part: int, other: subprocess.Popen[str]) -> None:
    owner = said(other)
    other.kill()
    other.wait()
    parts = owner.split("/")
    parts[part] += "0"
    assert is_gone(owner)
    assert not is_gone("/".join(parts))


def test_another_host_of_the_same_name_is_another_host(other: subprocess.Popen[str]) -> None:
    owner = said(other)
    other.kill()
    other.wait()
    host, rest = owner.split(":", 1)
    assert not is_gone(f"{host}:00000000-0000-0000-0000-000000000000/{rest.split('/', 1)[1]}")


@pytest.mark.parametrize("owner", ["", "a person", "a/b/c", "a/b/c/d/e", "////"])
def test_of_a_name_that_is_not_ours_nothing_is_known(owner: str) -> None:
    assert not is_gone(owner)


def test_without_proc_nothing_is_known(other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    owner = said(other)
    other.kill()
    other.wait()
    monkeypatch.setattr("ocunet_pacs.jobs.reaper._PROC", type("NoProc", (), {"__truediv__": _no_file})())
    assert not is_gone(owner)
    assert not is_gone(owner_name("work"))


def _no_file(self: object, name: str) -> object:
    raise FileNotFoundError(name)


def test_a_process_that_is_hidden_from_us_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """ProtectProc=invisible hides other users' processes, but not that they exist."""
    owner = owner_name("work")
    monkeypatch.setattr("ocunet_pacs.jobs.reaper._stat", lambda pid: [])
    assert not is_gone(owner)
