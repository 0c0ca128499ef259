"""What an installation consists of: our dependencies and theirs, as this environment has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

US = canonicalize_name("ocunet-pacs")
EXTRAS = ("", "postgres", "train")
"""What a site may install; "" is the daemon itself."""
_GPU_BUILD = re.compile(r"(nvidia|cuda|triton)\b")
"""torch's build for GPUs brings NVIDIA's packages. Which ones, depends on the build and not on us."""


class Unknown(Exception):
    """A package is not installed here, or constraints.txt does not name it; the text says which."""


@dataclass(frozen=True)
class Part:
    """One package of an installation."""

    name: NormalizedName
    version: str
    """That of constraints.txt."""
    licence: str
    """What its metadata says, as it says it: an SPDX expression, a classifier or a few words; "" for nothing."""
    homepage: str
    needs: frozenset[NormalizedName]
    """What it needs itself."""
    extras: tuple[str, ...]
    """Those of EXTRAS that bring it."""


def pins(constraints: Path) -> dict[NormalizedName, str]:
    """Name and version of every line of constraints.txt."""
    lines = (line.strip() for line in constraints.read_text("utf-8").splitlines())
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def parts(versions: Mapping[NormalizedName, str]) -> list[Part]:
    """Every package that a site's installation brings, by name, without ours. Unknown, naming all at once."""
    edges: dict[NormalizedName, frozenset[NormalizedName]] = {}
    reached: dict[str, set[NormalizedName]] = {extra: set(_walk(US, {"", extra}, edges)) for extra in EXTRAS}
    names = sorted(set().union(*reached.values()))
    missing = [name for name in names if name not in versions]
    if missing:
        raise Unknown(f"constraints.txt does not say which version of {', '.join(missing)}")
    return [
        Part(name, versions[name], *_said_of(name), edges[name], tuple(e for e in EXTRAS if name in reached[e]))
        for name in names
    ]


def needed_by_us() -> frozenset[NormalizedName]:
    """What our own metadata asks for, with the extras of a site."""
    return frozenset(_needs(US, set(EXTRAS)))


def _walk(
    name: NormalizedName, extras: set[str], edges: dict[NormalizedName, frozenset[NormalizedName]]
) -> Iterator[NormalizedName]:
    todo, seen = [(name, frozenset(extras))], set()
    while todo:
        asked = todo.pop()
        if asked in seen:
            continue
        seen.add(asked)
        below = _needs(asked[0], set(asked[1]))
        edges[asked[0]] = edges.get(asked[0], frozenset()) | frozenset(below)
        todo += [(other, frozenset(wanted)) for other, wanted in below.items()]
        if asked[0] != name:
            yield asked[0]


def _needs(name: NormalizedName, extras: Iterable[str]) -> dict[NormalizedName, set[str]]:
    """What it needs on this machine, each with the extras that it asks of it."""
    found: dict[NormalizedName, set[str]] = {}
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        raise Unknown(f"{name} is not installed here") from None
    for line in lines:
        asked = Requirement(line)
        other = canonicalize_name(asked.name)
        wanted = asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in {"", *extras})
        if wanted and not _GPU_BUILD.match(other):
            found.setdefault(other, {""}).update(asked.extras)
    return found


def _said_of(name: NormalizedName) -> tuple[str, str]:
    """What its metadata says of licence and home page."""
    metadata = distribution(name).metadata
    classifiers = [value for value in metadata.get_all("Classifier", []) if value.startswith("License :: OSI")]
    (short, *_) = metadata.get_all("License", [""])
    (expression, *_) = metadata.get_all("License-Expression", [""])
    candidates = [
        expression,
        short.strip() if len(short) < 60 and "\n" not in short else "",
        ", ".join(value.rsplit(" :: ", 1)[1] for value in classifiers),
    ]
    links = [value.split(", ", 1) for value in metadata.get_all("Project-URL", [])]
    addresses = {label.lower(): address for label, address in links}
    (home, *_) = metadata.get_all("Home-page", [next((addresses[key] for key in _HOME if key in addresses), "")])
    return next((text for text in candidates if text), ""), home


_HOME = ("homepage", "home", "repository", "source", "source code", "documentation")
