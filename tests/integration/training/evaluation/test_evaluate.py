"""A bundle through the whole of an evaluation, and beside the daemon's own word on the same files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from ocunet_pacs.app.predict import predict
from ocunet_pacs.domain.errors import UntrainedBundle
from ocunet_pacs.domain.gates import Rules
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.anyfile import AnyFile
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.model.predictor import Predictor
from ocunet_pacs.report.report_settings import ReportSettings
from tests.integration.training.evaluation.conftest import DARK, EYES, LABELS
from training.cli.main import app
from training.data.manifest import Manifest, write_manifest
from training.errors import ManifestError
from training.evaluation.evaluate import evaluate
from training.evaluation.mistakes import Kind, paint_mistakes, worst_mistakes
from training.evaluation.overlay import jpeg_uri, overlay, scaled
from training.evaluation.predict import Judgement, judge, judge_with, merge_copies
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from ocunet_pacs.domain.result import ImageResult
    from training.evaluation.summary import Summary

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle, "cpu", allow_untrained=True)


def predict_files(predictor: Predictor, paths: list[Path]) -> list[ImageResult]:
    """What `ocunet-pacs predict` says of these files."""
    predictions = predict(
        paths,
        predictor=predictor,
        report_settings=ReportSettings(),
        rules=Rules(),
        source="",
        out=None,
        progress=lambda _path: None,
    )
    assert [one.path for one in predictions] == paths
    return [one.image for one in predictions]


@pytest.fixture(scope="module")
def judgement(predictor: Predictor, eyes: Manifest) -> Judgement:
    return judge_with(predictor, eyes, eyes.rows, workers=0)


@pytest.fixture(scope="module")
def made(bundle: Path, eyes: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("evaluation")
    return out, evaluate(bundle, eyes, out, now=NOW, workers=0, device="cpu", allow_untrained=True, draws=50)


def test_a_photograph_gets_the_daemons_logits_and_the_daemons_refusals(
    judgement: Judgement, predictor: Predictor, eyes: Manifest
) -> None:
    paths = [eyes.path(row) for row in eyes.rows]
    said = dict(zip(paths, predict_files(predictor, paths), strict=True))
    judged = judgement.judged
    for place, (row, _) in enumerate(judgement.scored):
        scores = said[eyes.path(row)].scores
        assert [score.logit for score in scores] == judged.logits[place].tolist()
        assert [score.probability for score in scores] == judged.probabilities[place].tolist()
        assert [score.positive for score in scores] == judged.positive[place].tolist()
    assert len(judgement.scored) == EYES
    assert len(judgement.refused) == DARK
    for row, facts in judgement.refused:
        assert said[eyes.path(row)].reasons == facts.reasons


def test_a_dicom_file_is_evaluated_as_the_daemon_reads_it(
    predictor: Predictor, eyes: Manifest, judgement: Judgement, tmp_path: Path
) -> None:
    dataset = wrap_photograph(
        eyes.path(eyes.rows[1]),
        laterality=Laterality.LEFT,
        patient_id="4711",
        patient_name="Lovelace^Ada",
        study_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        sop_instance_uid="2.25.3",
        instance_number=1,
        now=NOW,
    )
    path = tmp_path / "photograph.dcm"
    write_dicom(dataset, path)
    (served,) = predict_files(predictor, [path])
    assert served.assessed
    row = replace(eyes.rows[1], image=str(path), digest=hashlib.sha256(path.read_bytes()).hexdigest(), frame=1)
    again = judge_with(predictor, eyes, [row], workers=0)
    assert again.judged.keys == (f"{row.digest}-1",)
    assert again.judged.logits.tolist() == [[score.logit for score in served.scores]]


def test_truth_is_the_manifests(judgement: Judgement) -> None:
    judged = judgement.judged
    for place, (row, _) in enumerate(judgement.scored):
        assert judged.keys[place] == row.key
        assert judged.groups[place] == row.group
        for column, label in enumerate(LABELS):
            assert judged.known[place, column] == (label not in row.unknown)
            assert (judged.targets[place, column] == 1) == (label in row.positive)


def test_batches_and_processes_change_nothing(bundle: Path, eyes: Manifest, judgement: Judgement) -> None:
    rows = eyes.rows[-6:]
    done: list[int] = []
    again = judge(bundle, eyes, rows, workers=2, device="cpu", allow_untrained=True, progress=done.append)
    assert sum(done) == len(rows)
    assert again.judged.keys == judgement.judged.keys[-4:]
    assert np.array_equal(again.judged.logits, judgement.judged.logits[-4:])
    assert again.facts == judgement.facts[-6:]


def test_a_mistake_is_shown_with_the_map_of_its_own_label(
    judgement: Judgement, predictor: Predictor, eyes: Manifest
) -> None:
    mistakes = worst_mistakes(judgement, 2)
    assert {one.kind for one in mistakes} == set(Kind)
    pictures = paint_mistakes(predictor, eyes, judgement, mistakes, workers=0)
    assert set(pictures) == {(one.row, one.label) for one in mistakes}
    reader = AnyFile(predictor.manifest.preprocess, predictor.manifest.quality_limits)
    empty = 0
    for one in mistakes:
        row, _ = judgement.scored[one.row]
        (photograph,) = reader.photographs(eyes.path(row))
        (said,) = predictor.classify([photograph])
        activation = said.maps[LABELS.index(one.label)]
        picture, crop = scaled(photograph.shown, photograph.crop, 320)
        assert pictures[one.row, one.label].plain == jpeg_uri(picture)
        if activation.any():
            assert pictures[one.row, one.label].painted == jpeg_uri(overlay(picture, activation, crop))
        else:
            assert pictures[one.row, one.label].painted == ""
            empty += 1
    assert empty < len(mistakes)


def test_page_figures_and_scores_lie_side_by_side(made: tuple[Path, Summary], judgement: Judgement) -> None:
    out, summary = made
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json", "judged.npz"}
    judged = Judged.load(out / "judged.npz")
    assert np.array_equal(judged.logits, judgement.judged.logits)
    assert judged.bundle == summary.bundle["digest"]
    told = json.loads((out / "report.json").read_bytes())
    assert told["data"]["scored"] == EYES
    assert told["data"]["sources"] == {
        "clinic": {"photographs": 12, "refused": 0},
        "screening": {"photographs": EYES + DARK - 12, "refused": DARK},
    }
    assert told["remarks"][0]["weight"] == "void"


def test_photographs_on_the_page_have_no_name_and_no_metadata(made: tuple[Path, Summary]) -> None:
    out, summary = made
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Lovelace" not in text
    assert str(out) not in text
    shown = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    assert len(summary.mistakes) < len(shown) <= 2 * len(summary.mistakes)
    for content in shown:
        jpeg = base64.b64decode(content)
        assert b"Exif" not in jpeg
        assert b"Lovelace" not in jpeg


def test_copies_are_judged_once_and_what_they_disagree_on_is_unknown(eyes: Manifest, predictor: Predictor) -> None:
    first = replace(eyes.rows[0], positive=frozenset({"DR", "GLAUCOMA"}), negative=frozenset({"NORMAL"}))
    copy = replace(first, positive=frozenset({"GLAUCOMA", "Disease_Risk"}), negative=frozenset({"DR"}))
    (merged,) = merge_copies([first, copy])
    assert merged.positive == {"GLAUCOMA", "Disease_Risk"}
    assert merged.negative == {"NORMAL"}
    assert "DR" in merged.unknown
    judgement = judge_with(predictor, eyes, [first, eyes.rows[1], copy], workers=0)
    assert len(judgement.judged) == 2
    assert judgement.copies == 1


def test_an_untrained_bundle_is_refused_unless_asked_for(bundle: Path, eyes: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UntrainedBundle):
        evaluate(bundle, eyes, tmp_path, now=NOW, workers=0)
    assert not list(tmp_path.iterdir())


def test_no_photographs_are_no_evaluation(predictor: Predictor, eyes: Manifest) -> None:
    with pytest.raises(ManifestError, match="no photographs"):
        judge_with(predictor, eyes, [], workers=0)


def test_the_command_writes_and_tells(bundle: Path, eyes: Manifest, tmp_path: Path) -> None:
    write_manifest(eyes, tmp_path / "all.csv")
    asked = [str(bundle), str(tmp_path / "all.csv"), "--out", str(tmp_path / "out"), "--draws", "20", "--workers", "0"]
    result = CliRunner().invoke(app, ["evaluate", *asked, "--untrained", "--no-pictures", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert f"{EYES} scored, {DARK} refused" in result.output
    assert "untrained" in result.output
    assert result.output.rstrip().endswith("report.html")
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "image/jpeg" not in text
    assert "Pictures were left out" in text


def test_the_command_says_which_splits_there_are(bundle: Path, eyes: Manifest, tmp_path: Path) -> None:
    write_manifest(eyes, tmp_path / "all.csv")
    result = CliRunner().invoke(app, ["evaluate", str(bundle), str(tmp_path / "all.csv"), "--split", "validation"])
    assert isinstance(result.exception, ManifestError)
    assert "it has: test" in str(result.exception)


def test_real_photographs_are_evaluated_as_the_daemon_reads_them(
    shared: Path, predictor: Predictor, eyes: Manifest
) -> None:
    paths = sorted((shared / "data" / "fullres").glob("*.jpg"))[:2]
    rows = [
        replace(row, image=str(path), digest=hashlib.sha256(path.read_bytes()).hexdigest())
        for row, path in zip(eyes.rows, paths, strict=False)
    ]
    judgement = judge_with(predictor, Manifest(tuple(rows), Path("/")), rows, workers=0)
    reader = AnyFile(predictor.manifest.preprocess, predictor.manifest.quality_limits)
    served = [predictor.classify(list(reader.photographs(path)))[0] for path in paths]
    assert judgement.judged.logits.tolist() == [[score.logit for score in one.scores] for one in served]
