"""`drift.json` in a bundle's folder: what the photographs were like on which the bundle was found good.

Like `runtime.json` it is made from the bundle and beside it, tied to its weights, and no part of its digest. It is read
without the model's code, because the process that compares has none.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ocunet_pacs.domain.drift import BUNDLE_REFERENCE
from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.drift.reference import Reference
from ocunet_pacs.drift.sample import image_sample, score_sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ocunet_pacs.domain.drift import Observed

FEWEST = 100
"""Photographs that must be scored, or a reference says little."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class BundleReference:
    """What a bundle's own photographs look like, and what it says of them."""

    image: Reference
    scores: Reference

    @classmethod
    def of(cls, observed: Sequence[Observed], bundle_digest: str) -> BundleReference:
        """Of photographs, FEWEST or more of which the bundle with this digest scored."""
        return cls(Reference.of(image_sample(observed)), Reference.of(score_sample(observed, bundle_digest)))

    def to_bytes(self, weights_sha256: str) -> bytes:
        """The file, for these weights."""
        plain = {
            "format_version": _VERSION,
            "weights_sha256": weights_sha256,
            "image": json.loads(self.image.to_json()),
            "scores": json.loads(self.scores.to_json()),
        }
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def read_bundle_reference(bundle: Path) -> BundleReference | None:
    """That of the bundle in this folder; None where it has none. BundleError for a file that is not of its weights."""
    path = bundle / BUNDLE_REFERENCE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        plain = json.loads(content)
        weights = json.loads((bundle / "manifest.json").read_bytes())["weights_sha256"]
        found = BundleReference(*(Reference.from_json(json.dumps(plain[part])) for part in ("image", "scores")))
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(f"{path}: is damaged; make it again with ocunet-pacs drift reference") from None
    if (plain["format_version"], plain["weights_sha256"]) != (_VERSION, weights):
        raise BundleError(f"{path}: is of other weights; make it again with ocunet-pacs drift reference")
    return found


def write_bundle_reference(bundle: Path, reference: BundleReference, weights_sha256: str) -> Path:
    """Leave it in the bundle's folder, whole or not at all; where it lies. BundleError.

    Without the pattern: it is one camera's, and a bundle's photographs are of many.
    """
    path = bundle / BUNDLE_REFERENCE
    beside = path.with_suffix(".part")
    whole = replace(reference, image=replace(reference.image, pattern=None))
    try:
        with beside.open("wb") as file:
            file.write(whole.to_bytes(weights_sha256))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written: {error.strerror}") from None
    return path
