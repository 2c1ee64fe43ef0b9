"""Machines to start tests from: tables, handlers and registers of each mode, all at fixed places.

0000  interrupt vectors of real mode          0600  its handlers (nop, hlt), 4 bytes each
1000  GDT, 32 entries (SELECTORS)             2000  IDT, 256 gates (8 bytes)
2800  LDT, 8 entries                          3000  TSS, 32 bits; 3200 a second; 3400 16 bits
3600  TSS, 64 bits                            4000  IDT of long mode (16 bytes)
6000  handlers (nop, hlt), 16 bytes each      7C00  code of real and virtual-8086 mode
8000  code, protected and long                9F00  stack of ring 0; AF00 of ring 3
C000  data                                    10000 page tables
"""

from __future__ import annotations

from collections.abc import Callable

from images import REAL_DATA, Image, Registers, Segment

GDT, IDT, LDT, TSS, TSS2, TSS16, TSS64, LONG_IDT = (
    *(0x1000, 0x2000, 0x2800, 0x3000),
    *(0x3200, 0x3400, 0x3600, 0x4000),
)
REAL_HANDLERS, HANDLERS, REAL_ENTRY, ENTRY = 0x600, 0x6000, 0x7C00, 0x8000
STACK0, STACK3, DATA, TABLES = 0x9F00, 0xAF00, 0xC000, 0x10000
TSS_LIMIT = 0x67 + 0x20

#: Entries of the GDT by name.
SELECTORS = {
    name: 8 * (number + 1)
    for number, name in enumerate(
        (
            *("code32", "data", "code32_user", "data_user", "code16", "data16", "tss", "ldt"),
            *("tss2", "conforming", "gate", "task_gate", "code64", "code64_user", "tss16"),
            *("tss64", "tss64_high", "code16_user", "readonly", "expand_down", "absent", "gate16"),
        )
    )
}
FREE_SELECTOR = 8 * (len(SELECTORS) + 1)

PE, PG, WP, NE, ET = 1, 1 << 31, 1 << 16, 1 << 5, 1 << 4
PROTECTED_CR0 = PE | NE | ET


def descriptor(base: int, limit: int, access: int, flags: int = 0) -> bytes:
    """Return a segment descriptor: raw 20-bit limit, byte of type, DPL and P, nibble G D L AVL."""
    value = limit & 0xFFFF | (base & 0xFFFFFF) << 16 | access << 40
    value |= (limit >> 16 & 0xF) << 48 | flags << 52 | (base >> 24 & 0xFF) << 56
    return value.to_bytes(8, "little")


def gate(selector: int, offset: int, access: int, count: int = 0) -> bytes:
    """Return a gate of 8 bytes."""
    value = offset & 0xFFFF | selector << 16 | (count & 0x1F) << 32 | access << 40
    return (value | (offset >> 16 & 0xFFFF) << 48).to_bytes(8, "little")


def long_gate(selector: int, offset: int, access: int, stack: int = 0) -> bytes:
    """Return a gate of 16 bytes with its interrupt stack number."""
    return gate(selector, offset & 0xFFFFFFFF, access, stack) + (offset >> 32).to_bytes(8, "little")


def gdt() -> bytes:
    """Return the GDT that SELECTORS names."""
    entries = {
        "code32": descriptor(0, 0xFFFFF, 0x9A, 0xC),
        "data": descriptor(0, 0xFFFFF, 0x92, 0xC),
        "code32_user": descriptor(0, 0xFFFFF, 0xFA, 0xC),
        "data_user": descriptor(0, 0xFFFFF, 0xF2, 0xC),
        "code16": descriptor(0, 0xFFFF, 0x9A),
        "data16": descriptor(0, 0xFFFF, 0x92),
        "tss": descriptor(TSS, TSS_LIMIT, 0x8B),
        "ldt": descriptor(LDT, 0x3F, 0x82),
        "tss2": descriptor(TSS2, 0x67, 0x89),
        "conforming": descriptor(0, 0xFFFFF, 0x9E, 0xC),
        "gate": gate(8, ENTRY + 0x100, 0xEC),
        "task_gate": gate(0x48, 0, 0xE5),
        "code64": descriptor(0, 0xFFFFF, 0x9A, 0xA),
        "code64_user": descriptor(0, 0xFFFFF, 0xFA, 0xA),
        "tss16": descriptor(TSS16, 0x2B, 0x81),
        "tss64": descriptor(TSS64, 0x67 + 0x20, 0x8B),
        "tss64_high": bytes(8),
        "code16_user": descriptor(0, 0xFFFF, 0xFA),
        "readonly": descriptor(DATA, 0xFFF, 0xF0),
        "expand_down": descriptor(0, 0xBFFF, 0xF6, 0x4),
        "absent": descriptor(0, 0xFFFFF, 0x72, 0xC),
        "gate16": gate(0x28, ENTRY + 0x100, 0xE4),
    }
    return bytes(8) + b"".join(entries[name] for name in SELECTORS)


def tss32(eip: int, esp: int, cs: int, data: int, flags: int = 2, ldt: int = 0) -> bytes:
    """Return a 32-bit TSS with its ring-0 stack and an I/O bitmap that ends at once."""
    words = [0, STACK0 - 0x400, SELECTORS["data"], 0, 0, 0, 0, 0, eip, flags]
    words += [0x11, 0x22, 0x33, 0x44, esp, 0x55, 0x66, 0x77]
    words += [data, cs, data, data, data, data, ldt, 0x68 << 16]
    return b"".join(w.to_bytes(4, "little") for w in words)


