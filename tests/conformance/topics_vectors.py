"""Single instructions of 16-bit code in the manner of captured vectors: everything at random.

Collections captured from real processors set all registers and segments at random, with values at
the ends of their ranges more often than not, and run one instruction of each opcode with random
prefixes, ModRM bytes and immediates. So do these images, in real, virtual-8086 and protected mode;
what they meet are the wraps, limits and rights of segments.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import machine
from draw import GENERAL_FLAGS, add
from images import Image, Segment

#: Opcodes that the oracle can not run (ports), that end the step (HLT) or that are prefixes.
LEFT_OUT = frozenset(
    (
        *(0x0F, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3, 0xF4),
        *(0x6C, 0x6D, 0x6E, 0x6F, 0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF),
    )
)
ONE_BYTE = tuple(op for op in range(256) if op not in LEFT_OUT)
TWO_BYTES = (
    *(0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x0B, 0xFF, 0xB9),
    *range(0x40, 0x50),
    *range(0x80, 0xA2),
    *range(0xA3, 0xA6),
    *(0xA8, 0xA9, 0xAB, 0xAC, 0xAD, 0xAF),
    *range(0xB0, 0xC2),
    *range(0xC7, 0xD0),
)
#: Places of CS and SS among the segment registers.
CODE, STACK = 1, 2
STRINGS = frozenset((0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF))
SHORT_BRANCHES = frozenset((*range(0x70, 0x80), 0xE0, 0xE1, 0xE2, 0xE3, 0xEB))
OVERRIDES = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
EDGES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFE, 0x7FFF, 0x8000, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF)
WIDE_EDGES = (*EDGES, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFF0000, 0xFFFFFFFE, 0xFFFFFFFF)


def _extreme(r: Random, bits: int) -> int:
    """Return a number that lies near the ends of its range more often than in its middle."""
    if r.random() < 0.3:
        return r.choice(WIDE_EDGES) & ((1 << bits) - 1)
    return min(int(r.betavariate(0.65, 0.65) * (1 << bits)), (1 << bits) - 1)


def _register(r: Random) -> int:
    value = _extreme(r, 32) if r.random() < 0.4 else _extreme(r, 16)
    return value if r.random() < 0.3 else value & 0xFFFF


def _segment(r: Random, attributes: int) -> Segment:
    # Behind the tables and handlers, and so that all of it lies in the image.
    selector = r.randrange(0x900, 0x9000)
    return (selector, selector << 4, 0xFFFF, attributes)


def _code(r: Random) -> bytes:
    two = r.random() < 0.3
    opcode = bytes([0x0F, r.choice(TWO_BYTES)]) if two else bytes([r.choice(ONE_BYTE)])
    prefixes = [p for p in (0x66, 0x67) if r.random() < 0.3]
    if r.random() < 0.2:
        prefixes += [r.choice(OVERRIDES) for _ in range(r.randrange(1, 4))]
    if r.random() < 0.05:
        prefixes.append(0xF0)
    if opcode[0] in STRINGS and r.random() < 0.6:
        prefixes.append(r.choice((0xF2, 0xF3)))
    r.shuffle(prefixes)
    modrm = r.getrandbits(8)
    if opcode[0] in SHORT_BRANCHES:
        modrm &= 0x7F  # a branch to itself would look like a repetition
    if opcode == b"\x0f\xc7":
        modrm = modrm % 0xC0  # RDRAND and RDSEED are random on both sides
    rest = bytes(r.choice((0, 0xFF, r.getrandbits(8), r.getrandbits(8))) for _ in range(10))
    return bytes(prefixes) + opcode + bytes([modrm]) + rest


def _vector(r: Random, image: Image, segments: tuple[Segment, ...]) -> Image:
    values = [_register(r) for _ in range(8)] + [0] * 8
    values[1] &= 0x7F if r.random() < 0.7 else 0xFFFFFFFF
    stack = _extreme(r, 16)
    values[4] = max(stack if r.random() < 0.2 else stack & ~1, 6) | values[4] & 0xFFFF0000
    if r.random() < 0.7:
        values[4] &= 0xFFFF
    if r.random() < 0.7:
        values[1] &= 0xFFFF
    at = min(_extreme(r, 16), segments[CODE][2] - 0x1F)
    memory = []
    for segment in segments:
        offsets = {0, 0xFFC0, *(v & 0xFFFF for v in values[:8])}
        for offset in sorted(offsets):
            start = max(segment[1] + offset - 32, segment[1])
            memory.append((start, r.randbytes(64)))
    changes = {
        "gpr": tuple(values),
        "seg": segments,
        "rip": at,
        "rflags": image.registers.rflags | r.getrandbits(12) & GENERAL_FLAGS & ~0x100,
    }
    image = add(image, *memory, **changes)
    return replace(add(image, (segments[CODE][1] + at, _code(r) + b"\xf4" * 4)), steps=1)


def real_vectors(r: Random) -> Image:
    """One instruction in real mode."""
    return _vector(r, machine.real(), tuple(_segment(r, 0x93) for _ in range(6)))


def virtual_vectors(r: Random) -> Image:
    """One instruction in virtual-8086 mode."""
    segments = tuple(_segment(r, 0xF3) for _ in range(6))
    return _vector(r, machine.virtual_8086(r.choice((0, 3, 3))), segments)


#: Data of all kinds (twice as often that which can be written), code that can be read or not.
KINDS = (0x93, 0x93, 0x93, 0x91, 0x97, 0x95, 0x9B, 0x99)


def _protected_segment(r: Random, number: int, ring: int) -> Segment:
    """Return what a segment register may hold, whatever its selector says."""
    base = r.randrange(0x12000, 0x80000)
    name, limits = "data", (0xFFFF, 0xFFFF, 0xFFF, 0x7FFF, 0xFFFE, 0x1FFFF, 0x10, 0)
    kind = r.choice(KINDS)
    if number == CODE:
        name, kind, limits = "code32", 0x9B, (0xFFFF, 0xFFFF, 0xFFF, 0x7FFF, 0x1FFFF)
    elif number == STACK:
        kind = r.choice((0x93, 0x93, 0x97))
        limits = (0, 0x10, 0xFFF) if kind == 0x97 else (0xFFFF, 0xFFFF, 0xFFFE)
    selector = machine.SELECTORS[name if ring == 0 else f"{name}_user"] | ring
    return (selector, base, r.choice(limits), kind | r.choice((0, 0x4000)) | ring << 5)


def protected_vectors(r: Random) -> Image:
    """One instruction in protected mode, with segments of all kinds and limits."""
    ring = r.choice((0, 0, 3))
    segments = tuple(_protected_segment(r, n, ring) for n in range(6))
    return _vector(r, machine.protected(ring), segments)


TOPICS = {
    "vectors of real mode": real_vectors,
    "vectors of virtual-8086 mode": virtual_vectors,
    "vectors of protected mode": protected_vectors,
}
