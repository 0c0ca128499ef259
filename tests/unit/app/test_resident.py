"""A bundle takes another's place: jobs keep the one that they began with, and what cannot be loaded changes nothing."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from ocunet_pacs.app.resident import Residency, bundle_files
from ocunet_pacs.domain.errors import UntrainedBundle
from ocunet_pacs.settings import from_tree
from ocunet_pacs.settings.changing import change

if TYPE_CHECKING:
    from ocunet_pacs.app.reload import TakenUp
    from ocunet_pacs.app.resident import Resident
    from ocunet_pacs.settings import Settings

OLD: dict[str, Any] = {"model": {"bundle": "/srv/old"}}
NEW: dict[str, Any] = {"model": {"bundle": "/srv/new"}}
LABELS: dict[str, Any] = {"report": {"heatmap_labels": 1}}


class Loaded(SimpleNamespace):
    """As a resident bundle; a weak reference to it is possible."""


class House:
    """Its bundles are names, its tools say by which bundle and how many labels are explained."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.error: Exception | None = None
        self.in_force = from_tree(OLD)
        self.residency = Residency(
            self.in_force,
            self.resident(self.in_force),
            load=self.load,
            tools=lambda settings, resident: (resident.predictor.bundle.name, settings.report.heatmap_labels),
            loaded_by=lambda settings: settings.model,
            keeping=lambda before, settings: settings.model_copy(update={"model": before.model}),
            doing=lambda resident: f"analysing with {resident.predictor.bundle.name}",
        )

    def resident(self, settings: Settings) -> Resident:
        name = settings.model.bundle.name
        return cast(
            "Resident",
            Loaded(
                predictor=SimpleNamespace(bundle=SimpleNamespace(name=name, digest=name)),
                classifier=SimpleNamespace(is_hung=False),
                close=lambda: self.closed.append(name),
            ),
        )

    def load(self, settings: Settings) -> Resident:
        if self.error is not None:
            raise self.error
        return self.resident(settings)

    def reload(self, tree: dict[str, Any]) -> TakenUp:
        taken = self.residency.take_up(change(self.in_force, from_tree(tree)))
        assert taken.settings is not None
        self.in_force = taken.settings
        return taken


def test_a_job_keeps_the_bundle_that_it_began_with() -> None:
    house = House()
    with house.residency.tools() as begun:
        assert house.reload(NEW).doing == "analysing with new"
        with house.residency.tools() as begins:
            assert (begun[0], begins[0]) == ("old", "new")
        assert house.closed == []
    assert house.closed == ["old"]
    house.residency.close()
    assert house.closed == ["old", "new"]


def test_nothing_of_a_bundle_that_left_stays_in_memory() -> None:
    house = House()
    left = weakref.ref(house.residency.resident)
    house.reload(NEW)
    gc.collect()
    assert left() is None


def test_other_settings_come_without_another_bundle() -> None:
    house = House()
    with house.residency.tools() as begun:
        house.reload(OLD | LABELS)
    with house.residency.tools() as begins:
        assert (begun, begins) == (("old", 3), ("old", 1))
    assert house.closed == []


@pytest.mark.parametrize("error", [UntrainedBundle("the weights are untrained"), MemoryError("Testperson")])
def test_a_bundle_that_cannot_be_had_is_refused_and_tried_again(error: Exception) -> None:
    house = House()
    house.error = error
    with capture_logs() as logs:
        taken = house.reload(NEW | LABELS)
    assert "new bundle refused, old stays: " in taken.refused
    assert "Testperson" not in taken.refused
    assert [(line["event"], line["stays"]) for line in logs] == [("bundle_refused", "old")]
    # The rest is in force.
    assert house.in_force == from_tree(OLD | LABELS)
    with house.residency.tools() as begins:
        assert begins == ("old", 1)
    house.error = None
    assert house.reload(NEW | LABELS).refused == ""
    assert house.closed == ["old"]


def test_a_device_that_hangs_with_a_bundle_that_is_leaving_is_noticed() -> None:
    house = House()
    with house.residency.tools():
        leaving = cast("Any", house.residency.resident)
        house.reload(NEW)
        assert not house.residency.is_hung()
        leaving.classifier.is_hung = True
        assert house.residency.is_hung()
    assert not house.residency.is_hung()


def test_the_files_of_a_bundle_are_others_when_the_link_leads_elsewhere_or_it_is_prepared(tmp_path: Path) -> None:
    link = tmp_path / "active"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(name)
    seen = [bundle_files(link)]
    link.symlink_to(tmp_path / "one")
    seen += [bundle_files(link), bundle_files(tmp_path / "one")]
    link.unlink()
    link.symlink_to(tmp_path / "two")
    seen.append(bundle_files(link))
    (tmp_path / "two" / "runtime.json").write_text("{}")
    seen.append(bundle_files(link))
    assert seen[0] == ""
    assert seen[1] == seen[2]
    assert len(set(seen)) == 4
