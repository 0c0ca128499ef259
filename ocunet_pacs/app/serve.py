"""`serve`: every role in one process tree, on one machine.

Each role is a process of its own, so that a crash in a native codec or on a GPU takes nothing else down; this one
starts them, restarts what dies (with a growing pause), passes stops and reloads on, and speaks to the service manager
for all of them. A role that nobody depends on (the shadow, the console) is started last, never decides how the service
is, and is not waited for. It never loads torch or the network stack itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from ocunet_pacs import systemd
from ocunet_pacs.app.database import prepare_database
from ocunet_pacs.app.process import (
    EXIT_AGAIN,
    EXIT_CONFIG,
    NEEDED_ROLES,
    ROLE_NAME,
    WATCHDOG_VARIABLE,
    StopFlag,
    stop_on_signals,
)
from ocunet_pacs.app.reload import TakenUp
from ocunet_pacs.app.waves import Waves
from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.metrics import MULTIPROCESS_VARIABLE
from ocunet_pacs.model.manifest import read_manifest
from ocunet_pacs.settings import ENV_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ocunet_pacs.app.reload import Reloading
    from ocunet_pacs.settings import Settings

NVIDIA_DEVICES = Path("/proc/driver/nvidia/gpus")
_DOING = "receiving, analysing and delivering"
_PR_SET_PDEATHSIG = 1
_STEADY_SECONDS = 60.0
_LONGEST_PAUSE = 30.0
_LONGEST_PAUSE_OPTIONAL = 600.0
"""Starting costs a minute of a processor: what nobody depends on, and what keeps dying, is tried now and then."""
_OPTIONAL_STOP_SECONDS = 5.0
SILENT_SECONDS = MappingProxyType(
    {
        "listen": 60.0,
        "stow": 60.0,
        "watch": 180.0,
        "work": 600.0,
        "deliver": 600.0,
        "shadow run": 600.0,
        "console": 60.0,
    }
)
"""How long each command may give no sign of life before it counts as hung; WatchdogSec= of its unit is the same."""
START_SECONDS = MappingProxyType({**dict.fromkeys(SILENT_SECONDS, 300.0), "shadow run": 600.0})
"""How long each may take to be ready: a device that hung once may hang what is started next, before it can say so."""


@dataclass
class _Role:
    """One process. `command` is what it runs, `name` tells it from others that run the same.

    `optional`: nobody depends on it. `given_up`: it cannot run with these settings, and the others go on without it
    until there are new ones.
    """

    name: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    given_up: bool = False
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    started: float = 0.0
    heard: float = 0.0
    restart_at: float = 0.0
    pause: float = field(default=0.0)


def serve(reloading: Reloading, config: Path | None) -> int:
    """Run until asked to stop; the exit status. `config` is handed to the roles as it was given.

    StoreError when another `serve` has the store, BundleError and UntrainedBundle, DatabaseError and SchemaMismatch.
    """
    stop, settings = stop_on_signals(), reloading.settings
    settings.store.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(_lock_file(settings)):
        # Before a port is opened: a sender that is answered must not wait for a model that cannot be loaded.
        read_manifest(settings.model.bundle).require_trained(allow_untrained=settings.model.allow_untrained)
        _empty_metrics(settings)
        prepare_database(settings, upgrade=settings.database.url.startswith("sqlite"))
        return _Supervisor(roles(settings), config, stop, reloading).run()


def roles(settings: Settings, devices: Path = NVIDIA_DEVICES) -> list[_Role]:
    """What runs here: as many `listen` as the settings say, and one `work` a GPU where the device is left to us."""
    gpus = len(list(devices.iterdir())) if settings.model.device == "auto" and devices.is_dir() else 0
    if gpus > 1:
        workers = [_Role(f"work-{n}", "work", {f"{ENV_PREFIX}MODEL__DEVICE": f"cuda:{n}"}) for n in range(gpus)]
    else:
        workers = [_Role("work", "work")]
    count = settings.dicom.processes
    listeners = (
        [_Role("listen", "listen")] if count == 1 else [_Role(f"listen-{number}", "listen") for number in range(count)]
    )
    optional = {"stow": settings.stow.enabled, "watch": bool(settings.watch)}
    feeders = [_Role(name, name) for name, wanted in optional.items() if wanted]
    shadows = [] if settings.shadow.bundle is None else [_Role("shadow", "shadow run", optional=True)]
    consoles = [_Role("console", "console", optional=True)] if settings.console.enabled else []
    found = [*listeners, *feeders, *workers, _Role("deliver", "deliver"), *shadows, *consoles]
    # All of them count into one folder, and the first answers for all.
    for role in found:
        role.environment = {**role.environment, MULTIPROCESS_VARIABLE: str(_metrics_folder(settings))}
    needed = ",".join(role.name for role in found if not role.optional)
    # The first answers monitoring for all of them, and the console shows how they are.
    for role in (found[0], *consoles):
        role.environment = {**role.environment, NEEDED_ROLES: needed}
    for role in found[1:]:
        role.environment = {**role.environment, f"{ENV_PREFIX}METRICS__PORT": "0"}
    return found


def _metrics_folder(settings: Settings) -> Path:
    """This host's own: others that share the store count there too, and their processes may have the same numbers."""
    return settings.store.path / "metrics" / socket.gethostname()


