from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.imaging.preprocess import PreprocessSpec
from tests.unit.training.data.pictures import drawn_manifest
from training.data.cache import PixelCache

if TYPE_CHECKING:
    from training.data.manifest import Manifest

SPEC = PreprocessSpec(image_size=64)


@pytest.fixture(scope="session")
def eyes(tmp_path_factory) -> Manifest:
    """Eleven drawn eyes; read only."""
    return drawn_manifest(tmp_path_factory.mktemp("eyes"), 11)


@pytest.fixture(scope="session")
def filled(tmp_path_factory, eyes) -> PixelCache:
    """Their cache at 64 pixels; read only."""
    cache = PixelCache(tmp_path_factory.mktemp("cache"), SPEC)
    assert cache.fill(eyes, eyes.rows, workers=2) == []
    return cache
