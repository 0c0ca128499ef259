"""Under which licences the parts of an installation come, held against those that were accepted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import files
from typing import TYPE_CHECKING

import yaml
from license_expression import ExpressionError, LicenseExpression, Licensing, get_spdx_licensing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.release.parts import Part


@dataclass(frozen=True)
class Accepted:
    """release/accepted-licences.yaml: its comments say what each table is for."""

    accepted: Mapping[str, str]
    explained: Mapping[str, Mapping[str, str]]
    read_as: Mapping[str, str]
    read_in_file: Mapping[str, str]
    bundled: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Accepted:
        """Read the file. TypeError for a table that there is not, or one too many."""
        return cls(**yaml.safe_load(path.read_text("utf-8")))

    def licence(self, part: Part) -> str:
        """Its licence as an SPDX expression, or what its metadata says where nobody has looked."""
        return self.read_in_file.get(part.name) or self.read_as.get(part.licence, part.licence)


def problems(parts: Sequence[Part], accepted: Accepted) -> list[str]:
    """A sentence for each part under a licence that was not accepted, and for each line that nothing needs any more."""
    found = [problem for part in parts for problem in _problems_of(part, accepted)]
    names = {part.name for part in parts}
    for table in ("explained", "read_in_file", "bundled"):
        unused = sorted(set(getattr(accepted, table)) - names)
        found += [f"{name}: stands under {table}, and is no part of an installation" for name in unused]
    return found


def _problems_of(part: Part, accepted: Accepted) -> Iterator[str]:
    licence = accepted.licence(part)
    explained = accepted.explained.get(part.name)
    if explained is not None and explained["licence"] != licence:
        yield f"{part.name}: is under {licence}, and was explained for {explained['licence']}"
    if explained is None and not _is_accepted(licence, accepted.accepted):
        yield f"{part.name}: its licence {licence or '(nothing said)'} was not accepted"
    if part.name not in accepted.bundled and brings_libraries(part.name):
        yield f"{part.name}: its wheel brings libraries of others, which nobody has named"


def brings_libraries(name: str) -> bool:
    """Whether the installed wheel has a folder of compiled libraries, as auditwheel makes them."""
    return any(path.parts[0].endswith(".libs") for path in files(name) or [])


def _is_accepted(licence: str, accepted: Iterable[str]) -> bool:
    """Every one of licences joined by AND must be accepted, one of those joined by OR."""
    if not licence:
        return False
    licensing = _licensing()
    try:
        return _holds(licensing.parse(licence, validate=True, strict=True), licensing, frozenset(accepted))
    except ExpressionError:
        return False


def _holds(expression: LicenseExpression, licensing: Licensing, accepted: frozenset[str]) -> bool:
    if isinstance(expression, licensing.AND):
        return all(_holds(below, licensing, accepted) for below in expression.args)
    if isinstance(expression, licensing.OR):
        return any(_holds(below, licensing, accepted) for below in expression.args)
    return str(expression.render()) in accepted


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


def page(parts: Sequence[Part], accepted: Accepted) -> str:
    """docs/licences.md."""
    lines = [_HEAD, *_table(("package", "licence", "comes with"), (_row(part, accepted) for part in parts))]
    explained = sorted(accepted.explained.items())
    lines += ["", _EXPLAINED, *_table(("package", "licence", "what it asks"), map(_explained_row, explained))]
    lines += ["", _BUNDLED, *_table(("package", "brings"), sorted(accepted.bundled.items()))]
    lines += ["", _ACCEPTED, *_table(("licence", ""), sorted(accepted.accepted.items()))]
    return "\n".join(lines) + "\n"


def _row(part: Part, accepted: Accepted) -> tuple[str, ...]:
    name = f"[{part.name}]({part.homepage})" if part.homepage else part.name
    comes_with = "the daemon" if "" in part.extras else ", ".join(f"`{extra}`" for extra in part.extras)
    return name, accepted.licence(part), comes_with


def _explained_row(item: tuple[str, Mapping[str, str]]) -> tuple[str, ...]:
    return item[0], item[1]["licence"], item[1]["reason"]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join(' --- ' for _ in heads)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


_HEAD = """\
# Licences of what is installed

This product is under the MIT licence. It is installed with the packages below, each from its own wheel, unchanged; none
is copied into ours. Versions: `constraints.txt`. The page is made of the packages' metadata (`make licences`), and a
test fails when a package comes in whose licence was not accepted in `tests/release/accepted-licences.yaml`.

torch's build for GPUs also brings NVIDIA's CUDA libraries, under NVIDIA's own licence (proprietary; free to use, not to
pass on changed). Which ones depends on the build, so they are not listed here; the CPU build brings none.
"""
_EXPLAINED = """\
## Those that ask for more than to be named

No package is under the GPL. Whoever passes the product on, in an appliance or a container image, passes on the licence
texts that lie in the packages, and minds these:
"""
_BUNDLED = """\
## Compiled libraries inside wheels

A wheel's own licence does not speak of these. They count when the product is passed on, and when a weakness is found in
one of them: the audit of packages does not see them (docs/supply-chain.md).
"""
_ACCEPTED = """\
## Accepted licences
"""
