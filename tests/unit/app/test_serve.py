"""Which processes `serve` starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocunet_pacs import settings
from ocunet_pacs.app.process import NEEDED_ROLES, needed_roles
from ocunet_pacs.app.serve import roles


def make(tmp_path: Path, gpus: int) -> Path:
    for number in range(gpus):
        (tmp_path / f"0000:{number:02d}:00.0").mkdir()
    return tmp_path


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_worker_where_there_is_at_most_one_gpu(tmp_path: Path, gpus: int) -> None:
    found = roles(settings.Settings(), make(tmp_path, gpus))
    assert [role.command for role in found] == ["listen", "work", "deliver", "console"]


def test_a_worker_for_each_of_several_gpus_each_with_its_own_device(tmp_path: Path) -> None:
    workers = [role for role in roles(settings.Settings(), make(tmp_path, 3)) if role.command == "work"]
    assert len({role.name for role in workers}) == 3
    devices = [settings.from_environment(role.environment).model.device for role in workers]
    assert devices == ["cuda:0", "cuda:1", "cuda:2"]


def test_a_device_that_the_site_names_is_the_only_one(tmp_path: Path) -> None:
    chosen = settings.from_tree({"model": {"device": "cpu"}})
    assert sum(role.command == "work" for role in roles(chosen, make(tmp_path, 3))) == 1


def test_as_many_listeners_as_the_settings_say_on_one_port(tmp_path: Path) -> None:
    chosen = settings.from_tree({"dicom": {"processes": 3}})
    found = [role for role in roles(chosen, tmp_path) if role.command == "listen"]
    assert [role.name for role in found] == ["listen-0", "listen-1", "listen-2"]


def test_a_candidate_is_a_process_of_its_own_that_nobody_depends_on(tmp_path: Path) -> None:
    plain = settings.from_tree({"model": {"device": "cpu"}})
    watched = settings.from_tree({"model": {"device": "cpu"}, "shadow": {"bundle": "/bundles/candidate"}})
    found = {role.name: role for role in roles(watched, tmp_path)}
    shadow = found.pop("shadow")
    assert list(found.values()) == roles(plain, tmp_path), "the rest is as without it"
    assert (shadow.command, shadow.optional) == ("shadow run", True)


def test_the_console_is_a_process_of_its_own_that_nobody_depends_on(tmp_path: Path) -> None:
    *others, console = roles(settings.from_tree({"model": {"device": "cpu"}}), tmp_path)
    assert (console.command, console.optional) == ("console", True)
    assert not any(role.optional for role in others)
    without = settings.from_tree({"model": {"device": "cpu"}, "console": {"enabled": False}})
    assert roles(without, tmp_path) == others, "the rest is as with it"


def test_all_roles_count_into_one_folder_and_the_first_answers_for_all(tmp_path: Path) -> None:
    found = roles(settings.from_tree({"dicom": {"processes": 2}}), tmp_path)
    assert len({role.environment["PROMETHEUS_MULTIPROC_DIR"] for role in found}) == 1
    ports = [settings.from_environment(role.environment).metrics.port for role in found]
    assert ports == [9464, 0, 0, 0, 0]


def test_some_know_which_roles_must_be_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings.from_tree({"dicom": {"processes": 2}, "shadow": {"bundle": "/bundles/candidate"}})
    first, *others = roles(chosen, tmp_path)
    told = {role.name: role.environment[NEEDED_ROLES] for role in (first, *others) if NEEDED_ROLES in role.environment}
    assert told == dict.fromkeys(("listen-0", "console"), "listen-0,listen-1,work,deliver")
    monkeypatch.setenv(NEEDED_ROLES, first.environment[NEEDED_ROLES])
    assert needed_roles("listen") == ["listen-0", "listen-1", "work", "deliver"]
    monkeypatch.delenv(NEEDED_ROLES)
    assert needed_roles("deliver") == ["deliver"]
