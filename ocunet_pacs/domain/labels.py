"""The labels that OcuNet knows, as one typed table: the only place where a label gets its name and its codes.

Display names follow the training data. OcuNet's model card calls MH "Macular Hole" and DN "Diabetic Neuropathy", but
RFMiD, whose columns those labels are, defines them as media haze and drusen; the card's name is kept as
`Label.model_card_name` so that a reader who knows it finds the label, and is never shown as the finding.

Codes: SNOMED CT where a published value set holds the concept, otherwise our private scheme 99OCUNET (PS3.16 section 8.2
on private coding schemes). To change a label's code, change its row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SNOMED_CT = "SCT"
PRIVATE_SCHEME = "99OCUNET"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8.8): Code Value, Coding Scheme Designator, Code Meaning."""

    value: str
    scheme: str
    meaning: str


class Urgency(StrEnum):
    """How soon a person should look when the label is positive; a site may override each."""

    NONE = "none"
    REPEAT_IMAGE = "repeat_image"
    ROUTINE = "routine"
    SOON = "soon"
    URGENT = "urgent"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> int:
        """Position in order of urgency, 0 (none) to 5 (emergency)."""
        return list(Urgency).index(self)


@dataclass(frozen=True, slots=True)
class Label:
    """One output of the network.

    `name` is the key in checkpoints, bundles and JSON; `display` is what a reader sees; `caveat` is a sentence that
    must stand beside the label in a report, empty where there is none; `model_card_name` is OcuNet's published name
    where it gives one.
    """

    name: str
    display: str
    code: Code
    site: Code
    kind: str
    urgency: Urgency
    model_card_name: str = ""
    caveat: str = ""


def _sct(value: str, meaning: str) -> Code:
    return Code(value, SNOMED_CT, meaning)


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


RETINA = _sct("5665001", "Retina")
OPTIC_NERVE_HEAD = _sct("81016008", "Optic nerve head")
VITREOUS = _sct("26386000", "Vitreous")
LENS = _sct("78076003", "Lens")

