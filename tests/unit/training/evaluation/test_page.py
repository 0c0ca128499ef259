"""The page and its figures: the same numbers as scikit-learn's, nothing undefined as a zero, nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.unit.training.evaluation.judgements import LABELS, make_judgement, make_random, make_row, make_summary
from training.errors import TrainingError
from training.evaluation.mistakes import Pictures
from training.evaluation.page import page, write_page
from training.metrics.judged import Judged

if TYPE_CHECKING:
    from pathlib import Path

    from training.evaluation.summary import Summary

UNDEFINED = ["undefined", "\N{EN DASH}"]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Outline(HTMLParser):
    """What a screen reader relies on: elements in order, each with its attributes and the text in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], " ".join(data.split())))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def summary() -> Summary:
    return make_summary(make_random())


@pytest.fixture(scope="module")
def text(summary: Summary) -> str:
    return page(summary, make_random().judged, {})


def test_figures_are_scikit_learns_on_the_scores_beside_them(tmp_path: Path, summary: Summary) -> None:
    write_page(tmp_path, summary, make_random().judged)
    told = json.loads((tmp_path / "report.json").read_bytes())
    judged = Judged.load(tmp_path / "judged.npz")
    precisions = []
    for column, one in enumerate(told["labels"]):
        known = judged.known[:, column]
        truth, scores = judged.targets[known, column], judged.logits[known, column]
        called = judged.probabilities[known, column] >= judged.thresholds[column]
        if not known.any():
            continue
        figures = {name: figure["value"] for name, figure in one["figures"].items()}
        assert figures["average_precision"] == pytest.approx(sk.average_precision_score(truth, scores), abs=1e-9)
        assert figures["auroc"] == pytest.approx(sk.roc_auc_score(truth, scores), abs=1e-9)
        assert figures["f1"] == pytest.approx(sk.f1_score(truth, called), abs=1e-9)
        assert figures["sensitivity"] == pytest.approx(sk.recall_score(truth, called), abs=1e-9)
        assert figures["specificity"] == pytest.approx(sk.recall_score(truth, called, pos_label=0), abs=1e-9)
        assert figures["brier"] == pytest.approx(
            sk.brier_score_loss(truth, judged.probabilities[known, column]), abs=1e-9
        )
        tn, fp, fn, tp = sk.confusion_matrix(truth, called).ravel()
        counts = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        assert [one[name] for name in counts] == [tn, fp, fn, tp]
        for figure in one["figures"].values():
            assert figure["low"] <= figure["value"] + 0.2
            assert figure["low"] <= figure["high"]
        precisions.append(figures["average_precision"])
    assert len(precisions) == len(LABELS) - 1
    assert told["means"]["average_precision"]["value"] == pytest.approx(np.mean(precisions))


def test_refused_photographs_count_as_missed_where_the_page_says_so(summary: Summary) -> None:
    judgement = make_random()
    one = summary.label("DR")
    lost = sum("DR" in row.positive for row, _ in judgement.refused)
    assert one.refused_positives == lost
    assert one.sensitivity_with_refused == pytest.approx(one.true_positives / (one.positives + lost))
    assert [refused.reasons for refused in summary.refused] == [["ungradable: too dark"]] * 2
    assert summary.data["scored"] + summary.data["refused"] == summary.data["photographs"] == 60


def test_what_is_undefined_is_null_and_a_dash_and_never_a_zero(summary: Summary) -> None:
    rows = [make_row(n, [1, n % 2, math.nan, math.nan, 0], split=row_split) for n, row_split in enumerate(["test"] * 8)]
    judgement = make_judgement(rows, np.linspace(-2, 2, 40).reshape(8, 5))
    told = json.loads(make_summary(judgement).to_json())
    of = {one["label"]: one for one in told["labels"]}
    empty = {"value": None, "low": None, "high": None}
    assert of["RD"]["figures"]["auroc"] == empty
    assert of["Disease_Risk"]["figures"]["average_precision"] == empty
    assert of["Disease_Risk"]["figures"]["specificity"] == empty
    assert of["Disease_Risk"]["figures"]["sensitivity"]["value"] is not None
    assert of["NORMAL"]["figures"]["sensitivity"] == empty
    assert told["averaged_labels"]["average_precision"] == ["DR"]
    shown = page(make_summary(judgement), judgement.judged, {})
    assert "nan" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", shown)
    row = shown[shown.index('scope="row">Disease_Risk') :]
    cells = [re.sub(r"<[^>]*>", " ", cell).split() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)[:9]]
    assert cells[0] == ["8"]
    assert cells[1] == ["0"]
    assert cells[2] == UNDEFINED
    assert cells[4] == UNDEFINED
    assert cells[7] == UNDEFINED


def test_nothing_known_at_all_still_makes_a_page() -> None:
    rows = [make_row(n, [math.nan] * 5) for n in range(3)]
    judgement = make_judgement(rows, np.zeros((3, 5)))
    summary = make_summary(judgement)
    assert math.isnan(summary.means["average_precision"].value)
    Outline(page(summary, judgement.judged, {}))


