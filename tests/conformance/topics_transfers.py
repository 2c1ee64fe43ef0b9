"""Control transfers: far branches, gates, events, returns, tasks, system calls."""

from __future__ import annotations

from random import Random

import machine
from draw import (
    FREE,
    add,
    descriptor,
    free_entries,
    imm16,
    imm32,
    program,
    selector,
    start,
)
from images import REAL_DATA, Image

EVENTS = (
    *(b"\xcc", b"\xcd\x30", b"\xcd\x30", b"\x0f\x0b", b"\xce", b"\xf1", b"\x6a\x01\xf7\x34\x24"),
    *(b"\xcd\x08", b"\xcd\x0d", b"\xf0\x90", b"\xcd\x03", b"\x8e\xc8"),
)


def _gate(r: Random, long_mode: bool = False) -> bytes:
    kinds = (0x4, 0x5, 0x6, 0x7, 0xC, 0xE, 0xF, 0xC, 0xE, r.randrange(16))
    access = r.choice(kinds) | r.choice((0xE0, 0xE0, 0x80, 0xA0, 0x60, 0xF0))
    target = r.choice((8, 8, machine.SELECTORS["code64"], selector(r)))
    offset = r.choice((machine.ENTRY + 0x100, machine.ENTRY + 0x100, r.getrandbits(32)))
    count = r.choice((0, 0, 1, 2, 5, 31))
    if long_mode:
        high = r.choice((0, 0, 0, 0x8000, r.getrandbits(32)))
        # The type in the last word is checked in call gates; in the IDT nothing says that it is.
        last = r.choice((0, 0, 0, r.getrandbits(32))) if access & 0x1F == 0xC else 0
        return (
            machine.gate(target, offset, access, r.choice((0, 0, 1, 7))) + imm32(high) + imm32(last)
        )
    return machine.gate(target, offset, access, count)


def far(r: Random) -> Image:
    """Far JMP and CALL, direct and through memory, to segments, gates and tasks."""
    image = add(start(r), free_entries(r))
    image = add(image, (machine.GDT + FREE, r.choice((descriptor(r), _gate(r), _code(r)))))
    target = r.choice((FREE, FREE | 3, selector(r)))
    offset = r.choice((machine.ENTRY + 0x100, r.getrandbits(16), r.getrandbits(32)))
    bits32 = bool(image.registers.seg[1][3] & 0x4000)
    wide = r.random() < 0.7
    prefix = b"" if wide == bits32 else b"\x66"
    where = imm32(offset) if wide else imm16(offset)
    how = r.randrange(4)
    if how < 2:
        code = prefix + (b"\xea", b"\x9a")[how] + where + imm16(target)
    else:
        address = b"" if bits32 else b"\x67"
        code = address + prefix + b"\xff" + bytes([(0x2D, 0x1D)[how - 2]]) + imm32(machine.DATA)
        image = add(image, (machine.DATA, where + imm16(target)))
    return program(_stack_tables(image, r), code, 3)


def _code(r: Random) -> bytes:
    access = r.choice((0x9A, 0x9E, 0xFA, 0xFE, 0xBA, 0x98))
    return machine.descriptor(0, r.choice((0xFFFFF, 0xFFFF)), access, r.choice((0xC, 4, 0, 8)))


def _stack_tables(image: Image, r: Random) -> Image:
    """Give the TSS stacks of all rings, sound ones mostly."""
    words = []
    for ring in range(3):
        good = r.random() < 0.85
        words.append(machine.STACK0 - 0x100 * (ring + 1) if good else r.getrandbits(32))
        words.append((FREE + 8 * 3 if ring else 0x10) | ring if good else selector(r))
    data = [machine.descriptor(0, 0xFFFFF, 0x92 | ring << 5, 0xC) for ring in (1, 2)]
    return add(
        image,
        (machine.TSS + 4, b"".join(imm32(w) for w in words)),
        (machine.GDT + FREE + 8 * 3, r.choice(data)),
    )


