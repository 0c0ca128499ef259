from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from ocunet_pacs.domain.errors import InvalidReport
from ocunet_pacs.domain.result import OutputKind
from ocunet_pacs.domain.routes import JPEG
from ocunet_pacs.report.grayscale_map import build_map
from ocunet_pacs.report.picture_rules import SECONDARY_CAPTURE
from ocunet_pacs.report.report_settings import ReportSettings
from ocunet_pacs.report.validate import broken_rules, check, kind_of
from tests.unit.report.made import NOW, TRAINED, image, photograph, read, reporter, said, shown

ONE = image(1, DR=0.9, RD=0.8)
PIXELS = np.full((48, 64, 3), 90, dtype=np.uint8)
Fault = Callable[[Dataset], object]


def packed(tmp_path: Path) -> Dataset:
    source = photograph(tmp_path / "1", 1)
    return read(reporter().heatmap(ONE, shown(PIXELS), said(ONE), TRAINED, source, encoding=JPEG))


def grey(tmp_path: Path) -> Dataset:
    source = photograph(tmp_path / "1", 1)
    settings = ReportSettings()
    return read(
        build_map(ONE, shown(PIXELS), said(ONE), TRAINED, source, settings=settings, now=NOW, software_version="1")
    )


JPEG_FAULTS: dict[str, tuple[str, Fault]] = {
    "loss denied": ("never undone", lambda ds: setattr(ds, "LossyImageCompression", "00")),
    "ratio missing": ("never undone", lambda ds: delattr(ds, "LossyImageCompressionRatio")),
    "method of another": ("never undone", lambda ds: setattr(ds, "LossyImageCompressionMethod", "ISO_15444_1")),
    "chroma in full": ("8 bit RGB", lambda ds: setattr(ds, "PhotometricInterpretation", "YBR_FULL")),
    "other size": ("picture's size", lambda ds: setattr(ds, "Rows", ds.Rows + 2)),
    "no JPEG": ("picture's size", lambda ds: setattr(ds, "PixelData", encapsulate([b"no JPEG at all"]))),
    "no word of what it is not": ("no diagnosis", lambda ds: setattr(ds, "ImageComments", "OD")),
}
MAP_FAULTS: dict[str, tuple[str, Fault]] = {
    "a colour": ("8 bit grey", lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1")),
    "scaled": ("values shown", lambda ds: setattr(ds, "RescaleSlope", 2)),
    "a frame too many": ("label's name", lambda ds: setattr(ds, "NumberOfFrames", 3)),
    "a frame without name": ("label's name", lambda ds: setattr(ds, "FrameLabelVector", ["DR", ""])),
    "frames by time": ("label's name", lambda ds: setattr(ds, "FrameIncrementPointer", 0x00181063)),
    "other size": ("frames' size", lambda ds: setattr(ds, "Columns", ds.Columns + 2)),
    "text in it": ("burned in", lambda ds: setattr(ds, "BurnedInAnnotation", "YES")),
    "class": ("SOP class", lambda ds: setattr(ds, "SOPClassUID", SECONDARY_CAPTURE)),
}


@pytest.mark.parametrize("fault", JPEG_FAULTS)
def test_a_jpeg_heatmap_that_breaks_a_rule_does_not_leave(tmp_path: Path, fault: str) -> None:
    ds = packed(tmp_path)
    check(ds, OutputKind.HEATMAP)
    rule, breaks = JPEG_FAULTS[fault]
    breaks(ds)
    with pytest.raises(InvalidReport, match=rule):
        check(ds, OutputKind.HEATMAP)


@pytest.mark.parametrize("fault", MAP_FAULTS)
def test_a_map_that_breaks_a_rule_does_not_leave(tmp_path: Path, fault: str) -> None:
    ds = grey(tmp_path)
    check(ds, OutputKind.MAP)
    rule, breaks = MAP_FAULTS[fault]
    breaks(ds)
    with pytest.raises(InvalidReport, match=rule):
        check(ds, OutputKind.MAP)


def test_what_an_archive_packed_without_loss_is_still_ours(tmp_path: Path) -> None:
    ds = read(reporter().heatmap(ONE, shown(PIXELS), said(ONE), TRAINED, photograph(tmp_path / "1", 1)))
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.PlanarConfiguration = 0
    assert kind_of(ds) is OutputKind.HEATMAP
    assert broken_rules(ds) == []
