"""Paging in every mode, with sound and hostile tables, and what changes it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import machine
from draw import add, imm32, program
from images import Image

TABLES = machine.TABLES
#: Page that the accesses of a test go to, and where its tables lie.
TARGET = 0x400000
ACCESSES = (
    *(b"\x8a\x03", b"\x8b\x03", b"\x88\x03", b"\x89\x03", b"\x01\x03", b"\xff\x33", b"\x8f\x03"),
    *(b"\xff\xe3", b"\xff\x23", b"\x0f\xb1\x0b", b"\xf0\x01\x03", b"\x0f\xab\x0b", b"\x0f\x10\x03"),
    *(
        b"\x0f\x11\x03",
        b"\xdf\x2b",
        b"\xdf\x3b",
        b"\x0f\x01\x3b",
        b"\x8c\x1b",
        b"\x8e\x1b",
        b"\xd7",
    ),
    *(
        b"\x0f\x18\x03",
        b"\x0f\xae\x3b",
        b"\x87\x03",
        b"\x0f\xc7\x0b",
        b"\xa4",
        b"\xa5",
        b"\xaa",
        b"\xa6",
    ),
)
OFFSETS = (0, 0x123, 0xFFC, 0xFFD, 0xFFE, 0xFFF, 0x1FFF, 0x3FFC)
SMEP, SMAP, PSE, PAE, PGE, PCIDE = 1 << 20, 1 << 21, 1 << 4, 1 << 5, 1 << 7, 1 << 17


#: Pages that ring 3 may use: its code, stack and data.
USER_PAGES = (8, 0xA, 0xC, 0xD, 0xE, 0xF)


def _identity(ring: int, size: int) -> bytes:
    """Return entries that map the first MiB to itself, what ring 3 needs for ring 3."""
    return b"".join(
        (page << 12 | (7 if ring == 3 and page in USER_PAGES else 3)).to_bytes(size, "little")
        for page in range(0x100)
    )


def _frame(r: Random) -> int:
    """Return a page frame: mostly of RAM that tests may write, else missing, or high.

    No table that is in use: whether a processor still has what it says is its own business.
    """
    return r.choice(
        (
            *(0x40000, 0x41000, 0x42000, 0x40000),
            *(0x43000, 0x44000, 0xA0000, 0x100000, 0x7FFFF000),
        )
    )


def _bits(r: Random) -> int:
    """Return the low bits of an entry: present, writable and user most of the time."""
    bits = 0x7
    for bit in (0, 1, 2):
        if r.random() < 0.15:
            bits &= ~(1 << bit)
    return bits | r.getrandbits(12) & r.choice((0, 0x60, 0xE18, 0x160))


def _access(r: Random, image: Image, *, steps: int = 4, code: bytes = b"") -> Image:
    offset = r.choice(OFFSETS)
    at = TARGET + offset
    op = r.choice(ACCESSES)
    more = r.choice(ACCESSES)
    image = add(image, rbx=at, rsi=at, rdi=TARGET + r.choice(OFFSETS), rcx=3, rax=r.getrandbits(32))
    return program(image, code + op + more, steps)


def _common(r: Random, image: Image) -> Image:
    cr0 = image.registers.cr[0] | machine.PG
    cr0 = cr0 & ~machine.WP | r.choice((0, machine.WP))
    cr4 = image.registers.cr[3] | 0x600
    flags = 2 | r.choice((0, 0, 1 << 18))
    return add(
        image,
        (0x40000, r.randbytes(64)),
        (0x40FF0, r.randbytes(16)),
        (0x41000, r.randbytes(16)),
        cr0=cr0,
        cr4=cr4,
        rflags=flags,
    )


def two_level(r: Random) -> Image:
    """32-bit paging: 4-KiB and 4-MiB pages."""
    ring = r.choice((0, 3))
    image = _common(r, machine.protected(ring))
    identity = _identity(ring, 4)
    entries = b"".join(imm32(_frame(r) | _bits(r) & ~0x80) for _ in range(8))
    large = r.choice((0, 0x80)) if r.random() < 0.3 else 0
    upper = (
        (TABLES + 0x2000 if not large else r.choice((0, 0x400000, 0x2000, 0x3E0000)))
        | _bits(r) & ~0x80
        | large
    )
    image = add(
        image,
        (TABLES, imm32(TABLES + 0x1000 | 7) + imm32(upper)),
        (TABLES + 0x1000, identity),
        (TABLES + 0x2000, entries),
        cr3=TABLES | r.choice((0, 0x18)),
        cr4=image.registers.cr[3]
        | r.choice((0, PSE))
        | r.choice((0, 0, SMEP))
        | r.choice((0, 0, SMAP)),
    )
    return _access(r, image)


def pae(r: Random) -> Image:
    """PAE paging, switched on by the program, so that the pointers are loaded as they must be."""
    image = machine.protected(0)
    identity = _identity(0, 8)
    nx = r.choice((0, 0, 1 << 63))
    high = r.choice((0, 0, 0, 1 << 40, 1 << 52, 1 << 62))
    entries = b"".join(
        (_frame(r) | _bits(r) & ~0x80 | (nx | high if r.random() < 0.3 else 0)).to_bytes(
            8, "little"
        )
        for _ in range(8)
    )
    large = 0x80 if r.random() < 0.3 else 0
    upper = (
        (TABLES + 0x3000 if not large else r.choice((0, 0x200000, 0x2000)))
        | _bits(r) & ~0x80
        | large
    )
    pointers = [TABLES + 0x1000 | 1] * 4
    if r.random() < 0.2:
        pointers[r.randrange(4)] = r.choice(
            (0, TABLES | 7, 1 << 52 | 1, TABLES | 0x1E1, r.getrandbits(64))
        )
    image = add(
        image,
        (TABLES, b"".join(p.to_bytes(8, "little") for p in pointers)),
        (
            TABLES + 0x1000,
            (TABLES + 0x2000 | 7).to_bytes(8, "little") + bytes(8) + upper.to_bytes(8, "little"),
        ),
        (TABLES + 0x2000, identity),
        (TABLES + 0x3000, entries),
        (0x40000, r.randbytes(64)),
        cr3=TABLES,
        cr4=PAE | 0x600 | r.choice((0, 0, SMEP)) | r.choice((0, 0, SMAP)),
        efer=r.choice((0, 0x800)),
        rdx=machine.PROTECTED_CR0 | machine.PG | r.choice((0, machine.WP)),
        rflags=2 | r.choice((0, 0, 1 << 18)),
    )
    return _access(r, image, steps=6, code=b"\x0f\x22\xc2")  # mov cr0, edx


def four_level(r: Random) -> Image:
    """4-level paging: 4-KiB, 2-MiB and 1-GiB pages."""
    ring = r.choice((0, 3))
    image = _common(r, machine.long(ring))
    nx = r.choice((0, 0, 1 << 63))
    high = r.choice((0, 0, 0, 1 << 40, 1 << 51, 1 << 52, 0xFF << 52))
    entries = b"".join(
        (_frame(r) | _bits(r) & ~0x80 | (nx | high if r.random() < 0.3 else 0)).to_bytes(
            8, "little"
        )
        for _ in range(8)
    )
    large = 0x80 if r.random() < 0.3 else 0
    pde = (
        (TABLES + 0x3000 if not large else r.choice((0, 0x200000, 0x2000, 0x1E0000)))
        | _bits(r) & ~0x80
        | large
    )
    pde |= nx if r.random() < 0.2 else 0
    pdpte = TABLES + 0x2000 | 7
    if r.random() < 0.1:
        pdpte = r.choice((0x87, 0x80000087, 0x2087))
    pml4e = TABLES + 0x1000 | (7 if r.random() < 0.95 else r.choice((0x87, 6, 5, 3)))
    image = add(
        image,
        (TABLES, pml4e.to_bytes(8, "little")),
        (TABLES + 0x1000, pdpte.to_bytes(8, "little")),
        (TABLES + 0x2000, (TABLES + 0x4007).to_bytes(8, "little") + bytes(8)),
        (TABLES + 0x2010, pde.to_bytes(8, "little")),
        (TABLES + 0x3000, entries),
        (TABLES + 0x4000, _identity(ring, 8)),
        cr4=image.registers.cr[3]
        | r.choice((0, 0, SMEP))
        | r.choice((0, 0, SMAP))
        | r.choice((0, PGE)),
        efer=image.registers.efer & ~0x800 | r.choice((0, 0x800)),
    )
    return _access(r, image)


def hostile(r: Random) -> Image:
    """Tables at themselves, in missing memory, of random bits: through every level."""
    image = _common(r, machine.long(0) if r.random() < 0.6 else machine.protected(0))
    words = []
    for _ in range(64):
        words.append(
            r.choice((TABLES | 7, TABLES | 0x67, 0xA0007, 0x7FFFFFFFF007, r.getrandbits(64)))
        )
    level = r.choice((0x2000, 0x2000, 0x1000))
    if image.registers.efer:
        sound = [(TABLES + 0x1000 | 7), (TABLES + 0x2000 | 7), 0x87]
        image = add(
            image,
            *((TABLES + 0x1000 * n, e.to_bytes(8, "little")) for n, e in enumerate(sound)),
            (TABLES + level + 0x10, b"".join(w.to_bytes(8, "little") for w in words)),
        )
    else:
        identity = _identity(0, 4)
        random_words = b"".join(imm32(w) for w in words)
        image = add(
            image,
            (TABLES, imm32(TABLES + 0x1000 | 7) + random_words),
            (TABLES + 0x1000, identity),
            cr3=TABLES,
        )
    at = r.choice(
        (
            TARGET,
            r.getrandbits(32),
            TARGET + 0x1FF8,
            TARGET + (r.randrange(64) << 21),
            TARGET + 0x3FFFFE,
        )
    )
    image = add(image, rbx=at, rsi=at, rdi=at ^ 0x1000, rcx=2)
    return program(image, r.choice(ACCESSES) + r.choice(ACCESSES), 4)


def invalidation(r: Random) -> Image:
    """Entries that the program changes itself, with INVLPG, a reload of CR3, or nothing between.

    Only changes that give more rights are looked at again without an invalidation: a processor may
    keep an entry, so the others are compared behind one.
    """
    image = _common(r, machine.protected(0))
    identity = _identity(0, 4)
    image = add(
        image,
        (TABLES, imm32(TABLES + 0x1000 | 7) + imm32(TABLES + 0x2000 | 7)),
        (TABLES + 0x1000, identity),
        (TABLES + 0x2000, imm32(0x40007)),
        cr3=TABLES,
        rbx=TARGET,
        rdi=TABLES + 0x2000,
        rax=r.choice((0x41007, 0x40005, 0x40000, 0x41003, 0x42067, 0xA0007)),
        rdx=TABLES,
    )
    flush = r.choice((b"\x0f\x01\x3b", b"\x0f\x22\xda", b"\x0f\x20\xd9\x0f\x22\xd9"))
    code = (
        r.choice((b"\x8b\x0b", b"\x89\x0b"))
        + b"\x89\x07"
        + flush
        + r.choice((b"\x8b\x0b", b"\x89\x0b"))
    )
    return program(image, code, 7)


def mode_switches(r: Random) -> Image:
    """MOV to CR0, CR3, CR4, CR8 and EFER with any value, from every mode."""
    name = r.choice(("real", "protected", "long", "protected"))
    image = machine.MODES[name]()
    value = r.choice(
        (
            *(0, 1, 0x10, 0x11, 0x31, 0x80000011, 0x80000031, 0x80000000, 0x60000010, 0x20000000),
            *(
                0x40000000,
                0x20,
                0x6F0,
                1 << 18 | 0x31,
                1 << 17,
                1 << 12,
                1 << 13,
                1 << 20,
                r.getrandbits(32),
            ),
            image.registers.cr[0] ^ 1 << r.randrange(32),
            image.registers.cr[3] ^ 1 << r.randrange(32),
        )
    )
    identity = _identity(0, 4)
    if name != "long":
        image = add(
            image,
            (TABLES, imm32(TABLES + 0x1000 | 7)),
            (TABLES + 0x1000, identity),
            cr3=TABLES,
            cr4=r.choice((0, 0, 0x10, 0x20)),
            efer=r.choice((0, 0, 0x100, 0x801)),
        )
    wide = b"\x66" if name == "real" else b""
    rax = value | (r.getrandbits(32) << 32 if name == "long" and r.random() < 0.1 else 0)
    code = r.choice(
        (
            *(b"\x0f\x22\xc0", b"\x0f\x22\xc0", b"\x0f\x22\xd8", b"\x0f\x22\xe0", b"\x0f\x22\xe0"),
            *(b"\x0f\x01\xf0", b"\x0f\x20\xc3", b"\x0f\x20\xe3", b"\x0f\x20\xd3", b"\x0f\x22\xc8"),
            *(
                b"\x0f\x22\xd0",
                b"\x0f\x20\xcb",
                b"\x0f\x22\xc0\x66\xb8\x10\x00\x8e\xd8\x8b\x03",
                b"\x44\x0f\x20\xc0",
            ),
            b"\x0f\x30",
        )
    )
    efer = r.choice((0, 1, 0x100, 0x101, 0x800, 0xD01, 0x501, 0x401, r.getrandbits(12)))
    if code == b"\x0f\x30":
        image = add(image, rdx=r.choice((0, 0, 1)))
        rax = efer
    if r.random() < 0.3:
        code += r.choice((b"\xea", b"\x66\xea")) + imm32(machine.ENTRY + 0x100) + b"\x08\x00"
    return program(image, wide + code, 3, rax=rax, rcx=0xC0000080)


def _with_msr(r: Random, number: int) -> int:
    if number in {0xC0000082, 0xC0000083, 0xC0000100, 0xC0000101, 0xC0000102, 0x175, 0x176}:
        return r.choice((0, 1 << 47, 0xFFFF800000000000, r.getrandbits(64), r.getrandbits(32)))
    return r.choice((0, r.getrandbits(32), r.getrandbits(64), 0x0007040600070406))


def model_specific(r: Random) -> Image:
    """WRMSR and RDMSR of the registers that every model here has."""
    image = machine.MODES[r.choice(("protected", "long"))]()
    number = r.choice(
        (
            *(0x10, 0x174, 0x175, 0x176, 0x277, 0xC0000080, 0xC0000081, 0xC0000082, 0xC0000083),
            *(
                0xC0000084,
                0xC0000100,
                0xC0000101,
                0xC0000102,
                0xC0000103,
                0x200,
                0x201,
                0x250,
                0x2FF,
                0xFE,
            ),
        )
    )
    value = _with_msr(r, number)
    if number == 0x10:
        value = 0
    # The time-stamp counter is written only: how fast it runs is each processor's own business.
    code = b"\x0f\x30" if r.random() < 0.7 else b"\x0f\x32"
    if code == b"\x0f\x30" and number != 0x10:
        code += b"\x31\xc0\x31\xd2\x0f\x32"
    if number == 0x10:
        code = b"\x0f\x30"
    return program(image, code, 5, rcx=number, rax=value & 0xFFFFFFFF, rdx=value >> 32)


def segment_bases(r: Random) -> Image:
    """SWAPGS, and accesses by FS and GS at the ends of the canonical halves."""
    image = machine.long(0)
    base = r.choice((machine.DATA, 0x7FFFFFFFF000, 0xFFFF800000000000, 0))
    segments = list(image.registers.seg)
    for index in (4, 5):
        s = segments[index]
        segments[index] = (s[0], base, s[2], s[3])
    at = r.choice(
        (0, 0xFF8, 0xFFC, 0xFFF, -1 & (1 << 64) - 1, -8 & (1 << 64) - 1, r.getrandbits(64))
    )
    code = r.choice(
        (
            b"\x65\x48\x8b\x03",
            b"\x64\x48\x89\x03",
            b"\x0f\x01\xf8",
            b"\x48\x8b\x03",
            b"\x48\xff\x33",
            b"\xff\xe3",
            b"\x48\x8b\x04\x24",
            b"\xc3",
        )
    )
    stack = r.choice((image.registers.gpr[4], at))
    image = add(image, (machine.STACK0, at.to_bytes(8, "little")))
    return program(image, code, 3, seg=tuple(segments), rbx=at, rsp=stack)


def page_ends(r: Random) -> Image:
    """Instructions that cross into a page that is missing, not executable, or there."""
    ring = r.choice((0, 3))
    image = _common(r, machine.protected(ring))
    identity = _identity(ring, 4)
    second = r.choice((0, 0x41007, 0x41005, 0x41003, 0xA0007))
    image = add(
        image,
        (TABLES, imm32(TABLES + 0x1000 | 7) + imm32(TABLES + 0x2000 | 7)),
        (TABLES + 0x1000, identity),
        (TABLES + 0x2000, imm32(0x40007) + imm32(second)),
        cr3=TABLES,
        rbx=machine.DATA,
    )
    code = r.choice(
        (
            *(
                b"\x90",
                b"\xb8\x01\x02\x03\x04",
                b"\x81\x03\x01\x02\x03\x04",
                b"\xe9\x00\x00\x00\x00",
            ),
            *(
                b"\x66" * r.randrange(1, 16) + b"\x90",
                b"\x0f\x0b",
                b"\xcd\x30",
                b"\xc7\x83\x04\x00\x00\x00\x01\x02\x03\x04",
            ),
            *(b"\x0f\xff", b"\xf0\x01\x03", b"\x74\x10", b"\x8b\x83\x10\x00\x00\x00"),
        )
    )
    at = 0x1000 - r.randrange(1, len(code) + 1)
    whole = (code + b"\x90" * 16)[: 0x1000 - at + 16]
    image = add(
        image, (0x40000 + at, whole[: 0x1000 - at]), (0x41000, whole[0x1000 - at :] + b"\xf4")
    )
    return replace(add(image, rip=TARGET + at), steps=3)


def features(r: Random) -> Image:
    """STAC, CLAC, INVPCID, RDFSBASE and its like, XGETBV, XSETBV, with and without their bits."""
    ring = r.choice((0, 0, 3))
    image = r.choice((machine.long, machine.long, machine.protected))(ring)
    code = r.choice(
        (
            *(b"\x0f\x01\xca", b"\x0f\x01\xcb", b"\x66\x0f\x38\x82\x03", b"\x0f\xa8", b"\x0f\xa0"),
            *(b"\xf3\x0f\xae\xc0", b"\xf3\x0f\xae\xd0", b"\xf3\x0f\xae\xc8", b"\xf3\x0f\xae\xd8"),
            *(b"\xf3\x48\x0f\xae\xc1", b"\xf3\x48\x0f\xae\xd1", b"\x0f\x01\xd0", b"\x0f\x01\xd1"),
        )
    )
    bits = r.choice((0, 1 << 16)) | r.choice((0, 1 << 18))
    image = add(
        image,
        (machine.DATA, r.choice((bytes(16), r.randbytes(16), b"\x00" * 8 + r.randbytes(8)))),
        cr4=image.registers.cr[3] | bits,
        rbx=machine.DATA,
        rax=r.choice((0, 1, 2, 3, 4, 7, r.getrandbits(32))),
        rcx=r.choice((0, 0, 2, r.getrandbits(64))),
        rdx=r.choice((0, 0, r.getrandbits(32))),
        rflags=2 | r.choice((0, 1 << 18)),
    )
    return program(image, code, 3)


TOPICS = {
    "feature instructions": features,
    "32-bit paging": two_level,
    "PAE paging": pae,
    "4-level paging": four_level,
    "hostile page tables": hostile,
    "invalidation": invalidation,
    "mode switches": mode_switches,
    "model-specific registers": model_specific,
    "canonical addresses": segment_bases,
    "instructions at page ends": page_ends,
}
