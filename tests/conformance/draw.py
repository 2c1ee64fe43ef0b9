"""What the topics draw from: descriptors, selectors, registers, starts in each ring and mode."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import machine
from images import Image, Registers, Segment

#: Where a test may put descriptors of its own: the entries of the GDT behind the named ones.
FREE = machine.FREE_SELECTOR
GDT_LIMIT = FREE + 8 * 6 - 1
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
GENERAL_FLAGS = 0xCD5

#: Encodings of MOV Sreg, r16 and of memory operands through a segment.
SEGMENT_PREFIX = {"es": 0x26, "cs": 0x2E, "ss": 0x36, "ds": 0x3E, "fs": 0x64, "gs": 0x65}


def add(image: Image, *memory: tuple[int, bytes], **changes: object) -> Image:
    """Return the image with memory added and registers changed."""
    return replace(image, memory=image.memory + memory, registers=image.registers.but(**changes))


def descriptor(r: Random) -> bytes:
    """Return a segment descriptor of any kind, more often a sound one."""
    base = r.choice((0, 0, machine.DATA, machine.DATA + 0x10, r.getrandbits(32)))
    limit = r.choice((0xFFFFF, 0xFFFF, 0xFFF, 0x3F, 0, 1, 2, 3, 7, r.getrandbits(20)))
    access = r.getrandbits(4) | 0x10 | r.randrange(4) << 5 | 0x80
    if r.random() < 0.1:
        access &= ~0x80
    if r.random() < 0.15:
        access &= ~0x10
    return machine.descriptor(base, limit, access, r.choice((0, 4, 8, 0xC, r.getrandbits(4))))


def selector(r: Random) -> int:
    """Return a selector: null, of a named entry, of a free one, in the LDT, or past the end."""
    index = r.choice(
        (
            *(FREE, FREE, FREE, FREE + 8, FREE + 16),
            r.choice(list(machine.SELECTORS.values())),
            r.randrange(9) * 8 | 4,
            *(0, GDT_LIMIT & ~7, GDT_LIMIT + 1, r.getrandbits(16)),
        )
    )
    return index & ~3 | r.choice((0, 0, 3, r.randrange(4)))


def free_entries(r: Random) -> tuple[int, bytes]:
    """Return random descriptors for the free entries."""
    return (machine.GDT + FREE, b"".join(descriptor(r) for _ in range(6)))


def general(r: Random) -> tuple[int, ...]:
    """Return general registers of 32 bits."""
    return tuple(r.choice((r.choice(NUMBERS), r.getrandbits(32))) for _ in range(16))


def start(r: Random, ring: int | None = None) -> Image:
    """Return flat 32-bit protected mode in a random ring, with 16-bit code now and then."""
    if ring is None:
        ring = r.choice((0, 0, 3, 3, 1, 2))
    image = machine.protected(3 if ring else 0)
    if ring in {1, 2}:
        image = replace(image, registers=in_ring(image.registers, ring))
    if r.random() < 0.25:
        s = list(image.registers.seg)
        s[1] = (s[1][0], s[1][1], 0xFFFF, s[1][3] & 0x0FFF)
        image = replace(image, registers=image.registers.but(seg=tuple(s)))
    registers = image.registers.but(gdtr=(machine.GDT, GDT_LIMIT))
    stack = registers.gpr[4]
    registers = registers.but(gpr=general(r)).but(rsp=stack)
    return replace(image, registers=registers)


def in_ring(registers: Registers, ring: int) -> Registers:
    """Return flat registers of ring 3 moved to ring 1 or 2; their selectors name no such entry."""

    def move(s: Segment) -> Segment:
        return (s[0] & ~3 | ring, s[1], s[2], s[3] & ~0x60 | ring << 5)

    return registers.but(seg=tuple(move(s) for s in registers.seg))


def operand16(image: Image) -> bytes:
    """Return the prefix that makes operands 32 bits wide in 16-bit code, nothing in 32-bit code."""
    return b"" if image.registers.seg[1][3] & 0x4000 else b"\x66"


def wide(image: Image) -> bytes:
    """Return the prefixes for a 32-bit operand and address."""
    return b"" if image.registers.seg[1][3] & 0x4000 else b"\x66\x67"


def imm32(value: int) -> bytes:
    """Return four bytes."""
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def imm16(value: int) -> bytes:
    """Return two bytes."""
    return (value & 0xFFFF).to_bytes(2, "little")


def program(
    image: Image, code: bytes, steps: int = 6, *, flags: bool = False, **changes: object
) -> Image:
    """Return the image with code at its entry, closed by HLT, with PUSHF before it if asked for."""
    at = image.registers.seg[1][1] + image.registers.rip
    end = b"\x9c\xf4\xf4" if flags else b"\x90\xf4\xf4"
    return replace(add(image, (at, code + end), **changes), steps=steps)
