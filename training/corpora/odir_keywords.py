"""What each of ODIR-5K's diagnostic keywords says of an eye in our labels: one table, to be read and argued with.

The graders wrote free keywords, of which the training set has about a hundred. A keyword names labels, or a finding for
which there is no label; and it can leave labels unsure that it hints at without naming them ("maculopathy" may be a
macular scar). "suspected" makes its finding unsure, but for glaucoma, which a photograph can only ever suspect: our
label is "Glaucoma (suspected)".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from training.corpora.listing import ABNORMAL, NORMAL, Findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NORMAL_FUNDUS: Final = "normal fundus"
NO_FUNDUS: Final = frozenset({"anterior segment image", "no fundus image"})
"""The picture shows no fundus: it is left out."""
OF_THE_PHOTOGRAPH: Final = frozenset({"lens dust", "image offset"})
"""They say nothing of the eye."""
HIDING: Final = MappingProxyType(
    {
        "low image quality": None,
        "optic disk photographically invisible": frozenset({"AION", "GLAUCOMA", "ODC", "ODE", "ODP"}),
    }
)
"""What cannot be seen is not absent: these labels are unknown; None stands for all."""

CATEGORIES: Final = MappingProxyType({"D": "DR", "G": "GLAUCOMA", "C": "CATARACT", "A": "ARMD", "M": "MYA"})
"""The patient's columns that are labels of ours, and what the graders looked for in every eye. N, H and O are not."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """Labels that a keyword names, labels that it leaves unsure, and whether it is a finding or a mere suspicion."""

    names: frozenset[str] = field(default_factory=frozenset)
    unsure: frozenset[str] = field(default_factory=frozenset)
    is_finding: bool = True


def _named(label: str, *unsure: str) -> Keyword:
    return Keyword(frozenset({label}), frozenset(unsure))


def _other(*unsure: str) -> Keyword:
    """A finding without a label of ours."""
    return Keyword(unsure=frozenset(unsure))


def _suspected(*labels: str) -> Keyword:
    return Keyword(unsure=frozenset(labels), is_finding=False)


