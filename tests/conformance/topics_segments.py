"""Segments: loading each register with any descriptor, and accesses around limits."""

from __future__ import annotations

from random import Random

import machine
from draw import (
    FREE,
    SEGMENT_PREFIX,
    add,
    free_entries,
    imm16,
    imm32,
    program,
    selector,
    start,
    wide,
)
from images import Image

MOV_NUMBER = {"es": 0, "ss": 2, "ds": 3, "fs": 4, "gs": 5}
POP = {"es": b"\x07", "ss": b"\x17", "ds": b"\x1f", "fs": b"\x0f\xa1", "gs": b"\x0f\xa9"}
FAR_LOAD = {"es": b"\xc4", "ds": b"\xc5", "ss": b"\x0f\xb2", "fs": b"\x0f\xb4", "gs": b"\x0f\xb5"}


def load(r: Random) -> Image:
    """Load a segment register by MOV, POP or LxS, then read, write and fetch through it."""
    image = add(start(r), free_entries(r))
    name = r.choice(list(MOV_NUMBER))
    value = selector(r)
    how = r.randrange(3)
    size = wide(image)
    if how == 0:
        code = b"\x8e" + bytes([0xC0 | MOV_NUMBER[name] << 3])  # mov Sreg, ax
        image = add(image, rax=value | r.getrandbits(16) << 16)
    elif how == 1:
        code = r.choice((b"", b"\x66")) + POP[name]
        image = add(image, (image.registers.gpr[4], imm32(value)))
    else:
        code = size + FAR_LOAD[name] + b"\x05" + imm32(machine.DATA)  # lxs eax, [DATA]
        image = add(image, (machine.DATA, imm32(0x1234) + imm16(value)))
    offset = r.choice((0, 1, 0xFFE, 0xFFF, 0x1000, 0xFFFF, 0x10000, 0x3E, 0x40, r.getrandbits(32)))
    opcode = r.choice((b"\x8b", b"\x8a", b"\x89", b"\x88", b"\x66\x8b", b"\x01", b"\xff"))
    access = bytes([SEGMENT_PREFIX[name]]) + opcode + b"\x03"  # ... [ebx]
    prefix = b"\x67" if size else b""
    image = add(image, rbx=offset)
    return program(image, code + prefix + access, 5)


def limits(r: Random) -> Image:
    """Access memory of 1 to 16 bytes at the limit of a segment that is loaded already."""
    image = start(r, r.choice((0, 3)))
    name = r.choice(("ds", "es", "fs", "gs", "ss"))
    index = ("es", "cs", "ss", "ds", "fs", "gs").index(name)
    dpl = image.registers.seg[2][3] & 0x60
    kind = r.choice((0x13, 0x17, 0x11, 0x15)) if name != "ss" else r.choice((0x13, 0x17))
    big = r.choice((0, 0x4000))
    limit = r.choice((0xFFF, 0x1000, 0xFFFE, 0xFFFF, 0, 3, r.randrange(1 << 16)))
    segments = list(image.registers.seg)
    base = r.choice((0, machine.DATA))
    segments[index] = (segments[index][0], base, limit, kind | dpl | 0x80 | big)
    offset = (limit + r.randrange(-20, 6)) & 0xFFFFFFFF
    forms = (
        *(b"\x8a\x03", b"\x8b\x03", b"\x66\x8b\x03", b"\x89\x03", b"\x0f\xc7\x0b"),
        *(b"\xdb\x2b", b"\xdb\x3b", b"\x0f\x10\x03", b"\x0f\xae\x03", b"\xd9\x33", b"\x62\x03"),
        *(b"\xff\x33", b"\x8f\x03", b"\x0f\x01\x03", b"\x0f\x01\x13", b"\xff\x2b", b"\xc4\x03"),
        *(b"\x0f\xb1\x0b", b"\x01\x03", b"\x0f\xa3\x03", b"\xf6\x33", b"\x66\xff\x33"),
    )
    prefix = b"" if image.registers.seg[1][3] & 0x4000 else b"\x67"
    code = prefix + bytes([SEGMENT_PREFIX[name]]) + r.choice(forms)
    image = add(image, seg=tuple(segments), rbx=offset, cr4=r.choice((0, 0x600)))
    return program(image, code, 3)


