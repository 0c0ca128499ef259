"""One browser, one Orthanc and the drawn studies, for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import Chromium, chromium
from tests.conftest import plugin
from tests.dcmtk import storescu
from tests.orthanc import Orthanc, orthanc
from tests.viewers.example import RIGHT, SUSPECT, ExampleStudy, make_study

if TYPE_CHECKING:
    from collections.abc import Iterator


# Not of the session: while Playwright is open, this thread has a running asyncio loop, over which other tests trip.
@pytest.fixture(scope="package")
def browser() -> Iterator[Chromium]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def both_eyes(tmp_path_factory: pytest.TempPathFactory) -> ExampleStudy:
    """Findings in both eyes: OD diabetic retinopathy and exudation, OS suspected glaucoma and drusen."""
    return make_study(tmp_path_factory.mktemp("study"), (RIGHT, SUSPECT))


@pytest.fixture(scope="package")
def pacs(both_eyes: ExampleStudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc with its web viewer and DICOMweb, and the study with findings in both eyes, sent by C-STORE."""
    plugins = [plugin("libOrthancDicomWeb.so"), plugin("libOrthancWebViewer.so")]
    with orthanc(tmp_path_factory.mktemp("pacs") / "orthanc", Plugins=plugins, Name="Clinic") as started:
        for files, options in ((both_eyes.photographs, ("-R", "-xy")), (both_eyes.results, ("-R",))):
            sent = storescu(started.dicom_port, *files, options=options, called=started.ae_title)
            assert sent.status == 0, sent.text
        started.wait_for(len(both_eyes.files))
        yield started
