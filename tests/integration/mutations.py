"""Broken and malicious data sets without end, the same ones for the same seed.

Each kind of damage is one function from a random generator and a good data set to bad bytes.
"""

from __future__ import annotations

import functools
import random
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import generate_uid

from tests.integration.objects import OP_8_BIT, data_set_of, photograph
from tests.integration.odd_files import BIG_ENDIAN, DEFLATED, odd_files
from tests.integration.upper_layer import EXPLICIT, IMPLICIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST_SEED = 8192
UNDEFINED = 0xFFFFFFFF
LENGTHS = (0, 1, 3, 7, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, UNDEFINED)
SEQUENCES = (0x00082218, 0x0018A001, 0x00081115, 0x52009229, 0x52009230, 0x00220015)
"""Sequences that the listener reads, and ones that it passes over."""
VRS = (b"SQ", b"UN", b"OB", b"OW", b"UT", b"UC", b"UI", b"PN", b"DS", b"IS", b"AT", b"FD", b"OV", b"??", b"qq", b"\0\0")


@dataclass(frozen=True)
class Seed:
    """A whole data set that the listener would take."""

    content: bytes
    transfer_syntax: str
    instance: str

    @property
    def order(self) -> str:
        return ">" if self.transfer_syntax == BIG_ENDIAN else "<"


@dataclass(frozen=True)
class Mutant:
    """What to send: `name` says how it was made."""

    name: str
    content: bytes
    transfer_syntax: str
    instance: str


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """`count` of them, every kind in turn."""
    dice = random.Random(seed)
    good = seeds()
    for number in range(count):
        damage = KINDS[number % len(KINDS)]
        origin = dice.choice(good)
        content, syntax = damage(dice, origin)
        yield Mutant(f"{number} {damage.__name__}", content, syntax, origin.instance)


