"""The systemd units, as systemd itself judges them, and as they fit the program's settings and commands."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from typer.main import get_command

from ocunet_pacs.app.process import NEEDED_ROLES, ROLE_NAME
from ocunet_pacs.app.serve import SILENT_SECONDS, START_SECONDS
from ocunet_pacs.cli.main import app
from ocunet_pacs.settings import Settings, from_tree
from tests import units

pytestmark = pytest.mark.peers
unit_by_unit = pytest.mark.parametrize("unit", units.SERVICES)
EXPOSURE = {
    "ocunet-pacs.service": 1.7,
    "ocunet-pacs-console.service": 1.2,
    "ocunet-pacs-deliver.service": 1.1,
    "ocunet-pacs-listener.service": 1.4,
    "ocunet-pacs-migrate.service": 1.1,
    "ocunet-pacs-shadow.service": 1.4,
    "ocunet-pacs-stow.service": 1.4,
    "ocunet-pacs-watch.service": 1.1,
    "ocunet-pacs-worker@.service": 1.4,
}


@pytest.fixture(scope="module")
def defaults() -> Settings:
    return from_tree({})


@unit_by_unit
def test_no_unit_is_more_exposed_than_it_was(unit):
    assert units.exposure(units.FOLDER / unit) <= EXPOSURE[unit] <= 2.0


def test_systemd_has_nothing_to_say_about_any_unit(tmp_path):
    shipped = [path for path in units.FOLDER.iterdir() if path.suffix in {".service", ".target"}]
    assert units.complaints(shipped, tmp_path) == []


def test_a_unit_with_a_slip_is_found(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    wrong = tmp_path / "in" / "ocunet-pacs-wrong.service"
    wrong.write_text((units.FOLDER / "ocunet-pacs.service").read_text().replace("PrivateTmp", "PrivateTemp"))
    assert any("PrivateTemp" in line for line in units.complaints([wrong], tmp_path / "out"))


@unit_by_unit
def test_what_a_unit_starts_is_a_command(unit):
    (line,) = units.values(unit, "ExecStart")
    name, *words = shlex.split(line)
    assert name == units.PROGRAM
    root = get_command(app)
    _disarm(root)
    root.main(words, prog_name="ocunet-pacs", standalone_mode=False)


def environment(unit: str) -> dict[str, str]:
    words = [word for line in units.values(unit, "Environment") for word in line.split()]
    return dict(word.split("=", 1) for word in words)


def test_the_listener_answers_for_the_roles_of_a_host_with_one_worker():
    worker = "ocunet-pacs-worker@.service"
    (number,) = units.values(worker, "DefaultInstance")
    roles = ["listen", environment(worker)[ROLE_NAME].replace("%i", number), "deliver"]
    needing = {unit: environment(unit)[NEEDED_ROLES] for unit in units.SERVICES if NEEDED_ROLES in environment(unit)}
    assert needing == {"ocunet-pacs-listener.service": ",".join(roles)}
    for unit in ("ocunet-pacs-listener.service", "ocunet-pacs-deliver.service"):
        assert ROLE_NAME not in environment(unit), "they are called by their commands"


@unit_by_unit
def test_a_credential_sets_something_that_there_is(unit, defaults):
    for line in units.values(unit, "LoadCredential"):
        section, key = line.split(":")[0].split(".")
        assert key in type(getattr(defaults, section)).model_fields


def test_every_role_gets_all_credentials_because_it_reads_all_settings():
    assert len({tuple(units.values(unit, "LoadCredential")) for unit in units.SERVICES}) == 1


@unit_by_unit
def test_a_role_starts_after_the_migration_and_stops_with_the_target(unit):
    if unit in {"ocunet-pacs.service", "ocunet-pacs-migrate.service"}:
        assert units.values(unit, "WantedBy") != ["ocunet-pacs.target"]
        return
    assert units.values(unit, "PartOf") == units.values(unit, "WantedBy") == ["ocunet-pacs.target"]
    for key in ("Wants", "After"):
        assert "ocunet-pacs-migrate.service" in " ".join(units.values(unit, key)).split()
    # Either the tree or its parts: the one that is started stops the other first.
    assert units.values(unit, "Conflicts") == ["ocunet-pacs.service"]
    assert "ocunet-pacs.service" in " ".join(units.values(unit, "After")).split()


@unit_by_unit
def test_a_role_reloads_by_signal_for_every_systemd_and_with_the_target(unit):
    if unit == "ocunet-pacs-migrate.service":
        assert units.values(unit, "Type") == ["oneshot"]
        return
    # The last that is known counts: one before 253 knows the first alone.
    assert units.values(unit, "Type") == ["notify", "notify-reload"]
    assert units.values(unit, "ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert "kill" in units.allowed_calls(unit)
    propagated = [] if unit == "ocunet-pacs.service" else ["ocunet-pacs.target"]
    assert units.values(unit, "ReloadPropagatedFrom") == propagated


@pytest.mark.parametrize("unit", ["ocunet-pacs-worker@.service", "ocunet-pacs.service"])
def test_a_worker_is_not_killed_in_the_middle_of_a_pass(unit, defaults):
    (stop,) = units.values(unit, "TimeoutStopSec")
    assert units.seconds(stop) > defaults.model.hung_after.total_seconds()


def test_the_watchdog_is_longer_than_a_worker_may_be_silent(defaults):
    silent = defaults.model.hung_after + defaults.model.decode_timeout
    for unit in ("ocunet-pacs-worker@.service", "ocunet-pacs-shadow.service"):
        (watchdog,) = units.values(unit, "WatchdogSec")
        assert units.seconds(watchdog) > silent.total_seconds()
    (watchdog,) = units.values("ocunet-pacs-watch.service", "WatchdogSec")
    assert units.seconds(watchdog) > defaults.model.decode_timeout.total_seconds()


def test_serve_and_systemd_wait_equally_long_for_a_sign_of_life():
    found = {}
    for unit in units.SERVICES:
        (line,) = units.values(unit, "ExecStart")
        command = line.removeprefix(units.PROGRAM).partition(" --")[0].strip()
        for watchdog in units.values(unit, "WatchdogSec"):
            found[command] = units.seconds(watchdog)
    del found["serve"]
    assert found == dict(SILENT_SECONDS)


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        ("ocunet-pacs.service", "work"),
        ("ocunet-pacs-worker@.service", "work"),
        ("ocunet-pacs-shadow.service", "shadow run"),
    ],
)
def test_serve_and_systemd_wait_equally_long_for_a_model_that_loads(unit, command):
    (start,) = units.values(unit, "TimeoutStartSec")
    assert units.seconds(start) == START_SECONDS[command]


def _disarm(command: Any) -> None:
    if command.callback is not None:
        command.callback = lambda *_args, **_values: None
    for below in getattr(command, "commands", {}).values():
        _disarm(below)
