"""Whether these photographs may judge this bundle: those that it was made with prove nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from training.data.manifest import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.model.manifest import Manifest as BundleManifest
    from training.data.manifest import Manifest, Row


class Weight(StrEnum):
    """How much a remark takes from the figures."""

    VOID = "void"
    """They are no measure of what the bundle will do."""
    DOUBT = "doubt"
    """Something stands between them and that."""
    NOTE = "note"
    """How they are to be read."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence that stands above the figures."""

    weight: Weight
    text: str


def independence(bundle: BundleManifest, manifest: Manifest, rows: Sequence[Row]) -> list[Remark]:
    """What speaks against these rows as judges of this bundle."""
    splits = {row.split for row in rows}
    remarks = []
    if Split.TRAIN in splits:
        remarks.append(
            Remark(Weight.VOID, "Photographs of the training split are among these: the network has seen them.")
        )
    if Split.VALIDATION in splits:
        remarks.append(
            Remark(
                Weight.VOID,
                "Photographs of the validation split are among these: temperature, thresholds and the best epoch were "
                "chosen on them.",
            )
        )
    if not remarks:
        remarks += _by_provenance(bundle, manifest, splits)
    if not bundle.trained:
        remarks.insert(0, Remark(Weight.VOID, "The bundle is untrained: its scores mean nothing."))
    return remarks


def _by_provenance(bundle: BundleManifest, manifest: Manifest, splits: set[Split]) -> list[Remark]:
    """The bundle's training record names the manifest that it was trained on by its fingerprint, where there is one."""
    same = any(manifest.fingerprint in note for note in bundle.provenance.notes.values())
    if same and Split.NONE in splits:
        return [
            Remark(
                Weight.VOID,
                "The bundle was trained on this manifest, and some of these photographs are in no split: they may have "
                "been learned from.",
            )
        ]
    if same:
        return [
            Remark(Weight.NOTE, "The bundle was trained on this manifest; its test split was kept apart from that.")
        ]
    if not bundle.trained:
        return []
    return [
        Remark(
            Weight.DOUBT,
            "The bundle does not say that it was trained on this manifest, so nothing shows that it has not seen these "
            "photographs, or copies of them, before.",
        )
    ]