def returns(r: Random) -> Image:
    """Far RET and IRET from any frame, to the same and to outer rings, with flags of all kinds."""
    image = add(start(r), free_entries(r), (machine.GDT + FREE, _code(r)))
    bits32 = bool(image.registers.seg[1][3] & 0x4000)
    wide = r.random() < 0.75
    prefix = b"" if wide == bits32 else b"\x66"
    code = prefix + r.choice((b"\xcb", b"\xca\x08\x00", b"\xcf", b"\xcf", b"\xcf"))
    user = r.random() < 0.5
    cs = r.choice((0x1B, 0x1B, FREE | 3, FREE, selector(r)) if user else (8, 8, FREE, selector(r)))
    ss = r.choice((0x23, 0x23, 0x10, selector(r)))
    flags = 2 | r.getrandbits(22) & ~(1 << 17 | 1 << 8)
    if r.random() < 0.1:
        flags |= 1 << 17
    words = [r.choice((machine.ENTRY + 0x100, r.getrandbits(32))), cs]
    if code[-1:] == b"\xcf":
        words.append(flags)
    elif code[-3:-2] == b"\xca":
        pass
    tail = [machine.STACK3, ss, *(r.getrandbits(16) for _ in range(4))]
    if code[-3:-2] == b"\xca":
        tail = [1, 2, *tail] if wide else [1, 2, 3, 4, *tail]
    size = 4 if wide else 2
    mask = (1 << 8 * size) - 1
    frame = b"".join((w & mask).to_bytes(size, "little") for w in (*words, *tail))
    nested = 1 << 14 if r.random() < 0.1 else 0
    return program(
        add(
            image,
            (image.registers.gpr[4], frame),
            (machine.TSS, imm32(r.choice((0x48, 0x48, selector(r))))),
        ),
        code,
        3,
        rflags=2 | nested | r.choice((0, 0x3000)) | r.choice((0, 0x200)),
    )


def events(r: Random) -> Image:
    """INT, INT3, INTO, #UD, #DE, ICEBP and faults through any gate, in any ring."""
    image = _stack_tables(add(start(r), free_entries(r), (machine.GDT + FREE, _code(r))), r)
    gates = b"".join(_gate(r) for _ in range(20))
    image = add(image, (machine.IDT, gates), (machine.IDT + 8 * 0x30, _gate(r)))
    limit = r.choice((0x7FF, 0x7FF, 0x7FF, 0x187, 0x180, 0x6F, 0x37, 0))
    stack = image.registers.gpr[4]
    return program(
        image,
        r.choice(EVENTS),
        2,
        idtr=(machine.IDT, limit),
        rflags=2 | 0x800 | r.choice((0, 0x200)) | r.choice((0, 0x3000)),
        rsp=r.choice((stack, stack, stack, 4, 2, 1, 0)),
    )


def exceptions(r: Random) -> Image:
    """Faults through sound gates, for their error codes and for what the frame holds."""
    image = add(start(r), free_entries(r), (machine.GDT + FREE, descriptor(r)))
    code = r.choice(
        (
            *EVENTS,
            *(b"\x8e\xd8", b"\x8e\xd0", b"\x8e\xc0", b"\x0f\x22\xc0", b"\x0f\x30", b"\x0f\x32"),
            *(
                b"\xfa",
                b"\xfb",
                b"\xf4",
                b"\x0f\x09",
                b"\x0f\x08",
                b"\x0f\x20\xc0",
                b"\x0f\x21\xc0",
            ),
            *(b"\x0f\x06", b"\x0f\x33", b"\x0f\x01\x38"),
            *(
                b"\xd9\xc0",
                b"\x0f\x10\xc0",
                b"\x0f\x6f\xc0",
                b"\x9b",
                b"\xdf\xe0",
                b"\xea" + bytes(6),
            ),
        )
    )
    return program(
        image,
        code,
        3,
        rax=r.choice((selector(r), r.getrandbits(32))),
        rcx=r.choice((0x174, 0x2FF, 0xC0000080, 0x277, r.getrandbits(32))),
        cr0=image.registers.cr[0] | r.choice((0, 2, 4, 8, 10, 14)),
        cr4=r.choice((0, 4, 0x100, 0x600)),
        rflags=2 | r.choice((0, 0x1000, 0x3000)) | r.choice((0, 0x200)),
    )