def tss16(ip: int, sp: int, cs: int, data: int, flags: int = 2) -> bytes:
    """Return a 16-bit TSS."""
    words = [0, STACK0 - 0x400, SELECTORS["data16"], 0, 0, 0, 0, ip, flags]
    words += [0x11, 0x22, 0x33, 0x44, sp, 0x55, 0x66, 0x77, data, cs, data, data, 0]
    return b"".join(w.to_bytes(2, "little") for w in words)


def tss64() -> bytes:
    """Return a 64-bit TSS with stacks for the rings and seven interrupt stacks."""
    stacks = [STACK0 - 0x400 * (n + 1) for n in range(3)]
    words = b"".join(s.to_bytes(8, "little") for s in stacks) + bytes(8)
    words += b"".join((STACK0 + 0x200 + 0x100 * n).to_bytes(8, "little") for n in range(7))
    return bytes(4) + words + bytes(10) + (0x68).to_bytes(2, "little")


def tables(gate_access: int = 0x8E) -> list[tuple[int, bytes]]:
    """Return all tables and handlers."""
    vectors = b"".join((REAL_HANDLERS + 4 * n).to_bytes(4, "little") for n in range(256))
    idt = b"".join(gate(8, HANDLERS + 16 * n, gate_access | 0x60) for n in range(256))
    long_idt = b"".join(long_gate(SELECTORS["code64"], HANDLERS + 16 * n, 0xEE) for n in range(256))
    ldt = (
        *(descriptor(0, 0xFFFFF, 0xFA, 0xC), descriptor(0, 0xFFFFF, 0xF2, 0xC)),
        *(descriptor(0, 0xFFFFF, 0x9A, 0xC), descriptor(0, 0xFFFFF, 0x92, 0xC)),
    )
    second = tss32(ENTRY + 0x200, STACK0 - 0x800, SELECTORS["code32"], SELECTORS["data"])
    first = tss32(0, 0, 0, 0)
    third = tss16(ENTRY + 0x200, STACK0 - 0x800, SELECTORS["code16"], SELECTORS["data16"])
    return [
        (0, vectors),
        (REAL_HANDLERS, b"\x90\xf4\xf4\xf4" * 256),
        (GDT, gdt()),
        (IDT, idt),
        (LDT, b"".join(ldt)),
        (TSS, first + b"\x00" * 0x1F + b"\xff"),
        (TSS2, second),
        (TSS16, third),
        (TSS64, tss64() + b"\x00" * 0x1F + b"\xff"),
        (LONG_IDT, long_idt),
        (HANDLERS, (b"\x90" + b"\xf4" * 15) * 256),
    ]


def segment(name: str, rpl: int = 0) -> Segment:
    """Return the segment register that holds an entry of the GDT."""
    selector = SELECTORS[name]
    raw = int.from_bytes(gdt()[selector : selector + 8], "little")
    base = raw >> 16 & 0xFFFFFF | raw >> 32 & 0xFF000000
    limit = raw & 0xFFFF | raw >> 32 & 0xF0000
    attributes = raw >> 40 & 0xF0FF
    if attributes & 0x8000:
        limit = limit << 12 | 0xFFF
    accessed = 1 if attributes & 0x10 else 0
    return (selector | rpl, base, limit, attributes | accessed)


def real() -> Image:
    """Real mode with 64-KiB segments at 0."""
    registers = Registers().but(rsp=0x7000)
    return Image(registers, tuple(tables()), 20)


def protected(ring: int = 0) -> Image:
    """32-bit protected mode, flat, without paging."""
    code, data = ("code32_user", "data_user") if ring == 3 else ("code32", "data")
    d = segment(data, ring)
    registers = Registers(
        rip=ENTRY,
        seg=(d, segment(code, ring), d, d, d, d),
        ldtr=segment("ldt"),
        tr=segment("tss"),
        gdtr=(GDT, 0xFF),
        idtr=(IDT, 0x7FF),
        cr=(PROTECTED_CR0, 0, 0, 0),
    ).but(rsp=STACK3 if ring == 3 else STACK0)
    return Image(registers, tuple(tables()), 20)


def virtual_8086(iopl: int = 3) -> Image:
    """Virtual-8086 mode, code and data at segment 0."""
    data: Segment = (0, 0, 0xFFFF, 0xF3)
    base = protected()
    registers = base.registers.but(
        rip=REAL_ENTRY, rflags=2 | 1 << 17 | iopl << 12, seg=(data,) * 6, rsp=0x7000
    )
    return Image(registers, base.memory, 20)


def long(ring: int = 0) -> Image:
    """64-bit mode, the first 2 MiB mapped to themselves for everybody."""
    code = segment("code64_user" if ring == 3 else "code64", ring)
    d = segment("data_user" if ring == 3 else "data", ring)
    registers = Registers(
        rip=ENTRY,
        seg=(d, code, d, d, d, d),
        ldtr=segment("ldt"),
        tr=segment("tss64"),
        gdtr=(GDT, 0xFF),
        idtr=(LONG_IDT, 0xFFF),
        cr=(PROTECTED_CR0 | PG | WP, 0, TABLES, 1 << 5),
        efer=0xD01,
    ).but(rsp=STACK3 if ring == 3 else STACK0)
    levels = [
        (TABLES, (TABLES + 0x1000 | 7).to_bytes(8, "little")),
        (TABLES + 0x1000, (TABLES + 0x2000 | 7).to_bytes(8, "little")),
        (TABLES + 0x2000, (0x87).to_bytes(8, "little")),
    ]
    return Image(registers, (*tables(), *levels), 20)


MODES: dict[str, Callable[[], Image]] = {
    "real": real,
    "protected": protected,
    "v86": virtual_8086,
    "long": long,
}

__all__ = ["MODES", "REAL_DATA", "long", "protected", "real", "virtual_8086"]
