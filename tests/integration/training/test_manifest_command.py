"""`ocunet-train manifest`: real layouts of every kind in, one manifest, its tables and its warnings out."""

import csv
import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ocunet_pacs.domain.errors import OcunetError
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from tests.integration.objects import photograph, write
from training.cli.main import app
from training.data.manifest import Split, read_manifest


def table(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    """A small one of each kind, with one picture that is cut off and one that two of them have."""
    root = tmp_path_factory.mktemp("collections")
    eyes = [draw_fundus(seed=n, laterality=Laterality.RIGHT, size=(72, 64)) for n in range(14)]
    left = iter(eyes)

    def picture(*names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(next(left)).save(path)

    sets = root / "rfmid" / "Training_Set" / "Training_Set"
    table(sets / "RFMiD_Training_Labels.csv", *({"ID": n, "Disease_Risk": n, "DR": n, "TV": 0} for n in (0, 1)))
    picture(*(f"rfmid/Training_Set/Training_Set/Training/{n}.png" for n in (0, 1)))
    keywords = {"Left-Diagnostic Keywords": "normal fundus", "Right-Diagnostic Keywords": "cataract"}
    names = {"Left-Fundus": "5_left.jpg", "Right-Fundus": "5_right.jpg"}
    table(root / "odir" / "annotations.csv", {"ID": 5, **names, **keywords, "C": 1, "D": 0})
    picture("odir/Training Images/5_left.jpg", "odir/Training Images/5_right.jpg")
    picture("four/cataract/1.jpg", "four/normal/5_left.jpg", "four/glaucoma/3.png", "four/diabetic_retinopathy/4.png")
    (root / "four" / "glaucoma" / "cut.jpg").write_bytes((root / "four" / "cataract" / "1.jpg").read_bytes()[:900])
    picture("site/images/a.png", "site/images/b.png")
    site = ({"image": f"{name}.png", "chart": 4711, "Hole": hole} for name, hole in (("a", 1), ("b", 0)))
    table(root / "site" / "labels.csv", *site)
    picture("ours/images/x.png")
    os.link(root / "four" / "diabetic_retinopathy" / "4.png", root / "ours" / "images" / "y.png")
    lists = ({"image": f"{name}.png", "dataset": "ours", "positive": "", "negative": "DR"} for name in "xy")
    table(root / "ours" / "manifest.csv", *lists)
    ds = photograph(rows=64, columns=72)
    ds.PixelData = np.ascontiguousarray(next(left)).tobytes()
    (root / "export").mkdir()
    write(ds, root / "export" / "IM1")
    table(root / "dicom.csv", {"sop_instance_uid": ds.SOPInstanceUID, "DR": 1})
    return root


@pytest.fixture
def run(collections, tmp_path):
    """Runs the command on some of the collections; its result, and where the manifest is."""

    def call(*arguments, folder="out"):
        out = tmp_path / folder / "all.csv"
        result = CliRunner().invoke(app, ["manifest", "--out", str(out), "--workers", "0", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result, out

    return call


def test_every_kind_at_once(collections, run):
    root = collections
    result, out = run(
        *("--rfmid", root / "rfmid", "--odir", root / "odir", "--folders", root / "four"),
        *("--csv", f"site={root / 'site' / 'labels.csv'}", "--group-column", "chart", "--label", "Hole=MHL"),
        *("--partial", root / "ours", "--dicom", f"{root / 'dicom.csv'}={root / 'export'}", "--workers", 1),
    )
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert [row.source for row in manifest.rows] == (
        ["rfmid"] * 2 + ["odir"] * 2 + ["four-class"] * 4 + ["site"] * 2 + ["ours"] * 2 + ["dicom"]
    )
    assert all(manifest.path(row).is_file() for row in manifest.rows)
    assert {row.source for row in manifest.of(Split.TRAIN)} == {"rfmid"}
    [lost] = manifest.unreadable
    assert lost.image.endswith("four/glaucoma/cut.jpg")
    site = [row for row in manifest.rows if row.source == "site"]
    assert (site[0].positive, site[1].negative, len({row.group for row in site})) == ({"MHL"}, {"MHL"}, 1)
    assert "4711" not in out.read_text()
    assert (out.parent / "patient.key").stat().st_mode & 0o077 == 0
    shown = result.stdout
    for words in (
        "four-class     4       4           1",
        "+3 -6 ?4",
        "unreadable_pixels 1",
        "there more than once",
        "copies that are positive here and negative there: DR 1",
        manifest.fingerprint[:12],
    ):
        assert words in shown, words
    assert "TV" in result.stderr
    assert "pterygium" not in result.output


def test_the_same_command_makes_the_same_file(collections, run):
    arguments = ("--csv", collections / "site" / "labels.csv", "--label", "Hole=MHL", "--group-column", "chart")
    _, out = run(*arguments)
    before = out.read_bytes()
    run(*arguments, "--no-decode")
    assert out.read_bytes() == before


def test_a_manifest_joins_what_was_made_before(collections, run):
    _, first = run("--rfmid", collections / "rfmid", "--rfmid-normal", folder="first")
    rows = read_manifest(first).rows
    assert [row.positive for row in rows] == [{"NORMAL"}, {"Disease_Risk", "DR"}]
    _, out = run("--manifest", first, "--partial", collections / "ours")
    again = read_manifest(out)
    assert [row.digest for row in again.rows][-2:] == [row.digest for row in rows]
    assert all(again.path(row).is_file() for row in again.rows)


def test_what_is_missing_is_refused_and_can_be_left(collections, run, tmp_path):
    table(tmp_path / "few.csv", *({"image": name, "DR": 1} for name in ("gone.png", "gone too.png")))
    with pytest.raises(OcunetError) as caught:
        run("--csv", tmp_path / "few.csv", "--rfmid", tmp_path / "nowhere")
    assert "2 rows without a picture (gone.png, gone too.png)" in str(caught.value)
    assert "nowhere" in str(caught.value)
    assert not (tmp_path / "out" / "all.csv").exists()
    result, out = run("--csv", tmp_path / "few.csv", "--partial", collections / "ours", "--incomplete")
    assert "went on without" in result.stderr
    assert len(read_manifest(out).rows) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "at least one collection"),
        (("--csv", "a/labels.csv", "--csv", "b/labels.csv"), "name them apart"),
        (("--csv", "a.csv", "--label", "Hole"), "expected NAME=LABEL"),
        (("--folders", "nothing.yaml=here"), "nothing.yaml"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(run, arguments, told):
    with pytest.raises(OcunetError, match=told):
        run(*arguments)