def tasks(r: Random) -> Image:
    """JMP, CALL, INT and IRET to 16- and 32-bit tasks whose TSS and descriptor are of any kind."""
    image = add(start(r, r.choice((0, 0, 0, 3))), free_entries(r), (machine.GDT + FREE, _code(r)))
    wide = r.random() < 0.6
    at, entry = (machine.TSS2, 0x48) if wide else (machine.TSS16, machine.SELECTORS["tss16"])

    def segment(sound: int) -> int:
        return sound if r.random() < 0.9 else selector(r)

    code, data = r.choice(((8, 0x10), (0x1B, 0x23))) if wide else (0x28, 0x30)
    ldt = r.choice((0, 0, 0x40, 0x40, selector(r) if r.random() < 0.3 else 0))
    flags = 2 | r.getrandbits(16) & ~0x100 | (1 << 17 if wide and r.random() < 0.1 else 0)
    entry_point = machine.ENTRY + 0x100 if r.random() < 0.9 else r.getrandbits(32)
    if wide:
        words = [r.getrandbits(16), machine.STACK0 - 0x400, segment(0x10), 0, 0, 0, 0, 0]
        words += [entry_point, flags, *(r.getrandbits(32) for _ in range(4))]
        words += [machine.STACK0 - 0x800, *(r.getrandbits(32) for _ in range(3))]
        words += [segment(s) for s in (data, code, data, data, data, data)]
        words += [ldt, r.choice((0, 0, 0, 1)) | 0x68 << 16]
        tss = b"".join(imm32(w) for w in words)
    else:
        words = [r.getrandbits(16), machine.STACK0 - 0x400, segment(0x30), 0, 0, 0, 0]
        words += [entry_point, flags, *(r.getrandbits(16) for _ in range(4))]
        words += [machine.STACK0 - 0x800, *(r.getrandbits(16) for _ in range(3))]
        words += [segment(s) for s in (data, code, data, data)] + [ldt]
        tss = b"".join(imm16(w) for w in words)
    access = (0x89 if wide else 0x81) | r.choice((0, 0, 0, 0, 2)) | r.choice((0, 0x60))
    if r.random() < 0.05:
        access &= ~0x80
    limit = (0x67 if wide else 0x2B) - r.choice((0, 0, 0, 0, 1))
    image = add(image, (at, tss), (machine.GDT + entry, machine.descriptor(at, limit, access)))
    gate = machine.gate(entry, 0, r.choice((0xE5, 0xE5, 0x85, 0x65)))
    image = add(image, (machine.GDT + FREE + 8, gate), (machine.IDT + 8 * 0x30, gate))
    bits32 = image.registers.seg[1][3] & 0x4000
    pointer = (bytes(4) if bits32 else bytes(2)) + imm16(
        r.choice((entry, FREE + 8)) | r.choice((0, 0, 3))
    )
    nested = 0
    how = r.randrange(5)
    if how == 4:
        nested = 1 << 14
        back = machine.descriptor(at, limit, access ^ 2)
        image = add(image, (machine.TSS, imm32(entry)), (machine.GDT + entry, back))
    code_bytes = (b"\xea" + pointer, b"\x9a" + pointer, b"\xcd\x30", b"\xea" + pointer, b"\xcf")[
        how
    ]
    if r.random() < 0.2:  # a task whose own TSS is a 16-bit one
        image = add(image, tr=(0x78, machine.TSS, 0x2B, 0x83))
    if r.random() < 0.3:  # the new task returns by its own
        image = add(image, (machine.ENTRY + 0x100, b"\x90\xcf"))
    return program(image, code_bytes, 5, rflags=2 | nested | r.choice((0, 0x200, 0x3000)))