def test_everything_refused_still_makes_a_page() -> None:
    rows = [make_row(n, [1, 0, 1, 0, 0]) for n in range(3)]
    judgement = make_judgement(rows, np.zeros((3, 5)), refused=(0, 1, 2))
    summary = make_summary(judgement)
    assert summary.label("DR").refused_positives == 0
    assert summary.label("CATARACT").sensitivity_with_refused == 0.0
    Outline(page(summary, judgement.judged, {}))


def test_the_page_asks_for_nothing_and_runs_nothing(text: str) -> None:
    outline = Outline(text)
    assert not outline.of("script", "link", "iframe", "object", "form")
    for attributes in outline.of("img"):
        assert str(attributes["src"]).startswith("data:image/")
    for _, attributes in outline.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("href", "#")).startswith("#")
    assert "url(" not in text
    for content in re.findall(r"svg\+xml;base64,([A-Za-z0-9+/=]*)", text):
        drawn = base64.b64decode(content).decode()
        assert not re.search(r"""(href|src)=["'](?!#)""", drawn)


def test_no_path_and_no_group_is_on_the_page_or_in_its_figures(text: str, summary: Summary) -> None:
    for said in (text, summary.to_json().decode()):
        assert "Lovelace" not in said
        assert "patient " not in said.replace("a patient is drawn", "")
        assert "/data" not in said


def test_the_page_can_be_read_by_those_who_do_not_see_it(text: str) -> None:
    outline = Outline(text)
    assert outline.of("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("alt") for attributes in outline.of("img"))
    assert all(attributes.get("scope") in {"row", "col"} for attributes in outline.of("th"))
    assert len(outline.of("table")) == len(outline.of("caption"))
    # What can be scrolled can be reached and has a name.
    for attributes in outline.of("div"):
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [attributes["aria-labelledby"] for _, attributes in outline.elements if "aria-labelledby" in attributes]
    linked = [str(attributes["href"])[1:] for attributes in outline.of("a")]
    assert set(named) | set(linked) <= set(ids)


def test_doubts_stand_before_the_first_figure(text: str, summary: Summary) -> None:
    first = text.index("Mean average precision")
    for remark in summary.remarks:
        if remark.weight != "note":
            assert text.index(remark.text) < first
    assert any("CATARACT" in remark.text and "source" in remark.text for remark in summary.remarks)
    assert summary.label("CATARACT").one_source
    assert not summary.label("DR").one_source


def test_every_label_that_is_known_has_its_curves_in_words_too(text: str, summary: Summary) -> None:
    said = " ".join(str(attributes["alt"]) for attributes in Outline(text).of("img"))
    for one in summary.labels:
        if one.known:
            assert f"{one.label}: precision over recall" in said
            assert f"area {one.figures['auroc'].value:.2f}" in said
    assert "RD:" not in said


def test_names_of_sources_cannot_break_the_page() -> None:
    unknown = [math.nan] * 4
    rows = [make_row(n, [n % 2, *unknown], source="<b onclick=x>a</b>", camera=f"c{n % 2} & d") for n in range(6)]
    judgement = make_judgement(rows, np.zeros((6, 5)))
    shown = page(make_summary(judgement), judgement.judged, {})
    assert "&lt;b onclick=x&gt;a&lt;/b&gt;" in shown
    assert "c1 &amp; d" in shown
    assert "<b onclick" not in shown


def test_with_many_labels_the_strongest_confusions_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.page._WIDEST", 2)
    judgement = make_random()
    summary = make_summary(judgement)
    shown = page(summary, judgement.judged, {})
    table = shown[shown.index("Is called</th>") :]
    listed = re.findall(r'<th scope="row">(\w+)</th><td>(\w+)</td>', table[: table.index("</table>")])
    enough = [one for one in summary.confusions if one.photographs >= 10]
    assert listed == [(one.shown, one.said) for one in sorted(enough, key=lambda one: -one.share)[:25]]
    assert listed
    Outline(shown)


def test_pictures_stand_with_their_mistakes(summary: Summary) -> None:
    pictures = {
        (one.row, one.label): Pictures(f"data:image/jpeg;base64,{n}", f"data:image/jpeg;base64,9{n}" * (n > 0))
        for n, one in enumerate(summary.mistakes)
    }
    shown = page(summary, make_random().judged, pictures)
    for n, one in enumerate(summary.mistakes):
        figure = shown[shown.index(f'base64,{n}"') :]
        figure = figure[: figure.index("</figcaption>")]
        assert one.photograph in figure
        assert f"probability {one.probability:.2f}" in figure
        assert (f"regions that weigh for {one.label}" in figure) == (n > 0)
        assert (f"Nothing in it weighs for {one.label}" in figure) == (n == 0)


def test_the_same_judgement_gives_the_same_files(tmp_path: Path, summary: Summary, text: str) -> None:
    write_page(tmp_path, make_summary(make_random()), make_random().judged)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert (tmp_path / "report.json").read_bytes() == summary.to_json()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, summary: Summary) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match="file"):
        write_page(tmp_path / "file", summary, make_random().judged)


def test_a_place_among_the_scores_is_not_in_the_figures(summary: Summary) -> None:
    told = json.loads(summary.to_json())
    assert told["format_version"] == 1
    assert told["mistakes"]
    assert all("row" not in one for one in told["mistakes"])
    assert replace(summary, mistakes=[]).to_json()
