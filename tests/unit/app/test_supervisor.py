"""What the supervisor does with a role that nobody depends on: started last, never decisive, not waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ocunet_pacs.app import serve
from ocunet_pacs.app.process import StopFlag
from ocunet_pacs.app.reload import ReloadFlag, Reloading
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings import from_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence
    from pathlib import Path
    from typing import Any

    from ocunet_pacs.settings import Settings

    Events = list[MutableMapping[str, Any]]

WORKS = """
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
    said.sendto(b"X_ROLE_READY=listen", ADDRESS)
signal.pause()
"""
RELOADS = """
import os, signal, socket
def say(*lines):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
        said.sendto("\\n".join(lines).encode(), ADDRESS)
def reload(*_):
    with open({log!r}, "a") as log:
        log.write({name!r} + " ")
    say("X_ROLE_REFUSED={name} no such bundle", "X_ROLE_READY={name}")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGHUP, reload)
say("X_ROLE_READY={name}")
while True:
    signal.pause()
"""
REFUSES = "raise SystemExit(2)"
CRASHES = "raise SystemExit(7)"
LACKS = "raise SystemExit(75)"
TALKS_AT_ITS_END = """
import os, signal, socket
def end(*_):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
        for _ in range(2000):  # more than any kernel keeps for somebody who does not listen
            try:
                said.sendto(b"X_ROLE_ALIVE=listen", ADDRESS)
            except ConnectionRefusedError:
                pass
    os._exit(0)
signal.signal(signal.SIGTERM, end)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
    said.sendto(b"X_ROLE_READY=listen", ADDRESS)