def system_calls(r: Random) -> Image:
    """SYSENTER, SYSEXIT, SYSCALL and SYSRET in each mode."""
    mode = r.choice(("protected", "protected", "long", "long"))
    ring = r.choice((0, 3))
    image = machine.long(ring) if mode == "long" else machine.protected(ring)
    image = add(image, rcx=machine.ENTRY + 0x40, rdx=machine.ENTRY + 0x40, r11=r.getrandbits(32))
    if r.random() < 0.1:
        image = add(image, rcx=r.getrandbits(64), rdx=r.getrandbits(64))
    star = r.choice((0x00100008, 0x00230008, r.getrandbits(32))) << 32 | machine.ENTRY + 0x20
    registers = (
        *(
            star,
            machine.ENTRY + 0x20,
            machine.ENTRY + 0x30,
            r.choice((0, 0x47700, r.getrandbits(32))),
        ),
        0,
        r.choice((8, 8, 8, 0, 3, 0x1B, r.getrandbits(16))),
        *(machine.STACK0 - 0x100, machine.ENTRY + 0x20),
    )
    code = r.choice((b"\x0f\x34", b"\x0f\x35", b"\x0f\x05", b"\x0f\x07"))
    if mode == "long" and r.random() < 0.5:
        code = b"\x48" + code
    efer = image.registers.efer if mode == "long" else 0
    efer = efer & ~1 | r.choice((0, 1, 1, 1))
    flags = 2 | r.getrandbits(16) & 0xCD5 | r.choice((0, 0x200))
    return program(image, code, 3, msr=registers, efer=efer, rflags=flags)


def long_far(r: Random) -> Image:
    """Far branches, returns and events in long mode, 64-bit and compatibility code."""
    ring = r.choice((0, 3))
    image = machine.long(ring)
    if r.random() < 0.3:
        image = add(image, cs=machine.segment("code32_user" if ring else "code32", ring))
    code_kinds = (0x9A, 0xFA, 0x9E, 0xFE)
    entry = machine.descriptor(0, 0xFFFFF, r.choice(code_kinds), r.choice((0xA, 0xC, 0xE, 2)))
    image = add(
        image,
        (machine.GDT + FREE, r.choice((entry, entry, _gate(r, long_mode=True), descriptor(r)))),
        (machine.LONG_IDT, b"".join(_gate(r, long_mode=True) for _ in range(20)))
        if r.random() < 0.4
        else (machine.DATA + 0x800, b""),
        (machine.LONG_IDT + 16 * 0x30, _gate(r, long_mode=True)),
        gdtr=(machine.GDT, r.choice((0xFF, FREE + 15, FREE + 7))),
    )
    target = r.choice((FREE, FREE | 3, selector(r)))
    how = r.randrange(6)
    size = r.choice((b"", b"\x48", b"\x66"))
    offset = r.choice((machine.ENTRY + 0x100, r.getrandbits(32), r.getrandbits(64)))
    if how in {0, 1}:
        pointer = {b"": offset & 0xFFFFFFFF, b"\x48": offset, b"\x66": offset & 0xFFFF}[size]
        length = {b"": 4, b"\x48": 8, b"\x66": 2}[size]
        data = pointer.to_bytes(length, "little") + imm16(target)
        image = add(image, (machine.DATA, data))
        code = size + b"\xff" + bytes([(0x2C, 0x1C)[how], 0x25]) + imm32(machine.DATA)
    elif how in {2, 3}:
        user = r.random() < 0.5
        cs = r.choice((machine.SELECTORS["code64_user"] | 3, 0x1B, selector(r)))
        if not user:
            cs = r.choice((machine.SELECTORS["code64"], 8, selector(r)))
        words = [offset, cs]
        if how == 3:
            words.append(2 | r.getrandbits(22) & ~(1 << 8 | 1 << 17))
        words += [
            r.choice((machine.STACK3, r.getrandbits(64))),
            r.choice((0x23, 0x10, 0, 3, selector(r))),
        ]
        length = {b"": 4, b"\x48": 8, b"\x66": 2}[size]
        mask = (1 << 8 * length) - 1
        frame = b"".join((w & mask).to_bytes(length, "little") for w in words)
        image = add(image, (image.registers.gpr[4], frame))
        code = size + (b"\xcb", b"\xcf")[how - 2]
    else:
        code = r.choice(
            (b"\xcc", b"\xcd\x30", b"\xcd\x30", b"\x0f\x0b", b"\xf1", b"\x06", b"\xcd\x08")
        )
    flags = 2 | r.choice((0, 0x200)) | (1 << 14 if r.random() < 0.1 else 0)
    return program(image, code, 3, rflags=flags)


