"""Whole instructions and short programs: traps, strings, prefixes, random bytes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import machine
from draw import GENERAL_FLAGS, NUMBERS, add, general, imm16, program, start
from images import Image

PREFIXES = (0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
STRINGS = (0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF)


def traps(r: Random) -> Image:
    """Single steps over instructions of all kinds, set from the start or by POPF and IRET."""
    mode = r.choice(("real", "protected", "long"))
    image = machine.MODES[mode]()
    body = r.choice(
        (
            *(
                b"\x90\x90",
                b"\x8e\xd0\x90\x90",
                b"\xcd\x30",
                b"\xcc",
                b"\x0f\x0b",
                b"\xf3\xa4",
                b"\x9c\x90",
            ),
            *(b"\xfb\x90\x90", b"\xf1", b"\x74\x00\x90", b"\xeb\x00\x90", b"\x9d\x90", b"\x0f\xa2"),
            *(
                b"\x17\x90\x90",
                b"\x0f\x21\xf0",
                b"\x0f\x23\xf0\x90",
                b"\x0f\x23\xf8\x90",
                b"\x0f\x21\xf8",
                b"\xce",
            ),
        )
    )
    if mode == "long" and body[:1] in {b"\x17", b"\xce"}:
        body = b"\x90\x90"
    # Set by an instruction: the oracle does not look at a trap flag that it is started with.
    body = b"\x9d" + body
    flags = 2 | r.getrandbits(12) & GENERAL_FLAGS & ~0x100
    stack = image.registers.gpr[4]
    image = add(
        image,
        (stack, imm16(r.choice((0x102, 0x102, 0x302, 2))) + bytes(14)),
        rcx=r.randrange(4),
        rsi=machine.DATA,
        rdi=machine.DATA + 64,
    )
    segment = 0x10 if mode != "real" else 0
    value = r.choice((segment, r.getrandbits(32) if body[:2] == b"\x0f\x23" else segment))
    return program(
        image,
        body,
        6,
        rflags=flags,
        rax=value,
        dr=(*(r.getrandbits(32) for _ in range(4)), 0xFFFF0FF0, 0x400),
    )


def strings(r: Random) -> Image:
    """String instructions with repetitions over segment limits and ends of the address space."""
    mode = r.choice(("real", "protected", "protected", "long"))
    image = machine.MODES[mode]()
    op = bytes([r.choice(STRINGS)])
    prefixes = b"".join(
        p for p in (b"\x66", b"\x67", r.choice((b"\xf2", b"\xf3"))) if r.random() < 0.6
    )
    if r.random() < 0.3:
        prefixes += bytes([r.choice((0x2E, 0x36, 0x64, 0x65, 0x26))])
    if mode == "long" and r.random() < 0.3:
        prefixes += b"\x48"
    ends = (machine.DATA, machine.DATA + 1, 0xFFFC, 0xFFFF, 0xFFFE, machine.DATA + 0xFFF, 0xBFFC)
    flags = 2 | r.choice((0, 0x400)) | r.choice((0, 0x40))
    if mode == "protected" and r.random() < 0.6:
        segments = list(image.registers.seg)
        for index in (0, 3):
            segments[index] = (
                0x10,
                0,
                r.choice((0xFFFF, 0xFFFD, machine.DATA + 0x1000, 0xFFFFFFFF)),
                0x4093,
            )
        image = add(image, seg=tuple(segments))
    data = bytes(r.choice((0, 0, 0, 1)) for _ in range(64))
    image = add(
        image,
        (machine.DATA, data),
        (machine.DATA + 0x1000 - 32, data),
        rsi=r.choice(ends) | r.choice((0, 0, r.getrandbits(16) << 16)),
        rdi=r.choice(ends),
        rcx=r.choice((0, 1, 2, 5, 17, 0x10000, 0x10003)),
        rax=r.choice((0, 1, 0x01000000, r.getrandbits(32))),
    )
    return program(image, prefixes + op, 2, rflags=flags)


def code_bytes(r: Random) -> Image:
    """Random bytes behind random prefixes, in every mode."""
    mode = r.choice(("real", "protected", "protected", "long", "long", "v86"))
    image = machine.MODES[mode]()
    if mode in {"protected", "long"} and r.random() < 0.3:
        image = machine.protected(3) if mode == "protected" else machine.long(3)
    stack = image.registers.gpr[4]
    values = tuple(
        r.choice((machine.DATA + r.randrange(256), r.choice(NUMBERS), r.getrandbits(16)))
        for _ in range(16)
    )
    image = add(image, gpr=values, cr4=image.registers.cr[3] | 0x600)
    image = add(
        image,
        (machine.DATA, r.randbytes(512)),
        rsp=stack,
        rflags=image.registers.rflags | r.getrandbits(12) & GENERAL_FLAGS & ~0x100,
    )
    prefixes = bytes(r.choice(PREFIXES) for _ in range(r.choice((0, 0, 1, 1, 2, 3))))
    if mode == "long" and r.random() < 0.4:
        prefixes += bytes([0x40 | r.getrandbits(4)])
    opcode = r.choice((bytes([r.getrandbits(8)]), bytes([0x0F, r.getrandbits(8)])))
    return program(image, prefixes + opcode + r.randbytes(12), 2)


def long_prefixes(r: Random) -> Image:
    """Instructions of 13 to 17 bytes: the limit is 15."""
    mode = r.choice(("real", "protected", "long"))
    image = machine.MODES[mode]()
    body = r.choice(
        (
            b"\x90",
            b"\x40",
            b"\x01\xc3",
            b"\xb8\x01\x02\x03\x04",
            b"\x0f\xaf\xc3",
            b"\xa4",
            b"\x8b\x05\x00\xc0\x00\x00",
        )
    )
    if mode == "long" and body == b"\x40":
        body = b"\x90"
    count = r.randrange(11, 18) - len(body)
    prefix = bytes(
        r.choice((0x66, 0x67, 0x26, 0x2E, 0x3E, 0x64, 0xF3)) for _ in range(max(count, 0))
    )
    return program(add(image, rcx=2, rsi=machine.DATA, rdi=machine.DATA), prefix + body, 2)


def arithmetic(r: Random) -> Image:
    """Random arithmetic with 16-bit addressing and operands in real mode and in 16-bit segments."""
    image = machine.real() if r.random() < 0.5 else start(r, 0)
    stack = image.registers.gpr[4]
    image = add(image, gpr=general(r))
    image = add(
        image,
        (machine.DATA, r.randbytes(256)),
        rsp=stack,
        rbx=machine.DATA,
        rsi=r.randrange(64),
        rdi=r.randrange(64),
        rbp=machine.DATA,
    )
    code = b""
    for _ in range(4):
        op = r.choice((0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38)) | r.randrange(4)
        modrm = r.choice((0x00, 0x01, 0x02, 0x03, 0x07, 0xC3, 0xD8, 0xFF)) | r.randrange(8) << 3
        code += r.choice((b"", b"\x66", b"\x67")) + bytes([op, modrm & 0xFF])
    code += r.choice(
        (
            b"\x27",
            b"\x2f",
            b"\x37",
            b"\x3f",
            b"\xd4\x0a",
            b"\xd5\x0a",
            b"\x98",
            b"\x99",
            b"\x9e",
            b"\x9f",
        )
    )
    return program(image, code, 6, rflags=2 | r.getrandbits(12) & GENERAL_FLAGS & ~0x100)


def branches(r: Random) -> Image:
    """Branches with 16-bit operands and loops with each address size, in each mode."""
    mode = r.choice(("real", "protected", "long", "v86"))
    image = machine.MODES[mode]()
    op = r.choice(
        (
            b"\xe2\x05",
            b"\xe1\x05",
            b"\xe0\x05",
            b"\xe3\x05",
            b"\xeb\x80",
            b"\x74\x20",
            b"\x75\x20",
            b"\xe8\x10\x00\x00\x00",
            b"\xe9\x10\x00\x00\x00",
            b"\xc3",
            b"\xc2\x08\x00",
            b"\xff\xe0",
            b"\xff\xd0",
            b"\x0f\x84\x00\x01\x00\x00",
        )
    )
    prefixes = b"".join(p for p in (b"\x66", b"\x67", b"\xf2") if r.random() < 0.4)
    count = r.choice((0, 1, 2, 0x10000, 0x10001, 0x100000000 if mode == "long" else 0xFFFF0000))
    image = add(image, rcx=count, rax=r.choice((0x8100, 0x7D00, r.getrandbits(32))))
    stack = image.registers.gpr[4]
    image = add(image, (stack, r.choice((0x8100, r.getrandbits(32))).to_bytes(8, "little")))
    if mode == "long" and prefixes.startswith(b"\x66"):
        prefixes = prefixes[1:]  # 66 before near branches: Intel ignores it, AMD does not
    return replace(program(image, prefixes + op, 2), steps=1)


TOPICS = {
    "single steps": traps,
    "string instructions": strings,
    "random bytes": code_bytes,
    "instruction length": long_prefixes,
    "16-bit arithmetic": arithmetic,
    "near branches": branches,
}
