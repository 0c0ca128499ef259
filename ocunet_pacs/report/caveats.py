"""What must stand beside a label so that it is not misread, in a reader's words.

`domain.labels` holds each label's caveat for those who work with the model; where that speaks of training data and
codes, the row here says the same to whoever reads the report.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocunet_pacs.domain.labels import Label

CAVEATS: Mapping[str, str] = MappingProxyType(
    {
        "Disease_Risk": "A composite flag, which the training data set for every abnormal photograph. Not a diagnosis.",
        "DR": "The model gives no grade. Proliferative and pre-proliferative retinopathy are urgent.",
        "ARMD": "The model does not tell wet from dry. Suspected wet macular degeneration is urgent.",
        "MH": (
            "Haze of the picture or of the media, not a macular hole (OcuNet's model card names this output wrongly). "
            "Repeat the photograph; if the haze stays, look at the media."
        ),
        "DN": "Drusen, not diabetic neuropathy (OcuNet's model card names this output wrongly).",
        "MYA": "Signs in the photograph, not a refraction.",
        "LS": "Scars of photocoagulation.",
        "MS": "A scar of the macula of whatever cause.",
        "PT": (
            "The model was also trained on photographs of pterygium, at the front of the eye, under this label; "
            "it does not raise the urgency unless the site says so."
        ),
        "RT": "A detachment would be an emergency; the model has a label of its own for it.",
        "CATARACT": "The lens as it shows through the fundus photograph.",
        "NORMAL": "Suppresses no other label; and a low score does not mean abnormal.",
    }
)
"""By the label's name."""


def caveat_of(label: Label) -> str:
    """The sentence that stands beside the label in a report, "" where there is none."""
    return CAVEATS.get(label.name, label.caveat)
