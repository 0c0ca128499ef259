"""The gates that an image passes before it is analysed, by the names that a site opens and closes them with.

Each gate stops one kind of image, for one coded reason. Most are closed from the start, because the model was not
validated on what they stop; a site that knows better opens a gate, for everybody or for one source.
"""

from __future__ import annotations

from enum import StrEnum


class Gate(StrEnum):
    """What is stopped while the gate is closed. Our own results never pass: that gate is not a site's to open."""

    VL_PHOTOGRAPHIC = "vl_photographic"
    """VL Photographic Image Storage: an ordinary photograph, which may be one of a fundus."""
    SECONDARY_CAPTURE = "secondary_capture"
    """Secondary Capture and Multi-frame True Color Secondary Capture."""
    WIDE_FIELD = "wide_field"
    """Wide field classes, and a Horizontal Field of View beyond `eligibility.widest_field`."""
    DERIVED = "derived"
    """Image Type DERIVED, or a montage."""
    CALIBRATION = "calibration"
    """Calibration Image or Quality Control Image is YES."""
    OTHER_REGION = "other_region"
    """Anatomic region or device that is not of the fundus: lens, cornea, slit lamp, external camera."""
    UNPROVEN_REGION = "unproven_region"
    """Nothing in the header says that the fundus was photographed. Open from the start: many exports leave it out."""
    NOT_COLOUR = "not_colour"
    """Red-free, infrared, autofluorescence, monochrome."""
    ANGIOGRAPHY = "angiography"
    """Fluorescein or indocyanine green."""
    CHILD = "child"
    """Patients younger than `eligibility.minimum_age`."""
    NOT_FUNDUS = "not_fundus"
    """Pixels that do not look like a colour fundus photograph."""
    UNGRADABLE = "ungradable"
    """Pixels that show a fundus too badly to be graded."""


OPEN_FROM_THE_START = frozenset({Gate.UNPROVEN_REGION})