def seeds() -> list[Seed]:
    """Our own photograph in four transfer syntaxes, and pydicom's small files made to be photographs."""
    own = [_own(syntax) for syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)]
    others = [
        Seed(content, file.transfer_syntax, file.sop_instance)
        for file in odd_files()
        if len(content := file.with_class(OP_8_BIT)) <= LARGEST_SEED and content != file.content
    ]
    return own * (1 + len(others) // 8) + others


def _own(syntax: str) -> Seed:
    ds = photograph(rows=8, columns=8)
    # The same every time.
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(ds, keyword, generate_uid(entropy_srcs=[syntax, keyword]))
    ds.file_meta.TransferSyntaxUID = syntax
    return Seed(data_set_of(ds), syntax, ds.SOPInstanceUID)


# --- kinds of damage -------------------------------------------------------------------------------------------------


def flipped_bits(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    content = bytearray(seed.content)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return bytes(content), seed.transfer_syntax


def cut(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    return seed.content[: dice.randrange(len(seed.content))], seed.transfer_syntax


def spliced(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """A piece is missing, there twice, or somewhere else."""
    a, b, c = sorted(dice.randrange(len(seed.content)) for _ in range(3))
    whole = seed.content
    content = dice.choice(
        (whole[:a] + whole[b:], whole[:b] + whole[a:], whole[:a] + whole[b:c] + whole[a:b] + whole[c:])
    )
    return content, seed.transfer_syntax


def lying_length(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """A top-level element's length is another one, undefined among others."""
    content = bytearray(seed.content)
    at, size = dice.choice(_lengths(seed) or [(4, 4)])
    true = int.from_bytes(content[at : at + size], "big" if seed.order == ">" else "little")
    lie = dice.choice((*LENGTHS, true + 1, true + 2, max(0, true - 1), true * 2)) & (256**size - 1)
    content[at : at + size] = struct.pack(seed.order + ("L" if size == 4 else "H"), lie)
    return bytes(content), seed.transfer_syntax


def odd_representation(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """A top-level element has another VR (in an implicit data set: VRs where none belong)."""
    content = bytearray(seed.content)
    at, size = dice.choice(_lengths(seed) or [(4, 4)])
    at -= 4 if size == 4 and seed.transfer_syntax != IMPLICIT else 2
    if at >= 0:
        content[at : at + 2] = dice.choice(VRS)
    return bytes(content), seed.transfer_syntax


def deep_sequences(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """A thousand sequences, one inside the other, of undefined or of defined length, closed or left open."""
    depth = dice.choice((33, 200, 1000, 3000))
    tag = dice.choice(SEQUENCES)
    explicit = seed.transfer_syntax == EXPLICIT
    if dice.random() < 0.7:
        opening = _header(tag, UNDEFINED, explicit=explicit) + struct.pack("<LL", 0xE000FFFE, UNDEFINED)
        closing = struct.pack("<LLLL", 0xE00DFFFE, 0, 0xE0DDFFFE, 0)
        nested = opening * depth + (closing * depth if dice.random() < 0.8 else b"")
    else:
        nested = b""
        for _ in range(min(depth, 1000)):
            nested = struct.pack("<LL", 0xE000FFFE, len(nested)) + nested
            nested = _header(tag, len(nested), explicit=explicit) + nested
    return _inserted(seed, nested, tag)


def many_items(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """A sequence of very many items or elements: eight bytes each on the wire, a hundred times that when parsed."""
    tag = dice.choice(SEQUENCES)
    explicit = seed.transfer_syntax == EXPLICIT
    count = dice.choice((1000, 20_000))
    if dice.random() < 0.5:
        items = struct.pack("<LL", 0xE000FFFE, 0) * count
    else:
        elements = b"".join(_header(0x00110010 + (n << 16 & 0xFFFF0000), 0, explicit=explicit) for n in range(count))
        items = struct.pack("<LL", 0xE000FFFE, len(elements)) + elements
    if dice.random() < 0.5:
        return _inserted(seed, _header(tag, len(items), explicit=explicit) + items, tag)
    whole = _header(tag, UNDEFINED, explicit=explicit) + items + struct.pack("<LL", 0xE0DDFFFE, 0)
    return _inserted(seed, whole, tag)


def odd_text(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """Character sets that are none, and values in them."""
    name = dice.choice(
        (b"ISO 2022 IR 87", b"\\\\\\", b"ISO_IR 999", b"GB18030\\ISO 2022 IR 149", b"\xff\xfe\0\0", b"utf-7")
    )
    value = dice.randbytes(dice.randrange(64)) + b"\x1b$B"
    explicit = seed.transfer_syntax == EXPLICIT
    content = b""
    for tag, vr, text in ((0x00080005, b"CS", name), (0x00080060, b"CS", value), (0x00080070, b"LO", value)):
        even = text + b" " * (len(text) % 2)
        content += _header(tag, len(even), explicit=explicit, vr=vr) + even
    return _inserted(seed, content, 0x00080005)


def bomb(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """A few kilobytes that inflate to many megabytes: in a value, as items, as pixels, behind the pixels."""
    sizes = (1 << 17, 1 << 20, 1 << 24, 1 << 26, 1 << 30)
    return _bomb(dice.randrange(4), dice.choices(sizes, (50, 30, 15, 4, 1))[0]), DEFLATED


@functools.cache
def _bomb(place: int, size: int) -> bytes:
    good = _own(EXPLICIT).content
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    opening = {
        0: _header(0x00291010, size, explicit=True, vr=b"OB"),
        1: _header(0x0018A001, UNDEFINED, explicit=True),
        2: _header(0x7FE00010, size, explicit=True, vr=b"OB"),
        3: good[good.rindex(b"\xe0\x7f\x10\x00") :],
    }
    content = squeeze.compress(good[: good.rindex(b"\xe0\x7f\x10\x00")] + opening[place])
    content += squeeze.flush(zlib.Z_FULL_FLUSH)
    # Empty items where a sequence is open, zeros elsewhere. After a full flush, the same bytes inflate to the same.
    piece = (struct.pack("<LL", 0xE000FFFE, 0) if place == 1 else bytes(8)) * (1 << 14)
    packed = squeeze.compress(piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    content += packed * (size // len(piece))
    return content + squeeze.flush()


def another_syntax(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    """Whole, but not in the transfer syntax that was agreed."""
    return seed.content, dice.choice((EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED))


def noise(dice: random.Random, seed: Seed) -> tuple[bytes, str]:
    return dice.randbytes(dice.randrange(2048)), seed.transfer_syntax


KINDS: tuple[Callable[[random.Random, Seed], tuple[bytes, str]], ...] = (
    flipped_bits,
    lying_length,
    cut,
    odd_representation,
    spliced,
    deep_sequences,
    flipped_bits,
    lying_length,
    many_items,
    odd_text,
    odd_representation,
    another_syntax,
    bomb,
    noise,
)


def _header(tag: int, length: int, *, explicit: bool, vr: bytes = b"SQ") -> bytes:
    """An element's header, little endian."""
    group, element = tag >> 16, tag & 0xFFFF
    if not explicit:
        return struct.pack("<HHL", group, element, length)
    if vr in (b"SQ", b"OB"):
        return struct.pack("<HH2sHL", group, element, vr, 0, length)
    return struct.pack("<HH2sH", group, element, vr, length)


def _inserted(seed: Seed, elements: bytes, tag: int) -> tuple[bytes, str]:
    """The seed with more elements, where `tag` belongs as far as that can be told."""
    if seed.transfer_syntax in (BIG_ENDIAN, DEFLATED):
        return seed.content + elements, seed.transfer_syntax
    for at, size in _lengths(seed):
        start = at - (4 if seed.transfer_syntax == IMPLICIT else 6 if size == 2 else 8)
        group, element = struct.unpack_from("<HH", seed.content, start)
        if (group << 16 | element) >= tag:
            return seed.content[:start] + elements + seed.content[start:], seed.transfer_syntax
    return seed.content + elements, seed.transfer_syntax


def _lengths(seed: Seed) -> list[tuple[int, int]]:
    """(offset, size) of the length field of each top-level element up to the first of undefined length."""
    found, at, content = [], 0, seed.content
    while at + 12 <= len(content):
        if seed.transfer_syntax == IMPLICIT:
            place, size = at + 4, 4
        elif content[at + 4 : at + 6] in (b"SQ", b"UN", b"OB", b"OW", b"OF", b"UT"):
            place, size = at + 8, 4
        else:
            place, size = at + 6, 2
        length = struct.unpack_from(seed.order + ("L" if size == 4 else "H"), content, place)[0]
        found.append((place, size))
        if length == UNDEFINED:
            break
        at = place + size + length
    return found
