"""The active bundle is a link that moves in one step, forward by promotion and back the same way."""

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.manifest import MANIFEST, Manifest
from training.errors import PromotionError
from training.evaluation.active import active, history, log_path, promote, roll_back, standing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAID = {"passed": True, "conditions": []}


def bundle(folder, name):
    """As much of a bundle as a link needs: its sealed manifest."""
    made = Manifest(
        name=name,
        created_at=NOW,
        architecture="efficientnet_b3",
        labels=("DR",),
        preprocess=PreprocessSpec(),
        temperature=1.0,
        thresholds={"DR": 0.5},
        calibrated=True,
        trained=True,
    ).sealed("a" * 64)
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(made.to_bytes())
    return folder


@pytest.fixture
def house(tmp_path):
    """Three bundles in a folder, and one elsewhere."""
    for name in ("one", "two", "three"):
        bundle(tmp_path / "bundles" / name, name)
    bundle(tmp_path / "runs" / "four", "four")
    return tmp_path / "bundles"


def move(link, folder, by="anna"):
    return promote(link, folder, expected=active(link), at=NOW, by=by, decision=SAID)


def back(link):
    return roll_back(link, at=NOW, by="ben")


def test_a_promotion_moves_the_link_and_says_who_when_and_why(house):
    link = house / "active"
    assert active(link) is None
    move(link, house / "one")
    change = move(link, house / "two", by="ben")
    assert link.resolve() == house / "two"
    assert active(link) == standing(house / "two") == change.after
    assert change.before == standing(house / "one")
    assert [(one.action, one.at, one.by) for one in history(link)] == [
        ("promote", "2026-03-01T12:00:00+00:00", "anna"),
        ("promote", "2026-03-01T12:00:00+00:00", "ben"),
    ]
    assert history(link)[1] == change
    assert change.decision == SAID
    assert sorted(path.name for path in house.iterdir()) == ["active", "active.promotions.jsonl", "one", "three", "two"]


def test_a_link_moves_with_its_folder_where_the_bundle_does(house):
    link = house / "active"
    move(link, house / "one")
    assert link.readlink() == Path("one")
    move(link, house.parent / "runs" / "four")
    assert link.readlink() == house.parent / "runs" / "four"


def test_the_way_back_is_the_way_forward_in_reverse(house):
    link = house / "active"
    for name in ("one", "two", "three"):
        move(link, house / name)
    assert back(link).after.name == "two"
    assert back(link).after.name == "one"
    with pytest.raises(PromotionError, match="nothing was active before"):
        back(link)
    move(link, house / "three")
    assert back(link).after.name == "one"
    assert [one.action for one in history(link)].count("rollback") == 3


def test_a_bundle_that_changed_since_is_not_gone_back_to(house):
    link = house / "active"
    move(link, house / "one")
    move(link, house / "two")
    (house / "one" / MANIFEST).unlink()
    with pytest.raises(PromotionError, match="cannot be used"):
        back(link)
    (house / "one").rmdir()
    bundle(house / "one", "another")
    with pytest.raises(PromotionError, match="was changed since"):
        back(link)
    assert link.resolve() == house / "two"


def test_the_way_back_is_open_where_the_active_bundle_is_gone(house):
    link = house / "active"
    move(link, house / "one")
    move(link, house / "two")
    (house / "two" / MANIFEST).unlink()
    (house / "two").rmdir()
    with pytest.raises(PromotionError, match="--rollback"):
        active(link)
    assert back(link).after.name == "one"


def test_what_was_moved_by_another_meanwhile_is_not_moved_again(house):
    link = house / "active"
    move(link, house / "one")
    compared_with = active(link)
    move(link, house / "two")
    with pytest.raises(PromotionError, match="compare again"):
        promote(link, house / "three", expected=compared_with, at=NOW, by="anna", decision=SAID)
    with pytest.raises(PromotionError, match="compare again"):
        promote(link, house / "three", expected=None, at=NOW, by="anna", decision=SAID)
    assert link.resolve() == house / "two"
    assert len(history(link)) == 2


def test_two_at_once_are_refused(house):
    link = house / "active"
    with log_path(link).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PromotionError, match="under way"):
            move(link, house / "one")
    move(link, house / "one")


def test_a_crash_before_the_link_moves_leaves_the_old_one_active(house, monkeypatch):
    link = house / "active"
    move(link, house / "one")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            move(link, house / "two")
    assert active(link).name == "one"
    move(link, house / "three")
    assert back(link).after.name == "one"
    assert sorted(path.name for path in house.iterdir() if path.name.startswith(".")) == []


def test_a_line_that_a_crash_cut_off_harms_nothing(house):
    link = house / "active"
    move(link, house / "one")
    with log_path(link).open("a") as log:
        log.write('{"action": "promo')
    assert len(history(link)) == 1
    move(link, house / "two")
    assert [one.after.name for one in history(link)] == ["one", "two"]
    assert back(link).after.name == "one"
    assert all(json.loads(line) for line in log_path(link).read_text().splitlines())


def test_a_log_of_something_else_is_named_with_its_line(house):
    link = house / "active"
    move(link, house / "one")
    with log_path(link).open("a") as log:
        log.write("{}\n")
    with pytest.raises(PromotionError, match="line 2"):
        history(link)


def test_a_folder_in_the_links_place_is_not_touched(house):
    with pytest.raises(PromotionError, match="is a folder and not a link"):
        active(house / "one")
    with pytest.raises(PromotionError, match="is not a link"):
        back(house / "one")
    (house / "hand").symlink_to("one")
    with pytest.raises(PromotionError, match="knows no promotion"):
        back(house / "hand")
    with pytest.raises(PromotionError, match="cannot be changed"):
        promote(house / "none" / "active", house / "one", expected=None, at=NOW, by="anna", decision=SAID)