def _lock_file(settings: Settings) -> Path:
    """One `serve` a host; with SQLite one a store, because its file serves one host."""
    alone = settings.database.url.startswith("sqlite")
    return settings.store.path / ("serve.lock" if alone else f"serve.{socket.gethostname()}.lock")


def _empty_metrics(settings: Settings) -> None:
    """Counters begin at 0 when the daemon starts; those of a role that dies in between stay."""
    folder = _metrics_folder(settings)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.db"):
        file.unlink()


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock for as long as this process lives; StoreError when another `serve` has it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another `ocunet-pacs serve` is running on {path.parent}: stop it first") from None
        yield


class _Supervisor:
    def __init__(self, roles: Sequence[_Role], config: Path | None, stop: StopFlag, reloading: Reloading) -> None:
        self._roles = roles
        self._reloading = reloading
        self._waves = Waves(roles)
        self._config = config
        self._stop = stop
        self._address = f"\0ocunet-pacs-{os.getpid()}-{uuid.uuid4().hex}"
        self._announced = False
        self._log = structlog.get_logger()

    def run(self) -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
            notices.bind(self._address)
            notices.setblocking(False)  # noqa: FBT003 - the standard library's signature
            status = 0
            while not self._stop.is_set():
                for role in self._roles:
                    status = self._look_after(role)
                    if status:
                        break
                if status:
                    break
                self._hear(notices)
                self._reload()
        # Nobody listens any more: a role that still has something to say is told so, and does not wait to be heard.
        return self._end() or status

    def _look_after(self, role: _Role) -> int:
        """Start or restart the role where needed; non-zero when it cannot run at all, and others need it."""
        now = time.monotonic()
        if role.process is None:
            if now >= role.restart_at and self._is_wanted(role):
                self._start(role, now)
            return 0
        code = role.process.poll()
        if code is None:
            return 0
        if code == EXIT_CONFIG and (role.optional or not self._announced):
            self._log.error("role_cannot_run", role_name=role.name, code=code)
            role.process, role.given_up = None, True
            return 0 if role.optional else EXIT_CONFIG
        longest = _LONGEST_PAUSE_OPTIONAL if role.optional else _LONGEST_PAUSE
        steady = now - role.started > max(_STEADY_SECONDS, longest)
        role.pause = 0.5 if steady or not role.pause else min(2 * role.pause, longest)
        role.restart_at = now + role.pause
        role.process, role.ready = None, False
        if code == EXIT_AGAIN:  # it ended itself, well, and has said what it waits for
            self._log.warning("role_waits", role_name=role.name, restart_in=role.pause)
        else:
            self._log.error("role_died", role_name=role.name, code=code, restart_in=role.pause)
        return 0

    def _is_wanted(self, role: _Role) -> bool:
        return self._announced and not role.given_up if role.optional else True

    def _start(self, role: _Role, now: float) -> None:
        command = [sys.executable, "-m", "ocunet_pacs", *role.command.split()]
        if self._config is not None:
            command += ["--config", str(self._config)]
        # The address in $NOTIFY_SOCKET is ours: a role reports to this process as it would to systemd.
        ours = {
            "NOTIFY_SOCKET": "@" + self._address[1:],
            ROLE_NAME: role.name,
            WATCHDOG_VARIABLE: str(int(SILENT_SECONDS[role.command] * 1e6)),
        }
        environment = {**os.environ, **ours, **role.environment}
        role.process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches this process alone; it passes the stop on
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
        )
        role.started = role.heard = now
        self._log.info("role_started", role_name=role.name, pid=role.process.pid)

    def _hear(self, notices: socket.socket) -> None:
        """Wait a moment for what the roles say; tell the service manager when all of them are ready."""
        select.select([notices.fileno(), self._stop.reader], [], [], 0.1)
        while True:
            try:
                text = notices.recv(4096).decode(errors="replace")
            except BlockingIOError:
                break
            for line in text.splitlines():
                name, _, value = line.partition("=")
                if name in {"X_ROLE_READY", "X_ROLE_ALIVE"}:
                    for role in self._roles:
                        if role.name == value:
                            role.ready = role.ready or name == "X_ROLE_READY"
                            role.heard = time.monotonic()
                self._waves.hear(name, value)
        self._end_what_hangs()
        needed = [role for role in self._roles if not role.optional]
        if not self._announced and all(role.ready for role in needed):
            self._announced = True
            systemd.notify("READY=1", f"STATUS={_DOING}")
            self._log.info("ready")
        if self._announced and all(role.process is not None for role in needed):
            systemd.notify("WATCHDOG=1")

    def _reload(self) -> None:
        """When that is asked for, take up settings here first, then role by role; READY when all are back."""
        if self._announced and not self._waves.under_way and self._reloading.asked():
            self._reloading.begin()
            refused = self._reloading.renew(lambda _change: TakenUp(_DOING))
            if refused:
                systemd.notify("READY=1", f"STATUS={_DOING}; {refused}")
                return
            for role in self._roles:
                role.given_up = False
            self._waves.begin()
        if self._waves.go_on():
            refused = "".join(f"; {name}: {why}" for name, why in self._waves.refused.items())
            systemd.notify("READY=1", f"STATUS={_DOING}{refused}")
            self._log.info("roles_reloaded", refused=self._waves.refused)

    def _end_what_hangs(self) -> None:
        """Kill roles that do not get ready, or give no sign of life any more; they start again like any that died."""
        now = time.monotonic()
        for role in self._roles:
            patience = (SILENT_SECONDS if role.ready else START_SECONDS)[role.command]
            if role.process is not None and now - role.heard > patience:
                self._log.error("role_hung", role_name=role.name, after=patience, ready=role.ready)
                role.process.kill()
                role.ready, role.heard = False, now

    def _end(self) -> int:
        """Stop every role and wait for it; non-zero when one did not end well."""
        systemd.notify("STOPPING=1")
        self._log.info("stopping")
        running = [role for role in self._roles if role.process is not None]
        for role in running:
            assert role.process is not None
            role.process.send_signal(signal.SIGTERM)
        failed = 0
        for role in sorted(running, key=lambda role: role.optional):
            assert role.process is not None
            if role.optional:
                _end_soon(role.process)
            elif role.process.wait() not in {0, -signal.SIGTERM, EXIT_CONFIG, EXIT_AGAIN}:
                failed = 1
        self._log.info("stopped")
        return failed


def _end_soon(process: subprocess.Popen[bytes]) -> None:
    """Whatever it is at may be done again, so it is not waited for."""
    try:
        process.wait(_OPTIONAL_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    """The kernel kills this role when the supervisor is killed, so that a restart finds the port and the queue free.

    A reload must not end one that does not listen to its signal yet.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
