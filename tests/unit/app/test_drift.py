"""The drift watch in the daemon: once a night, said everywhere, and in no result's way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from PIL import Image
from structlog.testing import capture_logs
from typer.testing import CliRunner

from ocunet_pacs import settings
from ocunet_pacs.app.drift import drift_report, drift_status, is_due, last_due, observing, watch
from ocunet_pacs.app.drift_reference import make_reference
from ocunet_pacs.app.gauges import drift_values
from ocunet_pacs.app.housekeeping import Housekeeping
from ocunet_pacs.app.parts import gate_rules
from ocunet_pacs.cli import drift
from ocunet_pacs.cli.status import _drift, _warnings
from ocunet_pacs.domain.drift import Camera, watch_nothing
from ocunet_pacs.domain.errors import BundleError, ConfigError, DatabaseError
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.domain.upkeep import TaskRun
from ocunet_pacs.drift.bundle_reference import (
    FEWEST,
    BundleReference,
    read_bundle_reference,
    write_bundle_reference,
)
from ocunet_pacs.drift.reference import Reference
from ocunet_pacs.drift.sample import image_sample, score_sample
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.quality_limits import QualityLimits
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.migrate import upgrade
from ocunet_pacs.jobs.sql import SqlJobs
from ocunet_pacs.metrics import ASKED
from tests.nights import CAMERA, DAY, LABELS, SPEC, Clinic, Measured, RememberedNights
from tests.unit.pipeline.fakes import Classifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

SECOND = Camera.of("Acme", "Retina 7", "0816", "", "")
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
SECONDS = timedelta(seconds=1)


def measured(shift: float = 0.0) -> list[Measured]:
    """Patients who differ in two measures, one of which may be shifted."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(80, 2))
    return [Measured(0.0, {"structure": one + shift, "red": other}, b"", "") for one, other in values.tolist()]


