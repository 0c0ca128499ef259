"""What a folder's name means in our labels: the mappings that ship, and those that a person writes as YAML.

A picture in a folder is of that class, and its collection says nothing more of it. So a label that the class does not
exclude is unknown: a normal eye has none of the diseases that the set has folders for, a diseased one is not normal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import yaml

from ocunet_pacs.domain.labels import BY_NAME
from training.corpora.listing import ABNORMAL, NORMAL, Findings
from training.corpora.tables import refuse
from training.errors import CorpusError

if TYPE_CHECKING:
    from pathlib import Path

_LEFT_OUT: Final = "leave out"
_PTERYGIUM: Final = "pterygium"


@dataclass(frozen=True, slots=True)
class Class:
    """One folder: the labels that it stands for, or why its pictures are left out."""

    labels: frozenset[str] = frozenset()
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class ClassMapping:
    """The classes of a set by the names of their folders, as `folder_name` writes them."""

    name: str
    classes: Mapping[str, Class]

    def findings(self, folder: str) -> Findings:
        """What a picture in that folder is known to have and not to have. KeyError for a folder that is not mapped."""
        labels = self.classes[folder].labels
        if not labels:
            return Findings()
        if labels != {NORMAL}:
            return Findings(labels | {ABNORMAL}, frozenset({NORMAL}))
        looked_for = frozenset(label for one in self.classes.values() for label in one.labels)
        return Findings(labels, (looked_for | {ABNORMAL}) - {NORMAL})


def folder_name(name: str) -> str:
    """A name whose case, spaces, underscores and hyphens make no difference."""
    return " ".join(re.split(r"[\s_\-]+", name.casefold())).strip()


def _mapping(name: str, classes: Mapping[str, str]) -> ClassMapping:
    return ClassMapping(
        name, MappingProxyType({folder: Class(frozenset({label})) for folder, label in classes.items()})
    )


FOUR_CLASS: Final = _mapping(
    "four-class",
    {"cataract": "CATARACT", "diabetic retinopathy": "DR", "glaucoma": "GLAUCOMA", "normal": NORMAL},
)
_TEN_FOLDER: Final = _mapping(
    "ten-folder",
    {
        "central serous chorioretinopathy [color fundus]": "CSR",
        "diabetic retinopathy": "DR",
        "disc edema": "ODE",
        "glaucoma": "GLAUCOMA",
        "healthy": NORMAL,
        "macular scar": "MS",
        "myopia": "MYA",
        "retinal detachment": "RD",
        "retinitis pigmentosa": "RP",
    },
)


def ten_folder(*, pterygium_as_pt: bool = False) -> ClassMapping:
    """The ten-folder set's mapping.

    Pterygium is a growth on the cornea, photographed from in front: no fundus, and not the parafoveal telangiectasia
    that PT stands for. OcuNet v4 learned it as PT all the same; whoever must do as it did has to say so.
    """
    other = (
        Class(frozenset({"PT"}))
        if pterygium_as_pt
        else Class(left_out="pterygium lies on the cornea: its pictures show no fundus, and PT is another disease")
    )
    return ClassMapping(_TEN_FOLDER.name, MappingProxyType({**_TEN_FOLDER.classes, _PTERYGIUM: other}))


def shipped(*, pterygium_as_pt: bool = False) -> tuple[ClassMapping, ...]:
    """The mappings that need no file."""
    return FOUR_CLASS, ten_folder(pterygium_as_pt=pterygium_as_pt)


def read_mapping(path: Path) -> ClassMapping:
    """A mapping from a YAML file: `name`, and under `folders` a label, a list of labels or "leave out" for each folder.

    CorpusError with every line that cannot be used.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise CorpusError(f"{path}: is not valid YAML") from None
    folders = content.get("folders") if isinstance(content, Mapping) else None
    if not isinstance(folders, Mapping) or not folders or content.keys() - {"name", "folders"}:
        raise CorpusError(f"{path}: a mapping has a `name` and `folders` (a label, a list of labels or {_LEFT_OUT})")
    refuse(f"{path}: {problem}" for name, value in folders.items() for problem in _problems(str(name), value))
    classes = {folder_name(str(name)): _class(value) for name, value in folders.items()}
    return ClassMapping(str(content.get("name") or path.stem), MappingProxyType(classes))


def _problems(name: str, value: object) -> list[str]:
    if value == _LEFT_OUT:
        return []
    labels = value if isinstance(value, list) else [value]
    problems = [f"{name}: {label!r} is not in the table of labels" for label in labels if label not in BY_NAME]
    if NORMAL in labels and len(labels) > 1:
        problems.append(f"{name}: {NORMAL} excludes other labels")
    return problems


def _class(value: object) -> Class:
    if value == _LEFT_OUT:
        return Class(left_out="its mapping leaves it out")
    return Class(frozenset(map(str, value)) if isinstance(value, list) else frozenset({str(value)}))
