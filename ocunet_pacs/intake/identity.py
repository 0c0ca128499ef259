"""What the listener must know of an object to answer for it: which one it is, whose, and whether we made it ourselves.

Everything else in the header is read by workers, in processes that may fail (`imaging.header`).
"""

from __future__ import annotations

from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydicom.filereader import read_sequence

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import ImageHeader, Reason, ReasonCode
from ocunet_pacs.imaging.elements import text
from ocunet_pacs.imaging.header import MANUFACTURER, MODEL_NAME
from ocunet_pacs.imaging.identity import BIRTH_DATE, CHARACTER_SET, ID, ISSUER, NAME, identity_from, patient_number_from
from ocunet_pacs.imaging.part10 import quiet
from ocunet_pacs.intake.walk import Incomplete, text_of, walking

if TYPE_CHECKING:
    from pathlib import Path

    from ocunet_pacs.intake.walk import Walk

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_MANUFACTURER, _MODEL_NAME, _CONTRIBUTING_EQUIPMENT = 0x00080070, 0x00081090, 0x0018A001
_NOTHING_OF_IT_BEHIND = 0x00200010
# Long enough for what is not a UID to be seen as that.
_KEEP = MappingProxyType(
    {
        **dict.fromkeys((_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES), 1024),
        **dict.fromkeys((_MANUFACTURER, _MODEL_NAME, CHARACTER_SET, BIRTH_DATE), 256),
        **dict.fromkeys((NAME, ID, ISSUER), 1024),
        _CONTRIBUTING_EQUIPMENT: 1 << 14,
    }
)


def read_identity(path: Path) -> ImageHeader:
    """The header's UIDs, `made_by_us`, and who the patient is; every other field is as if it were absent.

    BadInput: NOT_DICOM, UNREADABLE_DATASET, or TOO_LARGE past the limits of the walk. `path` is a file of ours.
    """
    with walking(path) as walk:
        try:
            found = dict(walk.elements(_KEEP, before=_NOTHING_OF_IT_BEHIND))
        except Incomplete:
            raise BadInput(Reason(ReasonCode.UNREADABLE_DATASET, "its data set is broken")) from None
        equipment = found.get(_CONTRIBUTING_EQUIPMENT)
        return ImageHeader(
            study_instance_uid=text_of(found.get(_STUDY)),
            series_instance_uid=text_of(found.get(_SERIES)),
            sop_instance_uid=text_of(found.get(_SOP_INSTANCE)),
            sop_class_uid=text_of(found.get(_SOP_CLASS)),
            transfer_syntax_uid=walk.transfer_syntax_uid,
            manufacturer=text_of(found.get(_MANUFACTURER)),
            made_by_us=(text_of(found.get(_MANUFACTURER)), text_of(found.get(_MODEL_NAME)))
            == (MANUFACTURER, MODEL_NAME)
            or (equipment is not None and _names_us(equipment, walk)),
            patient_identity=identity_from(found),
            patient_number=patient_number_from(found),
        )


def _names_us(items: bytes, walk: Walk) -> bool:
    """Whether an item of Contributing Equipment Sequence is this product. Items that cannot be read name nobody."""
    try:
        with quiet():
            equipment = read_sequence(BytesIO(items), not walk.explicit, not walk.big_endian, len(items), "ascii")
            return any(
                (text(e, "Manufacturer"), text(e, "ManufacturerModelName")) == (MANUFACTURER, MODEL_NAME)
                for e in equipment
            )
    except Exception:  # noqa: BLE001 - parsing broken items raises a dozen kinds
        return False