def virtual_8086(r: Random) -> Image:
    """Virtual-8086 mode: events, stacks and flags with each IOPL, with and without VME."""
    image = machine.virtual_8086(r.randrange(4))
    base = r.randrange(0, 0x700) * 16
    data = (base >> 4, base, 0xFFFF, 0xF3)
    image = add(image, ds=data, es=data, rax=r.getrandbits(32), rbx=r.getrandbits(16))
    code = r.choice(
        (
            *(b"\xcd\x21", b"\xcc", b"\xce", b"\x9c", b"\x9d", b"\xfa", b"\xfb", b"\xcf", b"\xf4"),
            *(
                b"\x66\x9c",
                b"\x66\x9d",
                b"\x66\xcf",
                b"\x8e\xd8",
                b"\x8e\xc0\x26\x8b\x07",
                b"\x0f\x0b",
            ),
            *(b"\xea\x00\x7d\x00\x00", b"\x9a\x00\x7d\x00\x00", b"\xcb"),
            *(
                b"\x0f\x01\xe0",
                b"\x0f\x00\xc0",
                b"\x63\xc0",
                b"\x0f\x02\xc0",
            ),
            *(b"\x0f\x20\xc0", b"\x0f\x06", b"\x8b\x87\xff\xff", b"\x66\x8b\x07", b"\xc5\x07"),
            *(b"\x0f\xb2\x27", b"\x60", b"\x61", b"\x67\x8b\x03", b"\x67\x66\x8b\x03"),
        )
    )
    frame = imm16(0x7D00) + imm16(0) + imm16(r.getrandbits(16) & ~0x100) + r.randbytes(10)
    image = add(image, (0x7000, frame), (machine.TSS + 0x64, b"\x00\x00" + imm16(0x88)))
    redirection = r.choice((bytes(32), b"\xff" * 32, r.randbytes(32)))
    image = add(
        image, (machine.TSS + 0x68, redirection + r.choice((bytes(32), b"\xff" * 32)) + b"\xff")
    )
    extended = (machine.TSS, 0x68 + 64)
    gates = b"".join(
        machine.gate(8, machine.HANDLERS + 16 * n, r.choice((0xEE, 0xEF, 0x8E, 0xE6, 0xE7)))
        for n in range(64)
    )
    if r.random() < 0.4:
        image = add(image, (machine.IDT, gates))
    flags = image.registers.rflags | r.choice((0, 0x200)) | r.choice((0, 0, 1 << 19, 1 << 20))
    return program(
        image,
        code,
        4,
        rflags=flags | 0x800,
        tr=(0x38, *extended, 0x8B),
        cr4=r.choice((0, 0, 1)),
    )


def into_virtual_8086(r: Random) -> Image:
    """IRET from ring 0 into virtual-8086 mode, and back by an interrupt."""
    image = start(r, 0)
    flags = 2 | 1 << 17 | r.choice((0, 0x3000)) | r.choice((0, 0x200)) | r.getrandbits(12) & 0xCD5
    segments = [r.randrange(0x700) for _ in range(4)]
    words = [0x7C00, 0, flags, 0x7000, 0, *segments]
    image = add(
        image,
        (
            image.registers.gpr[4],
            b"".join(
                imm32(w | r.getrandbits(8) << 24) if i in {1, 4} else imm32(w)
                for i, w in enumerate(words)
            ),
        ),
    )
    bits32 = image.registers.seg[1][3] & 0x4000
    image = add(image, (0x7C00, r.choice((b"\xcd\x30", b"\x90\xcc", b"\xfa", b"\x8c\xd8\xf4"))))
    return program(
        image,
        b"\xcf" if bits32 else b"\x66\xcf",
        5,
        seg=(*image.registers.seg[:4], REAL_DATA, REAL_DATA),
    )


TOPICS = {
    "far branches": far,
    "far returns": returns,
    "event delivery": events,
    "exceptions": exceptions,
    "task switches": tasks,
    "system calls": system_calls,
    "long mode transfers": long_far,
    "virtual-8086 mode": virtual_8086,
    "entry to virtual-8086 mode": into_virtual_8086,
}
