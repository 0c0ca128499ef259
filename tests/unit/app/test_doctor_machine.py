"""Clock, graphics cards and the settings file."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.app.doctor import doctor
from ocunet_pacs.app.doctor_checks import Level
from ocunet_pacs.app.doctor_machine import (
    Card,
    available_bytes,
    judge_cards,
    judge_clock,
    look_at_cards,
    look_at_clock,
    read_cards,
)
from ocunet_pacs.app.doctor_settings import look_at_settings
from ocunet_pacs.settings import load

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
FIRST = Card(0, "NVIDIA H100", "550.54.15", 81559, 80000)
SECOND = Card(1, "NVIDIA H100", "550.54.15", 81559, 512)


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_clock_that_is_behind_what_has_been() -> None:
    said = judge_clock(NOW, NOW + timedelta(minutes=1), "Europe/Berlin", {"NTPSynchronized": "yes"})
    assert said.level is Level.FAULT
    assert "timedatectl set-time" in said.remedy


def test_a_clock_that_nobody_synchronises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, "timedatectl", "echo NTP=no; echo NTPSynchronized=no")
    said = look_at_clock(tmp_path, NOW)
    assert said.level is Level.WARNING
    assert "timedatectl set-ntp true" in said.remedy
    program(tmp_path, "timedatectl", "echo NTP=yes; echo NTPSynchronized=yes")
    assert look_at_clock(tmp_path, NOW).found.endswith(", synchronised")
    program(tmp_path, "timedatectl", "exit 1")
    silent = look_at_clock(tmp_path, NOW)
    assert silent.level is Level.OK
    assert "synchronised" not in silent.found


@pytest.mark.parametrize(
    ("device", "there", "cards", "level", "words"),
    [
        ("cpu", 1, [], Level.OK, "not asked for"),
        ("auto", 0, [], Level.OK, "runs on the processor"),
        ("cuda:0", 0, [], Level.FAULT, "there is none"),
        ("auto", 1, [], Level.FAULT, "the driver does not answer"),
        ("cuda", 2, [FIRST, SECOND], Level.OK, "0: NVIDIA H100, driver 550.54.15, 80000 of 81559 MiB free"),
        ("cuda:1", 2, [FIRST, SECOND], Level.WARNING, "1: NVIDIA H100"),
        ("auto", 2, [FIRST, SECOND], Level.WARNING, "512 of 81559"),
        ("cuda:2", 2, [FIRST, SECOND], Level.FAULT, "there are 2"),
    ],
)
def test_cards(device: str, there: int, cards: list[Card], level: Level, words: str) -> None:
    said = judge_cards(device, there, cards)
    assert said.level is level
    assert words in said.found
    assert bool(said.remedy) is (level is not Level.OK)


def test_cards_are_read_as_the_drivers_tool_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert look_at_cards("auto", tmp_path / "gpus").remedy == "see at `model load` whether the network runs on it"
    program(tmp_path, "nvidia-smi", "echo '0, NVIDIA H100, 550.54.15, 81559, 80000'")
    assert "80000 of 81559 MiB free" in look_at_cards("auto", tmp_path / "gpus").found
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    assert look_at_cards("auto", tmp_path / "gpus").level is Level.FAULT
    assert read_cards("No devices were found\n") == []
    assert read_cards("0, A, 1, 2, 3\n1, B, 1, [N/A], [N/A]\n") == [Card(0, "A", "1", 2, 3)]


def test_memory() -> None:
    assert available_bytes("MemTotal: 24000 kB\nMemAvailable:   1024 kB\n") == 1 << 20
    assert available_bytes("") is None


def test_settings_that_cannot_be_read_are_all_there_is_to_say(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("dicom: {port: x}\nassembly: {quiet_period: soon}\n")
    findings = doctor(path)
    assert [(finding.check, finding.verdict.level) for finding in findings] == [("settings", Level.FAULT)] * 2
    said = " ".join(finding.verdict.found for finding in findings)
    assert "dicom.port" in said
    assert "assembly.quiet_period" in said


@pytest.mark.parametrize(
    ("secret", "mode", "level"),
    [(True, 0o644, Level.WARNING), (True, 0o640, Level.OK), (False, 0o644, Level.OK)],
)
def test_a_password_that_everybody_may_read(tmp_path: Path, secret: bool, mode: int, level: Level) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("database: {url: 'postgresql://me:hushhush@host/name'}\n" if secret else "{}\n")
    path.chmod(mode)
    said = look_at_settings(path, load(path, {}))
    assert said.level is level
    assert "hushhush" not in said.found + said.remedy
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_password_that_came_another_way_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("{}\n")
    path.chmod(0o644)
    loaded = load(path, {"OCUNET_PACS__DATABASE__URL": "postgresql://me:hushhush@host/name"})
    assert look_at_settings(path, loaded).level is Level.OK