LABELS: tuple[Label, ...] = (
    Label(
        "Disease_Risk",
        "Any retinal abnormality (model composite flag)",
        _sct("164735009", "Fundoscopy abnormal"),
        RETINA,
        "composite screening flag (not a disease)",
        Urgency.NONE,
        model_card_name="Disease_Risk",
        caveat="composite flag set for every non-normal training image; never shown as a diagnosis",
    ),
    Label(
        "DR",
        "Diabetic retinopathy",
        _sct("4855003", "Retinopathy due to diabetes mellitus"),
        RETINA,
        "disease",
        Urgency.SOON,
        model_card_name="Diabetic Retinopathy",
    ),
    Label(
        "ARMD",
        "Age-related macular degeneration",
        _sct("267718000", "Age-related macular degeneration"),
        RETINA,
        "disease",
        Urgency.SOON,
        model_card_name="Age-related Macular Degeneration",
    ),
    Label(
        "MH",
        "Media haze",
        _private("MH", "Media haze"),
        RETINA,
        "image-quality / media-opacity finding",
        Urgency.REPEAT_IMAGE,
        model_card_name="Macular Hole",
        caveat="model card says Macular Hole; RFMiD (the training data) defines MH as media haze: 317 training positives against 11 for MHL. Never code as macular hole",
    ),
    Label(
        "DN",
        "Drusen",
        _sct("247153005", "Retinal drusen"),
        RETINA,
        "finding",
        Urgency.ROUTINE,
        model_card_name="Diabetic Neuropathy",
        caveat="model card says Diabetic Neuropathy; RFMiD defines DN as drusen",
    ),
    Label(
        "MYA",
        "Myopia (fundus signs)",
        _sct("57190000", "Myopia"),
        RETINA,
        "disease / refractive",
        Urgency.NONE,
        model_card_name="Myopia",
        caveat="fundus signs of myopia, not a refraction",
    ),
    Label(
        "BRVO",
        "Branch retinal vein occlusion",
        _sct("24596005", "Venous retinal branch occlusion"),
        RETINA,
        "disease",
        Urgency.SOON,
    ),
    Label(
        "TSLN",
        "Tessellated (tigroid) fundus",
        _private("TSLN", "Tessellated (tigroid) fundus"),
        RETINA,
        "finding / normal variant",
        Urgency.NONE,
    ),
    Label("ERM", "Epiretinal membrane", _sct("367649002", "Epiretinal membrane"), RETINA, "disease", Urgency.ROUTINE),
    Label(
        "LS",
        "Retinal laser scars",
        _sct("1137571003", "Chorioretinal scar due to photocoagulation"),
        RETINA,
        "finding (treatment sequela)",
        Urgency.NONE,
        caveat="SCT 1137571003 Chorioretinal scar due to photocoagulation",
    ),
    Label(
        "MS",
        "Macular scar",
        _sct("18410006", "Scarred macula"),
        RETINA,
        "finding / disease sequela",
        Urgency.ROUTINE,
        caveat="RFMiD: macular scar",
    ),
    Label(
        "CSR",
        "Central serous chorioretinopathy",
        _sct("312956001", "Central serous chorioretinopathy"),
        RETINA,
        "disease",
        Urgency.URGENT,
    ),
    Label(
        "ODC",
        "Optic disc cupping",
        _sct("12451000", "Optic cupping"),
        OPTIC_NERVE_HEAD,
        "finding",
        Urgency.ROUTINE,
        model_card_name="Optic Disc Cupping",
    ),
    Label(
        "CRVO",
        "Central retinal vein occlusion",
        _sct("68478007", "Central retinal vein occlusion"),
        RETINA,
        "disease",
        Urgency.URGENT,
    ),
    Label(
        "AH",
        "Asteroid hyalosis",
        _private("AH", "Asteroid hyalosis"),
        VITREOUS,
        "finding (benign vitreous)",
        Urgency.NONE,
    ),
    Label(
        "ODP", "Optic disc pallor", _private("ODP", "Optic disc pallor"), OPTIC_NERVE_HEAD, "finding", Urgency.ROUTINE
    ),
    Label(
        "ODE", "Optic disc edema", _sct("423341008", "Optic disc edema"), OPTIC_NERVE_HEAD, "finding", Urgency.EMERGENCY
    ),
    Label(
        "AION",
        "Anterior ischemic optic neuropathy",
        _sct("404659001", "Anterior ischemic optic neuropathy"),
        OPTIC_NERVE_HEAD,
        "disease",
        Urgency.EMERGENCY,
    ),
    Label(
        "PT",
        "Parafoveal telangiectasia",
        _sct("232024000", "Parafoveal telangiectasia"),
        RETINA,
        "disease - label contaminated by pterygium (anterior segment)",
        Urgency.NONE,
        caveat="RFMiD: parafoveal telangiectasia, but OcuNet v4 also trained it on a folder of pterygium (anterior segment) images: report with that caveat, no automatic triage",
    ),
    Label("RT", "Retinal traction", _private("RT", "Retinal traction"), RETINA, "finding", Urgency.ROUTINE),
    Label("RS", "Retinitis", _sct("399463004", "Retinitis"), RETINA, "disease", Urgency.URGENT),
    Label("CRS", "Chorioretinitis", _sct("46627006", "Chorioretinitis"), RETINA, "disease", Urgency.URGENT),
    Label("EDN", "Retinal exudation", _private("EDN", "Retinal exudation"), RETINA, "finding", Urgency.SOON),
    Label(
        "RPEC",
        "Retinal pigment epithelium changes",
        _private("RPEC", "Retinal pigment epithelium changes"),
        RETINA,
        "finding",
        Urgency.ROUTINE,
    ),
    Label("MHL", "Macular hole", _sct("232006002", "Macular hole"), RETINA, "disease", Urgency.URGENT),
    Label(
        "CATARACT",
        "Cataract (fundus-image appearance)",
        _sct("193570009", "Cataract"),
        LENS,
        "disease",
        Urgency.ROUTINE,
        caveat="appearance through the fundus photograph",
    ),
    Label(
        "GLAUCOMA", "Glaucoma (suspected)", _sct("23986001", "Glaucoma"), OPTIC_NERVE_HEAD, "disease", Urgency.ROUTINE
    ),
    Label(
        "NORMAL",
        "No abnormality detected by the model",
        _sct("17621005", "Normal"),
        RETINA,
        "negative class",
        Urgency.NONE,
        caveat="RFMiD images never carry NORMAL=1, so a low NORMAL score does not mean abnormal; NORMAL must never suppress another label",
    ),
    Label(
        "RD",
        "Retinal detachment",
        _sct("42059000", "Retinal detachment"),
        RETINA,
        "disease",
        Urgency.EMERGENCY,
        model_card_name="Retinal Detachment",
    ),
    Label(
        "RP",
        "Retinitis pigmentosa",
        _sct("28835009", "Retinitis pigmentosa"),
        RETINA,
        "disease",
        Urgency.ROUTINE,
        model_card_name="Retinitis Pigmentosa",
    ),
)
"""In the order of the network's outputs, 0 to 29 (Disease_Risk first, RP last)."""

BY_NAME: Mapping[str, Label] = MappingProxyType({label.name: label for label in LABELS})
