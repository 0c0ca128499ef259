"""What the listener says yes to when an association is negotiated: SOP classes and transfer syntaxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage,
    OphthalmicOpticalCoherenceTomographyEnFaceImageStorage,
    OphthalmicPhotography8BitImageStorage,
    OphthalmicPhotography16BitImageStorage,
    OphthalmicTomographyImageStorage,
    SecondaryCaptureImageStorage,
    StereometricRelationshipStorage,
    VLPhotographicImageStorage,
    WideFieldOphthalmicPhotography3DCoordinatesImageStorage,
    WideFieldOphthalmicPhotographyStereographicProjectionImageStorage,
)
from pynetdicom.presentation import PresentationContext, build_context

from ocunet_pacs.imaging.pixels import TRANSFER_SYNTAXES

if TYPE_CHECKING:
    from pydicom.uid import UID

VERIFICATION = "1.2.840.10008.1.1"
STORED_SOP_CLASSES: tuple[UID, ...] = (
    OphthalmicPhotography8BitImageStorage,
    OphthalmicPhotography16BitImageStorage,
    WideFieldOphthalmicPhotographyStereographicProjectionImageStorage,
    WideFieldOphthalmicPhotography3DCoordinatesImageStorage,
    StereometricRelationshipStorage,
    OphthalmicTomographyImageStorage,
    OphthalmicOpticalCoherenceTomographyEnFaceImageStorage,
    OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage,
    VLPhotographicImageStorage,
    SecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)


def supported_contexts() -> list[PresentationContext]:
    """Verification, and storage of every class above in every transfer syntax that is decoded, in that order."""
    return [
        build_context(VERIFICATION, [ImplicitVRLittleEndian, ExplicitVRLittleEndian]),
        *(build_context(sop_class, list(TRANSFER_SYNTAXES)) for sop_class in STORED_SOP_CLASSES),
    ]
