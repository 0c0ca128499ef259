from __future__ import annotations

from pathlib import Path

import numpy as np

from ocunet_pacs.app.readable import write_readable
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.routes import JPEG, Form, Routes, Target
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.reporter import Reports
from tests.unit.report.made import NOW, TRAINED, image, photograph, said, shown, stored, study


def test_every_kind_of_result_can_be_handed_in(tmp_path: Path) -> None:
    kinds = frozenset({OutputKind.REPORT, OutputKind.HEATMAP, OutputKind.MAP, OutputKind.PDF})
    form = Form(heatmap=JPEG)
    reports = Reports(ReportSettings(), lambda: NOW, "1.2.3", Routes((Target("clinic", form, kinds),)))
    one = image(1, "R", DR=0.9)
    source = photograph(tmp_path / "photograph", 1)
    pixels = np.full((48, 64, 3), 90, dtype=np.uint8)
    made = reports.pictures(one, shown(pixels), said(one), TRAINED, source)
    heatmap = made[0]
    result = study(image(1, "R", DR=0.9))
    pictures = {heatmap.sop_instance_uid: stored(heatmap)}
    report = reports.report(result, {one.sop_instance_uid: source}, pictures, form)
    (tmp_path / "heatmap").write_bytes(heatmap.content)
    made += [report, reports.pdf(report, {heatmap.sop_instance_uid: tmp_path / "heatmap"})]
    paths = []
    for thing in made:
        paths.append(tmp_path / thing.sop_instance_uid)
        paths[-1].write_bytes(thing.content)
    written = write_readable(paths, tmp_path / "out")
    assert [path.name for path in written] == ["report.html", "report.png", "report.txt", "heatmap.png", "report.pdf"]
    assert written[-1].read_bytes().endswith(b"%%EOF\n")