def clinic(shift: float = 0.0, **changed: Any) -> Clinic:
    """Seven days that make a reference, and one that may be another."""
    site = Clinic(RememberedNights(), 1, **changed)
    site.ordinary(measured(), 7)
    site.open((CAMERA, measured(shift), 0.0))
    return site


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-09T12:00", "2026-03-09T02:30"),
        ("2026-03-09T02:30", "2026-03-09T02:30"),
        ("2026-03-09T02:29", "2026-03-08T02:30"),
        ("2026-03-29T12:00", "2026-03-29T02:30"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles"])
def test_the_watch_is_due_by_the_clock_on_the_wall(
    now: str, due: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    try:
        tzset()
        moment = datetime.fromisoformat(now).astimezone()
        found = last_due("02:30", moment.astimezone(UTC))
        # On the day on which clocks go forward there is no half past two.
        assert abs(found - datetime.fromisoformat(due).astimezone()) <= timedelta(hours=1)
        assert found <= moment
    finally:
        monkeypatch.undo()
        tzset()


def tzset() -> None:
    import time

    time.tzset()


@pytest.mark.parametrize(("began", "due"), [(None, True), (-1, True), (0, False), (3, False)])
def test_a_night_is_due_until_somebody_has_begun_it(began: int | None, due: bool) -> None:
    runs = [TaskRun("reap", NOW + DAY, 0.1, True, NOW, "")]
    if began is not None:
        runs.append(TaskRun("drift", NOW + timedelta(hours=began), 0.1, True, NOW, ""))
    assert is_due(runs, NOW) is due


def test_housekeeping_compares_once_a_night_whoever_comes_first() -> None:
    site = clinic(3.0)
    now = [site.now + timedelta(hours=1)]
    first, second = (Housekeeping(site.ledger, clock=lambda: now[0]) for _ in range(2))  # type: ignore[arg-type]
    loaded = settings.from_tree({})
    tasks = []
    for house in (first, second):
        house._every = lambda _interval, name, task, house=house: tasks.append(house._guarded(name, task))  # type: ignore[method-assign,misc]
        house.watch_drift(site.ledger, lambda: loaded)  # type: ignore[arg-type]
    before = len(site.ledger.nights(limit=99))
    for task in (*tasks, *tasks):
        task()
    assert len(site.ledger.nights(limit=99)) == before + 1
    [run] = site.ledger.task_runs()
    assert (run.task, run.note) == ("drift", "1 cameras, 1 that need attention")
    now[0] += DAY
    tasks[0]()
    assert len(site.ledger.nights(limit=99)) == before + 2


def test_what_is_off_is_neither_kept_nor_compared() -> None:
    off = settings.from_tree({"drift": {"enabled": False}})
    ledger = RememberedNights()
    assert observing(off, ledger, lambda: NOW) is watch_nothing
    house = Housekeeping(ledger)
    tasks: list[Any] = []
    house._every = lambda _interval, _name, task: tasks.append(task)  # type: ignore[method-assign,misc]
    house.watch_drift(ledger, lambda: off)  # type: ignore[arg-type]
    assert tasks[0]() is None
    assert drift_status(off, ledger) is None


def test_a_database_that_is_away_costs_the_observations_and_not_the_result() -> None:
    class Away(RememberedNights):
        def note_observations(self, *_: object) -> None:
            raise DatabaseError("it is away")

    keep = observing(settings.from_tree({}), Away(), lambda: NOW)
    with capture_logs() as events:
        keep([], "abc")
    assert [event["event"] for event in events] == ["observations_lost"]


def test_an_alert_is_said_by_log_status_and_metrics() -> None:
    site = clinic(3.0)
    loaded = settings.from_tree({})
    with capture_logs() as events:
        watch(loaded, site.ledger, site.now, lambda: False)
    [event] = [event for event in events if event["event"] == "drift_alert"]
    assert (event["camera"], event["measures"]) == (CAMERA.digest, ["structure"])
    found = drift_status(loaded, site.ledger)
    assert found is not None
    [alert] = found["alerts"]
    assert (alert["camera"], alert["name"]) == (CAMERA.digest, CAMERA.words)
    assert alert["words"].startswith("contrast of vessels: higher (look at lens and focus")
    assert _drift(found) == f"night of {last_due('02:30', site.now).date()}: 1 cameras compared, 1 need attention"
    status = {"missing_files": None, "store": {"put_aside": 0}, "patient_conflicts": 0, "destinations": None}
    assert _warnings(status | {"drift": found}) == [f"{CAMERA.words} ({CAMERA.digest}): {alert['words']}"]
    gauges = drift_values(site.ledger, [TaskRun("drift", site.now, 2.0, True, site.now + 2 * SECONDS, "")])
    assert set(gauges) <= set(ASKED)
    assert gauges["drift_alerts"] == {
        (CAMERA.digest, part): float(part == "image") for part in ("camera", "image", "scores")
    }
    assert gauges["drift_psi"][CAMERA.digest, "structure"] > 1
    assert gauges["drift_night_timestamp_seconds"] == {(): site.now.timestamp() + 2}


def test_a_clinic_that_is_closed_is_watched_all_the_same() -> None:
    site, loaded = clinic(), settings.from_tree({})
    now = site.now + timedelta(hours=1)
    for _ in range(50):
        now += DAY
        house = Housekeeping(site.ledger, clock=lambda now=now: now)  # type: ignore[misc]
        house._every = lambda _interval, name, task, house=house: house._guarded(name, task)()  # type: ignore[method-assign,misc]
        house.watch_drift(site.ledger, lambda: loaded)  # type: ignore[arg-type]
    gauges = drift_values(site.ledger, site.ledger.task_runs())
    [at] = gauges["drift_night_timestamp_seconds"].values()
    assert at == pytest.approx(now.timestamp(), abs=60)
    assert not any(gauges["drift_alerts"].values())


def test_before_the_first_night_there_is_nothing_to_say() -> None:
    ledger = RememberedNights()
    assert drift_values(ledger, [TaskRun("drift", NOW, 0.1, False, None, "it broke")]) == {}
    assert drift_report(ledger) == []
    for found in (drift_status(settings.from_tree({}), ledger), drift_status(settings.from_tree({}), None)):
        assert found is not None
        assert _drift(found) == "no night yet"


def test_observations_and_nights_go_when_they_are_old() -> None:
    site = clinic()
    loaded = settings.from_tree({"drift": {"keep": "8d", "keep_nights": "3d", "reference_days": 5}})
    watch(loaded, site.ledger, site.now, lambda: False)
    assert {one.day for one in site.ledger.nights(limit=99)} == {(site.now - n * DAY).date() for n in range(4)}
    kept = site.ledger.observed(1)
    watch(loaded, site.ledger, site.now + 3 * DAY, lambda: False)
    assert 0 < len(site.ledger.observed(1)) < len(kept)


class TestBundleReference:
    def reference(self, shift: float = 0.0) -> BundleReference:
        site = Clinic(RememberedNights(), 3)
        site.ordinary(measured(shift), 5)
        observed = site.ledger.observed(1)
        return BundleReference(Reference.of(image_sample(observed)), Reference.of(score_sample(observed, "b" * 64)))

    def bundle(self, folder: Path, weights: str = "w") -> Path:
        (folder / "manifest.json").write_text(json.dumps({"weights_sha256": weights}))
        return folder

    def test_it_comes_back_as_it_was(self, tmp_path: Path) -> None:
        bundle = self.bundle(tmp_path)
        assert read_bundle_reference(bundle) is None
        path = write_bundle_reference(bundle, self.reference(), "w")
        found = read_bundle_reference(bundle)
        assert found is not None
        assert found.to_bytes("w") == path.read_bytes()
        assert set(found.scores.measures) == {*LABELS, "every label"}
        assert [file.name for file in sorted(bundle.iterdir())] == ["drift.json", "manifest.json"]

    def test_that_of_other_weights_and_a_damaged_one_are_refused(self, tmp_path: Path) -> None:
        bundle = self.bundle(tmp_path)
        path = write_bundle_reference(bundle, self.reference(), "other")
        with pytest.raises(BundleError, match="is of other weights; make it again"):
            read_bundle_reference(bundle)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(BundleError, match="is damaged; make it again"):
            read_bundle_reference(bundle)
        with capture_logs() as events:
            watch(settings.from_tree({"model": {"bundle": str(bundle)}}), RememberedNights(), NOW, lambda: False)
        assert [event["event"] for event in events] == ["drift_reference_refused"], "the night goes on without it"

    @pytest.mark.parametrize(("shift", "words"), [(0.0, "like its own photographs"), (3.0, "differs in 1 of ")])
    def test_a_camera_is_set_beside_it_from_the_first_night_on(self, tmp_path: Path, shift: float, words: str) -> None:
        bundle = self.bundle(tmp_path)
        write_bundle_reference(bundle, self.reference(shift), "w")
        loaded = settings.from_tree({"model": {"bundle": str(bundle)}})
        site = Clinic(RememberedNights(), 1)
        site.open((CAMERA, measured(), 0.0))
        watch(loaded, site.ledger, site.now, lambda: False)
        [night] = drift_report(site.ledger)
        [camera] = night["cameras"]
        assert camera["beside_bundle"].startswith(words)
        assert (camera["alert"], camera["measures"]) == (False, [])
        assert drift_values(site.ledger, [])["drift_psi"] == {}


class TestCommand:
    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Clinic]:
        engine = open_engine(f"sqlite:///{tmp_path / 'rows.db'}")
        upgrade(engine)
        self.config = tmp_path / "settings.yaml"
        tree = {"database": {"url": f"sqlite:///{tmp_path / 'rows.db'}"}, "store": {"path": str(tmp_path / "store")}}
        self.config.write_text(yaml.safe_dump(tree))
        site = Clinic(SqlJobs(engine), 1, engine=engine, patients=30)
        site.ordinary(measured(), 7)
        site.open((CAMERA, measured(3.0), 0.0))
        yield site
        engine.dispose()

    def call(self, *arguments: str) -> Result:
        command = [*arguments, "--config", str(self.config)]
        return CliRunner().invoke(drift.app, command, catch_exceptions=False, env={"COLUMNS": "200"})

    def test_what_has_changed_is_shown_and_accepted(self, site: Clinic) -> None:
        as_before = self.call("report")
        assert as_before.exit_code == 0
        assert f"{CAMERA.digest}  {CAMERA.words}" in as_before.output
        site.night()
        changed = self.call("report")
        assert changed.exit_code == 1
        assert "ATTENTION: 1 of" in changed.output
        assert "contrast of vessels" in changed.output
        assert "mean red" not in changed.output
        assert "mean red" in self.call("report", "--all").output
        accepted = self.call("accept", CAMERA.digest[:6], "--since", "2026-03-09")
        assert accepted.exit_code == 0
        assert accepted.output.startswith(f"{CAMERA.words}: compared again once there are enough photographs since")
        assert site.ledger.baselines(1) == []
        site.night()
        again = self.call("report")
        assert again.exit_code == 0
        assert "collecting its reference: 60 of 200 photographs, 1 of 7 days" in again.output

    def test_every_night_is_there_as_json(self, site: Clinic) -> None:
        site.night()
        nights = json.loads(self.call("report", "--since", "2026-03-01", "--json").output)
        assert [night["night"] for night in nights] == sorted({str(one.day) for one in site.nights}, reverse=True)
        [camera] = nights[0]["cameras"]
        assert (camera["alert"], camera["new"], camera["patients"]) == (True, False, 30)
        worst = camera["measures"][0]
        assert (worst["measure"], worst["part"], worst["alert"]) == ("structure", "image", True)
        assert worst["value"] > worst["limit"]

    def test_a_camera_that_nobody_knows_is_answered_with_those_that_there_are(self, site: Clinic) -> None:
        none = self.call("accept", "ffff")
        assert none.exit_code == 1
        assert CAMERA.words in none.output

    def test_a_person_may_compare_now(self, site: Clinic) -> None:
        site.day, site.first = 0, datetime.now(UTC) - DAY
        site.open((SECOND, measured(), 0.0))
        now = self.call("run", "--json")
        assert now.exit_code == 0
        [night] = json.loads(now.output)
        [camera] = night["cameras"]
        assert camera["camera"] == SECOND.digest, "the other one is silent for too long"
        assert camera["standing"].startswith("collecting its reference: 60 of 200")


class SaysTheSame(Classifier):
    """A predictor of one label, for photographs that are measured all the same."""

    manifest = SimpleNamespace(preprocess=SPEC, quality_limits=QualityLimits())
    batch_size = 8


def test_photographs_become_a_reference_and_what_is_none_is_refused_in_it(tmp_path: Path) -> None:
    rgb = draw_fundus(seed=1, laterality=Laterality.RIGHT, size=(128, 96))
    for number in range(FEWEST + 1):
        levels = rgb if number < FEWEST else np.full_like(rgb, 128)
        Image.fromarray(levels).save(tmp_path / f"{number:03}.png")
    paths, done = sorted(tmp_path.iterdir()), []
    found = make_reference(paths, SaysTheSame(), gate_rules(settings.from_tree({})), NOW, done.append)  # type: ignore[arg-type]
    assert sum(done) == len(paths)
    assert (found.image.photographs, found.scores.photographs) == (FEWEST + 1, FEWEST)
    assert found.image.measures["refused"].counts == (0, FEWEST, 1), "below 0, 0, above"
    assert set(found.scores.measures) == {"DR", "every label"}
    with pytest.raises(ConfigError, match=f"99 photographs could be scored; a reference takes {FEWEST}"):
        make_reference(paths[1:], SaysTheSame(), gate_rules(settings.from_tree({})), NOW, done.append)  # type: ignore[arg-type]