def looks(r: Random) -> Image:
    """LAR, LSL, VERR, VERW and ARPL of any selector."""
    image = add(start(r), free_entries(r))
    code = r.choice(
        (b"\x0f\x02\xd8", b"\x0f\x03\xd8", b"\x0f\x00\xe0", b"\x0f\x00\xe8", b"\x63\xd8")
    )
    code = r.choice((b"", b"\x66")) + code
    return program(image, code, 3, flags=True, rax=selector(r), rbx=selector(r))


def system_registers(r: Random) -> Image:
    """LLDT, LTR, SLDT, STR, LGDT, LIDT, SGDT, SIDT, SMSW, LMSW, CLTS in any ring."""
    image = add(start(r), free_entries(r))
    kinds = (0x82, 0x89, 0x81, 0x8B, 0xE2, 0x02, 0x09)
    entry = machine.descriptor(
        r.choice((machine.LDT, machine.TSS2, r.getrandbits(32))),
        r.choice((0x67, 0x2B, 0, 0x3F, 0xFFFFF)),
        r.choice(kinds),
        r.choice((0, 0, 8)),
    )
    image = add(image, (machine.GDT + FREE, entry))
    value = selector(r)
    register = r.choice(
        (
            *(b"\x0f\x00\xd0", b"\x0f\x00\xd8", b"\x0f\x00\xc0", b"\x0f\x00\xc8"),
            *(b"\x0f\x01\xe0", b"\x0f\x01\xf0", b"\x0f\x06"),
        )
    )
    memory = r.choice((b"\x0f\x01\x00", b"\x0f\x01\x08", b"\x0f\x01\x10", b"\x0f\x01\x18"))
    address = b"" if image.registers.seg[1][3] & 0x4000 else b"\x67"
    size = r.choice((b"", b"\x66"))
    if r.random() < 0.5:
        code, value = size + register, value | r.getrandbits(16) << 16
        if register == b"\x0f\x01\xf0":
            value = r.getrandbits(16)
    else:
        code, value = address + size + memory, machine.DATA
        image = add(image, (machine.DATA, r.randbytes(10)))
    return program(image, code, 3, rax=value, cr0=image.registers.cr[0] | r.choice((0, 8)))


def stacks(r: Random) -> Image:
    """PUSH, POP, PUSHA, POPA, ENTER, LEAVE, CALL and RET on 16- and 32-bit stacks at their ends."""
    image = start(r, r.choice((0, 3)))
    segments = list(image.registers.seg)
    dpl = segments[2][3] & 0x60
    big = r.choice((0, 0x4000))
    limit = r.choice((0xFFFF, 0xFFFF, 0xFFF, 0x20, 0xFFFFFFFF))
    segments[2] = (segments[2][0], r.choice((0, machine.DATA)), limit, 0x93 | dpl | big)
    stack = r.choice((0, 1, 2, 3, 4, 8, 0xFFFE, 0xFFFF, 0x1000, 0xFFC, 0x18, 0xAF00))
    forms = (
        *(b"\x50", b"\x58", b"\x60", b"\x61", b"\x9c", b"\x9d", b"\x54", b"\x5c", b"\x16", b"\x06"),
        *(b"\xc8\x08\x00\x00", b"\xc8\x04\x00\x03", b"\xc8\x10\x00\x1f", b"\xc8\x00\x00\x01"),
        *(b"\xc9", b"\xe8\x00\x00\x00\x00", b"\xc3", b"\xc2\x04\x00", b"\x6a\x80", b"\x68\x01\x02"),
        *(b"\x8f\x04\x24", b"\xff\x34\x24", b"\x8f\x44\x24\x04", b"\xff\x74\x24\xfc"),
    )
    code = r.choice((b"", b"\x66")) + r.choice(forms)
    high = r.choice((0, r.getrandbits(16) << 16))
    return program(
        image,
        code,
        2,
        seg=tuple(segments),
        rsp=stack | (high if not big else 0),
        rbp=r.choice((stack, stack + 4, 0xFFFF, 0, 2, r.getrandbits(16))),
    )


TOPICS = {
    "segment loads": load,
    "segment limits": limits,
    "segment checks": looks,
    "system registers": system_registers,
    "stacks": stacks,
}