KEYWORDS: Final[Mapping[str, Keyword]] = MappingProxyType(
    {
        "abnormal pigment": _other("RPEC"),
        "age-related macular degeneration": _named("ARMD"),
        "arteriosclerosis": _other(),
        "asteroid hyalosis": _named("AH"),
        "atrophic change": _other("RPEC", "MS", "MYA", "ARMD"),
        "atrophy": _other("RPEC", "MS", "MYA", "ARMD"),
        "branch retinal artery occlusion": _other(),
        "branch retinal vein occlusion": _named("BRVO"),
        "cataract": _named("CATARACT", "MH"),
        "central retinal artery occlusion": _other(),
        "central retinal vein occlusion": _named("CRVO"),
        "central serous chorioretinopathy": _named("CSR"),
        "chorioretinal atrophy": _other("RPEC", "MS", "MYA", "ARMD"),
        "chorioretinal atrophy with pigmentation proliferation": _other("RPEC", "MS", "MYA", "CRS"),
        "choroidal nevus": _other(),
        "congenital choroidal coloboma": _other(),
        "depigmentation of the retinal pigment epithelium": _named("RPEC"),
        "diabetic retinopathy": _named("DR"),
        "diffuse chorioretinal atrophy": _other("RPEC", "MYA", "RP"),
        "diffuse retinal atrophy": _other("RPEC", "MYA", "RP"),
        "drusen": _named("DN", "ARMD"),
        "dry age-related macular degeneration": _named("ARMD", "DN"),
        "epiretinal membrane": _named("ERM"),
        "epiretinal membrane over the macula": _named("ERM"),
        "fundus laser photocoagulation spots": _named("LS"),
        "glaucoma": _named("GLAUCOMA", "ODC"),
        "glial remnants anterior to the optic disc": _other(),
        "hypertensive retinopathy": _other("EDN"),
        "idiopathic choroidal neovascularization": _other("ARMD", "EDN"),
        "intraretinal hemorrhage": _other("DR", "BRVO", "CRVO"),
        "intraretinal microvascular abnormality": _other("DR"),
        "laser spot": _named("LS"),
        "macular coloboma": _other("MS"),
        "macular epiretinal membrane": _named("ERM"),
        "macular hole": _named("MHL"),
        "macular pigmentation disorder": _other("RPEC", "ARMD", "MS"),
        "maculopathy": _other("ARMD", "CSR", "DR", "EDN", "ERM", "MHL", "MS", "MYA", "RPEC"),
        "mild nonproliferative retinopathy": _named("DR"),
        "moderate non proliferative retinopathy": _named("DR"),
        "moderate nonproliferative retinopathy": _named("DR"),
        "morning glory syndrome": _other("ODC"),
        "myelinated nerve fibers": _other(),
        "myopia retinopathy": _named("MYA"),
        "myopic maculopathy": _named("MYA"),
        "myopic retinopathy": _named("MYA"),
        "old branch retinal vein occlusion": _named("BRVO"),
        "old central retinal vein occlusion": _named("CRVO"),
        "old chorioretinopathy": _other("CRS", "CSR", "MS", "RPEC"),
        "old choroiditis": _other("CRS", "MS", "RPEC"),
        "optic discitis": _other("ODE"),
        "optic disc edema": _named("ODE"),
        "optic disk epiretinal membrane": _other("ERM"),
        "optic nerve atrophy": _other("ODP", "GLAUCOMA"),
        "oval yellow-white atrophy": _other("MS", "RPEC", "ARMD"),
        "pathological myopia": _named("MYA"),
        "peripapillary atrophy": _other("MYA", "GLAUCOMA"),
        "pigment epithelium proliferation": _named("RPEC"),
        "pigmentation disorder": _other("RPEC"),
        "post laser photocoagulation": _named("LS"),
        "post retinal laser surgery": _named("LS"),
        "proliferative diabetic retinopathy": _named("DR"),
        "punctate inner choroidopathy": _other("CRS"),
        "refractive media opacity": _named("MH", "CATARACT"),
        "retina fold": _other("RT", "ERM", "RD"),
        "retinal artery macroaneurysm": _other("EDN"),
        "retinal detachment": _named("RD"),
        "retinal pigment epithelial hypertrophy": _named("RPEC"),
        "retinal pigment epithelium atrophy": _named("RPEC", "ARMD"),
        "retinal pigmentation": _other("RPEC", "RP"),
        "retinal vascular sheathing": _other(),
        "retinitis pigmentosa": _named("RP"),
        "retinochoroidal coloboma": _other(),
        "rhegmatogenous retinal detachment": _named("RD"),
        "severe nonproliferative retinopathy": _named("DR"),
        "severe proliferative diabetic retinopathy": _named("DR"),
        "silicone oil eye": _other("RD", "LS"),
        "spotted membranous change": _other("ERM", "DN"),
        "suspected abnormal color of optic disc": _suspected("ODP"),
        "suspected cataract": _suspected("CATARACT", "MH"),
        "suspected diabetic retinopathy": _suspected("DR"),
        "suspected glaucoma": _named("GLAUCOMA", "ODC"),
        "suspected macular epimacular membrane": _suspected("ERM"),
        "suspected microvascular anomalies": _suspected("DR"),
        "suspected moderate non proliferative retinopathy": _suspected("DR"),
        "suspected retinal vascular sheathing": _suspected(),
        "suspected retinitis pigmentosa": _suspected("RP"),
        "suspicious diabetic retinopathy": _suspected("DR"),
        "tessellated fundus": _named("TSLN"),
        "vascular loops": _other(),
        "vessel tortuosity": _other(),
        "vitreous degeneration": _other("MH", "AH"),
        "vitreous opacity": _other("MH", "AH"),
        "wedge white line change": _other(),
        "wedge-shaped change": _other("MYA"),
        "wet age-related macular degeneration": _named("ARMD", "EDN"),
        "white vessel": _other(),
    }
)

_EXCLUDED_BY_NORMAL: Final = frozenset(label for word in KEYWORDS.values() for label in word.names) - {"TSLN"}
"""The graders have a keyword for each and wrote "normal fundus" instead. A tessellated fundus can be a normal one."""


def is_known(keyword: str) -> bool:
    """Whether the table, or one of the lists beside it, has the keyword."""
    return keyword in KEYWORDS or keyword in OF_THE_PHOTOGRAPH | NO_FUNDUS | {NORMAL_FUNDUS} or keyword in HIDING


def eye_findings(keywords: Iterable[str]) -> Findings:
    """What an eye's keywords say of it. A keyword that nobody knows could mean anything that is not named.

    Labels that no keyword names are negative only where the graders looked for them: the five categories of ours, and
    in a normal eye all that they have a keyword for. "normal fundus" beside a finding contradicts itself, and leaves
    NORMAL and Disease_Risk unknown.
    """
    words = set(keywords)
    known = [KEYWORDS[word] for word in words if word in KEYWORDS]
    positive = frozenset(label for word in known for label in word.names)
    unsure = frozenset(label for word in known for label in word.unsure)
    is_normal = NORMAL_FUNDUS in words
    strange = any(not is_known(word) for word in words)
    negative = frozenset(CATEGORIES.values()) if known or is_normal else frozenset()
    if is_normal and not known and not strange:
        positive, negative = frozenset({NORMAL}), _EXCLUDED_BY_NORMAL | {ABNORMAL}
    elif not is_normal and any(word.is_finding for word in known):
        positive, negative = positive | {ABNORMAL}, negative | {NORMAL}
    hidden = [HIDING[word] for word in words if word in HIDING]
    if strange or None in hidden:
        negative &= {NORMAL, ABNORMAL}
    return Findings(positive, negative.difference(unsure, positive, *(labels for labels in hidden if labels)))