signal.pause()
"""
STARTS_FOR_EVER = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({file!r}, 'w').close(); signal.pause()"


class Tree(serve._Supervisor):
    """Its roles are small programs, by name."""

    programs: dict[str, str]

    def _start(self, role: serve._Role, now: float) -> None:
        program = self.programs[role.name].replace("ADDRESS", repr(self._address.encode()))
        role.process = subprocess.Popen([sys.executable, "-S", "-c", program])
        role.started = role.heard = now
        self._log.info("role_started", role_name=role.name)


@pytest.fixture
def stop() -> Iterator[StopFlag]:
    flag = StopFlag()
    yield flag
    os.close(flag.reader)
    os.close(flag._writer)


def run_with(
    shadow: str, stop: StopFlag, until: Callable[[Events, Tree], bool], listen: str = WORKS
) -> tuple[int, Events, Tree]:
    """A service of one role that works, and a shadow; stopped as soon as `until` holds. Its exit status."""
    roles = [serve._Role("listen", "listen"), serve._Role("shadow", "shadow run", optional=True)]
    return run_tree(roles, {"listen": listen, "shadow": shadow}, stop, until)


def run_tree(
    roles: Sequence[serve._Role],
    programs: dict[str, str],
    stop: StopFlag,
    until: Callable[[Events, Tree], bool],
    read: Callable[[], Settings] = lambda: from_tree({}),
) -> tuple[int, Events, Tree]:
    """The same of these roles, each a program. `read` reads the settings anew."""
    tree = Tree(roles, None, stop, Reloading(from_tree({}), read, "serve", ReloadFlag(), lambda _: None))
    tree.programs = programs

    with capture_logs() as events:

        def watch() -> None:
            deadline = time.monotonic() + 60
            while not until(events, tree) and time.monotonic() < deadline:
                time.sleep(0.02)
            stop.set()

        watching = threading.Thread(target=watch)
        watching.start()
        status = tree.run()
        watching.join()
    return status, events, tree


def names(events: Events, event: str) -> list[str]:
    return [str(one.get("role_name")) for one in events if one["event"] == event]


def test_a_process_that_stands_back_gets_less_of_everything() -> None:
    program = (
        "import os, resource; from ocunet_pacs.app.process import stand_back; before = os.nice(0); stand_back(2**28);"
        "print(os.nice(0) - before, open('/proc/self/oom_score_adj').read().strip());"
        "print(len(bytearray(2**29)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    nice, goes_first = done.stdout.split()
    assert int(nice) > 0
    assert int(goes_first) == 1000
    assert done.returncode != 0
    assert "MemoryError" in done.stderr


def test_the_service_is_ready_before_the_shadow_is_started(stop: StopFlag) -> None:
    status, events, _ = run_with(WORKS, stop, lambda events, _: len(names(events, "role_started")) == 2)
    assert status == 0
    order = [one.get("role_name", one["event"]) for one in events if one["event"] in {"role_started", "ready"}]
    assert order == ["listen", "ready", "shadow"]


def test_a_candidate_that_cannot_run_ends_nothing_and_is_not_tried_again(stop: StopFlag) -> None:
    def given_up(events: Events, tree: Tree) -> bool:
        return tree._roles[1].given_up

    status, events, tree = run_with(REFUSES, stop, given_up)
    assert status == 0
    assert names(events, "role_cannot_run") == ["shadow"]
    assert names(events, "role_started") == ["listen", "shadow"]
    assert tree._look_after(tree._roles[1]) == 0
    assert tree._roles[1].process is None


def test_one_that_crashes_is_started_again_later_and_later(stop: StopFlag) -> None:
    status, events, tree = run_with(CRASHES, stop, lambda events, _: len(names(events, "role_died")) == 3)
    assert status == 0
    assert set(names(events, "role_died")) == {"shadow"}
    pauses = [one["restart_in"] for one in events if one["event"] == "role_died"]
    assert pauses == [0.5, 1.0, 2.0]
    assert tree._roles[0].process is not None


def test_one_that_lacks_what_may_come_back_is_said_to_wait_and_not_to_have_died(stop: StopFlag) -> None:
    status, events, _ = run_with(LACKS, stop, lambda events, _: len(names(events, "role_waits")) == 3)
    assert status == 0
    assert set(names(events, "role_waits")) == {"shadow"}
    assert [one["restart_in"] for one in events if one["event"] == "role_waits"] == [0.5, 1.0, 2.0]
    assert not names(events, "role_died")


def test_one_that_does_not_hear_is_not_waited_for(
    stop: StopFlag, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(serve, "_OPTIONAL_STOP_SECONDS", 0.2)
    deaf = tmp_path / "deaf"
    status, _, tree = run_with(DEAF.format(file=str(deaf)), stop, lambda events, tree: deaf.exists())
    assert status == 0
    process = tree._roles[1].process
    assert process is not None
    assert process.returncode == -9


def test_one_that_gives_no_sign_of_life_is_ended_and_started_again(
    stop: StopFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was ready, and then hangs.
    monkeypatch.setattr(serve, "SILENT_SECONDS", {"listen": 0.2, "shadow run": 60.0})
    status, events, _ = run_with(DEAF.format(file=os.devnull), stop, lambda e, _: names(e, "role_started")[2:] != [])
    assert status == 0
    assert names(events, "role_hung")[:1] == ["listen"]
    died = next(one for one in events if one["event"] == "role_died")
    assert (died["role_name"], died["code"]) == ("listen", -9)
    assert names(events, "role_started")[:3] == ["listen", "shadow", "listen"]


def test_one_that_never_gets_ready_is_ended_and_started_again(stop: StopFlag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "START_SECONDS", {"listen": 60.0, "shadow run": 0.2})
    status, events, _ = run_with(STARTS_FOR_EVER, stop, lambda e, _: names(e, "role_started")[2:] != [])
    assert status == 0
    assert names(events, "role_hung")[:1] == ["shadow"]
    assert names(events, "role_started")[:3] == ["listen", "shadow", "shadow"]


def test_roles_that_have_much_to_say_at_their_end_are_not_held_up_by_it(stop: StopFlag) -> None:
    def shadow_was_started(events: Events, tree: Tree) -> bool:
        return "shadow" in names(events, "role_started")

    status, _, tree = run_with(WORKS, stop, shadow_was_started, TALKS_AT_ITS_END)
    assert status == 0
    process = tree._roles[0].process
    assert process is not None
    assert process.returncode == 0


def reloading_tree(log: Path) -> tuple[list[serve._Role], dict[str, str]]:
    roles = [serve._Role(name, name) for name in ("listen", "work", "deliver")]
    roles.append(serve._Role("shadow", "shadow run", optional=True))
    return roles, {role.name: RELOADS.format(log=str(log), name=role.name) for role in roles}


def asks_once_ready(events: Events, tree: Tree) -> bool:
    """Ask for a reload when the tree is ready, once; whether it is over."""
    if any(one["event"] == "ready" for one in events) and not any(one["event"] == "asked" for one in events):
        events.append({"event": "asked"})
        tree._reloading._flag.set()
    return any(one["event"] in {"roles_reloaded", "reload_refused"} for one in events)


def test_who_delivers_reloads_before_who_makes_work_and_nobody_waits_for_the_shadow(
    stop: StopFlag, tmp_path: Path
) -> None:
    roles, programs = reloading_tree(tmp_path / "log")
    programs["shadow"] = DEAF.format(file=os.devnull)
    status, events, _ = run_tree(roles, programs, stop, asks_once_ready)
    assert status == 0
    assert (tmp_path / "log").read_text().split() == ["deliver", "work", "listen"]
    (over,) = [one for one in events if one["event"] == "roles_reloaded"]
    assert over["refused"] == dict.fromkeys(("deliver", "work", "listen"), "no such bundle")
    assert len(names(events, "role_started")) == 4


def test_a_role_that_dies_of_a_reload_holds_it_up_no_more_than_its_start(stop: StopFlag, tmp_path: Path) -> None:
    roles, programs = reloading_tree(tmp_path / "log")
    programs["work"] = WORKS.replace("=listen", "=work")  # the signal ends it
    status, events, _ = run_tree(roles, programs, stop, asks_once_ready)
    assert status == 0
    assert names(events, "role_died") == ["work"]
    reloaded = (tmp_path / "log").read_text().split()
    assert [name for name in reloaded if name != "shadow"] == ["deliver", "listen"], "nobody waits for the shadow"


def test_settings_that_cannot_be_read_reach_no_role(stop: StopFlag, tmp_path: Path) -> None:
    def read() -> Settings:
        raise ConfigError(["dicom.port: no", "routes: no"])

    roles, programs = reloading_tree(tmp_path / "log")
    status, events, _ = run_tree(roles, programs, stop, asks_once_ready, read)
    assert status == 0
    (refused,) = [one for one in events if one["event"] == "reload_refused"]
    assert refused["problems"] == ["dicom.port: no", "routes: no"]
    assert not (tmp_path / "log").exists()


def test_a_needed_role_that_cannot_start_again_does_not_take_the_others_down(stop: StopFlag, tmp_path: Path) -> None:
    # Somebody broke the settings while it ran, and then it crashed.
    roles, programs = reloading_tree(tmp_path / "log")

    def broken(events: Events, tree: Tree) -> bool:
        if any(one["event"] == "ready" for one in events) and not names(events, "role_died"):
            tree.programs["work"] = REFUSES
            assert roles[1].process is not None
            roles[1].process.kill()
        return len(names(events, "role_died")) == 2

    status, events, _ = run_tree(roles, programs, stop, broken)
    assert status == 0
    assert names(events, "role_died") == ["work", "work"]
    assert names(events, "role_cannot_run") == []
