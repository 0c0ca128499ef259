"""`drift.json` in a bundle's folder: what the photographs were like on which the bundle was found good.

Like `runtime.json` it is made from the bundle and beside it, tied to its weights, and no part of its digest. It is read
without the model's code, because the process that compares has none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.drift.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

FILE = "drift.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class BundleReference:
    """What a bundle's own photographs look like, and what it says of them."""

    image: Reference
    scores: Reference

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
    path = bundle / FILE
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
