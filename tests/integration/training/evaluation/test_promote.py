"""`ocunet-train promote`, from two bundles and a manifest to a link that moved, or did not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ocunet_pacs.domain.errors import UntrainedBundle
from ocunet_pacs.imaging.preprocess import PreprocessSpec
from ocunet_pacs.model.bundle import write_bundle
from ocunet_pacs.model.manifest import Manifest as BundleManifest
from ocunet_pacs.model.manifest import Provenance
from ocunet_pacs.model.network import build_network
from training.cli.main import app
from training.data.manifest import Manifest, Row, Split, write_manifest
from training.errors import PromotionError, TrainingError
from training.evaluation.active import history, standing
from training.evaluation.compare import compare
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from torch import Tensor

LABELS = ("DR", "ODE", "NORMAL")
TRAINED_ON = Manifest(
    tuple(
        Row(f"{n}.png", f"{n:064x}", f"p{n // 2}", frozenset({"DR"}), frozenset(), "clinic", split=split)
        for split, numbers in ((Split.TRAIN, range(1000, 1010)), (Split.TEST, range(300)))
        for n in numbers
    ),
    None,  # type: ignore[arg-type] -- set where it is written
)


@cache
def weights() -> dict[str, Tensor]:
    return dict(build_network("mobilenetv3_small_050", len(LABELS)).state_dict())


def make_bundle(folder: Path, name: str, *, trained: bool = True, seen: str = "") -> Path:
    """The same network under a name of its own, and so with a digest of its own."""
    manifest = BundleManifest(
        name=name,
        created_at=datetime(2026, 11, 27, tzinfo=UTC),
        architecture="mobilenetv3_small_050",
        labels=LABELS,
        preprocess=PreprocessSpec(image_size=64),
        temperature=1.0,
        thresholds=dict.fromkeys(LABELS, 0.5),
        calibrated=True,
        trained=trained,
        provenance=Provenance(notes={"data": seen}),
    )
    write_bundle(folder, weights(), manifest, prepare=False)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name in ("old", "better", "worse"):
        make_bundle(folder / "bundles" / name, name, seen=TRAINED_ON.fingerprint)
    write_manifest(dataclasses.replace(TRAINED_ON, root=folder), folder / "site.csv")
    (folder / "quick.yaml").write_text("draws: 200\n")
    random = np.random.default_rng(0)
    targets = random.random((300, len(LABELS))) < 0.4
    for name, skill in (("old", 3.0), ("better", 5.0), ("worse", 1.0)):
        logits = random.normal(0.0, 1.5, targets.shape) + skill * (2.0 * targets - 1.0)
        Judged(
            keys=tuple(row.key for row in TRAINED_ON.of(Split.TEST)),
            groups=tuple(row.group for row in TRAINED_ON.of(Split.TEST)),
            labels=LABELS,
            targets=targets,
            known=np.ones(targets.shape),
            logits=logits,
            probabilities=1 / (1 + np.exp(-logits)),
            thresholds=[0.5] * len(LABELS),
            bundle=standing(folder / "bundles" / name).digest,
        ).save(folder / "said" / name / "judged.npz")
        (folder / "said" / name / "report.json").write_text('{"remarks": []}')
    return folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def promote(site: Path, *arguments: object) -> Result:
    given = ["--active", site / "bundles" / "active", "--manifest", site / "site.csv", "--rule", site / "quick.yaml"]
    return CliRunner().invoke(
        app, ["promote", *map(str, [*given, *arguments])], env={"COLUMNS": "160", "SUDO_USER": "anna"}
    )


def said(site: Path, candidate: str, active: str = "") -> list[object]:
    """The candidate, and what was written of both."""
    given: list[object] = [site / "bundles" / candidate, "--candidate-evaluation", site / "said" / candidate]
    return [*given, *(["--active-evaluation", site / "said" / active] if active else [])]


def refused(done: Result) -> list[str]:
    """The conditions that do not hold, as they are printed."""
    return [line for line in done.output.splitlines() if line.split()[:1] == ["NO"]]


def refusal(done: Result) -> str:
    assert isinstance(done.exception, PromotionError), (done.output, done.exception)
    return str(done.exception)


def test_a_site_promotes_its_first_bundle_then_a_better_one_and_goes_back(site: Path) -> None:
    link = site / "bundles" / "active"
    assert "--first" in refusal(promote(site, *said(site, "old")))
    assert promote(site, *said(site, "old"), "--first").exit_code == 0
    done = promote(site, *said(site, "better", "old"), "--out", site / "decision.json")
    assert done.exit_code == 0, done.output
    assert "promoted: better, before: old" in done.output
    assert refused(done) == []
    assert link.resolve() == site / "bundles" / "better"
    written = json.loads((site / "decision.json").read_bytes())
    assert written["decision"]["passed"]
    assert written["comparison"]["means"]["average_precision"]["difference"]["low"] > 0
    log = history(link)[-1]
    assert log.by == "anna"
    assert (log.before, log.after) == (standing(site / "bundles" / "old"), standing(site / "bundles" / "better"))
    assert json.loads(json.dumps(log.decision)) == written["decision"]
    done = promote(site, "--rollback")
    assert (done.exit_code, "active again: old" in done.output) == (0, True)
    assert link.resolve() == site / "bundles" / "old"
    assert {path.name for path in (site / "bundles").iterdir() if path.is_dir()} == {"old", "better", "worse", "active"}


def test_a_worse_one_is_refused_with_its_figures_and_nothing_changes(site: Path) -> None:
    promote(site, *said(site, "better"), "--first")
    before = (site / "bundles" / "active.promotions.jsonl").read_bytes()
    done = promote(site, *said(site, "worse", "better"))
    assert done.exit_code == 1
    lines = refused(done)
    assert any("mean average precision" in line and "-0.01" in line for line in lines)
    assert any("sensitivity to urgent labels" in line and "newly missed" in line for line in lines)
    assert not any("patients judged" in line for line in lines)
    assert (site / "bundles" / "active").resolve() == site / "bundles" / "better"
    assert (site / "bundles" / "active.promotions.jsonl").read_bytes() == before


def test_a_dry_run_decides_and_leaves_everything(site: Path) -> None:
    promote(site, *said(site, "old"), "--first")
    done = promote(site, *said(site, "better", "old"), "--dry-run")
    assert (done.exit_code, "would be promoted: better" in done.output) == (0, True)
    assert promote(site, *said(site, "worse", "old"), "--dry-run").exit_code == 1
    assert (site / "bundles" / "active").resolve() == site / "bundles" / "old"
    assert len(history(site / "bundles" / "active")) == 1


def test_the_sites_own_rule_counts(site: Path) -> None:
    promote(site, *said(site, "old"), "--first")
    (site / "rule.yaml").write_text("minimum_groups: 151\n")
    done = promote(site, *said(site, "better", "old"), "--rule", site / "rule.yaml")
    assert done.exit_code == 1
    assert [line.split() for line in refused(done)] == [["NO", "patients", "judged", "150", "151"]]
    (site / "rule.yaml").write_text("minimum_group: 151\n")
    assert "unknown key" in refusal(promote(site, *said(site, "better", "old"), "--rule", site / "rule.yaml"))
    shown = CliRunner().invoke(app, ["promote", "--show-rule"])
    assert "minimum_groups: 100" in shown.stdout


def test_photographs_that_it_was_made_with_do_not_judge_it(site: Path) -> None:
    promote(site, *said(site, "old"), "--first")
    rows = [dataclasses.replace(row, split=Split.TEST) for row in TRAINED_ON.rows]
    write_manifest(Manifest(tuple(rows), site), site / "other.csv")
    done = promote(site, *said(site, "better", "old"), "--manifest", site / "other.csv")
    assert done.exit_code == 1
    assert "--training-manifest" in " ".join(done.output.split())
    given = ["--manifest", site / "other.csv", "--training-manifest", site / "site.csv", "--dry-run"]
    assert promote(site, *said(site, "better", "old"), *given).exit_code == 0


def test_what_another_bundle_said_counts_for_nothing(site: Path) -> None:
    promote(site, *said(site, "old"), "--first")
    given = [site / "bundles" / "better", "--candidate-evaluation", site / "said" / "old"]
    assert "by another bundle" in refusal(promote(site, *given))
    assert "by another bundle" in refusal(promote(site, *said(site, "better", "better")))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("better", "--first"), "is not the first"),
        (("old",), "is the active bundle already"),
        ((), "name the folder"),
    ],
)
def test_what_cannot_be_done_is_said(site: Path, arguments: tuple[str, ...], words: str) -> None:
    promote(site, *said(site, "old"), "--first")
    given: list[Any] = [*said(site, arguments[0]), *arguments[1:]] if arguments else []
    assert words in refusal(promote(site, *given))


def test_a_damaged_and_an_untrained_candidate_are_refused(site: Path) -> None:
    weights = site / "bundles" / "better" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    done = promote(site, *said(site, "better"), "--first")
    assert "sha256" in str(done.exception)
    make_bundle(site / "bundles" / "raw", "raw", trained=False)
    assert isinstance(promote(site, site / "bundles" / "raw", "--first").exception, UntrainedBundle)
    assert not (site / "bundles" / "active").exists()


def test_bundles_are_asked_where_nobody_wrote_down_what_they_say(eyes: Manifest, tmp_path: Path) -> None:
    """Networks that learned nothing: the photographs are read, both speak, and the rule asks for more of them."""
    write_manifest(eyes, tmp_path / "eyes.csv")
    for name in ("one", "two"):
        make_bundle(tmp_path / name, name, seen=eyes.fingerprint)
    (tmp_path / "active").symlink_to("one")
    given = ["--manifest", tmp_path / "eyes.csv", "--workers", "0", "--device", "cpu"]
    out = tmp_path / "found.json"
    done = CliRunner().invoke(
        app, ["compare", *map(str, [tmp_path / "one", tmp_path / "two", *given, "--draws", 20, "--out", out])]
    )
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(out.read_bytes())
    assert found["second"]["bundle"] == standing(tmp_path / "two").digest
    assert list(found["labels"]) == list(LABELS)
    done = CliRunner().invoke(app, ["promote", *map(str, [tmp_path / "two", "--active", tmp_path / "active", *given])])
    assert done.exit_code == 1, (done.output, done.exception)
    assert "not promoted: two" in done.output
    assert (tmp_path / "active").readlink().name == "one"


def test_compare_is_what_promotion_compares(site: Path) -> None:
    judged = [Judged.load(site / "said" / name / "judged.npz") for name in ("old", "better")]
    promote(site, *said(site, "old"), "--first")
    promote(site, *said(site, "better", "old"), "--out", site / "decision.json")
    expected = json.loads(compare(judged[0], judged[1], draws=200).to_json())
    found = json.loads((site / "decision.json").read_bytes())["comparison"]
    assert found["means"] == expected["means"]


def test_a_file_that_cannot_be_written_is_said_before_the_link_moves(site: Path) -> None:
    done = promote(site, *said(site, "old"), "--first", "--out", site / "bundles")
    assert isinstance(done.exception, TrainingError)
    assert not (site / "bundles" / "active").exists()
