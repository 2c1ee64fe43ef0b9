"""Registers as gdb has them: target descriptions, and the bytes of each register.

Source: the manual of GDB, appendix G (Target Descriptions), and the features org.gnu.gdb.i386 that
it names. Two views: 64-bit, and 32-bit, which also serves 16-bit code. The instruction pointer is
the linear address in both, so that breakpoints and disassembly are at the right place with any
segment base.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vmwb.model.debug import GENERAL, SEGMENTS, Registers


class View(StrEnum):
    """How gdb sees the processor for a whole connection."""

    AUTO = "auto"
    I386 = "i386"
    X86_64 = "x86-64"


@dataclass(frozen=True, slots=True)
class Register:
    """One register of a view: ``setter`` is its name in the core, if it can be set there."""

    name: str
    bits: int
    kind: str
    read: Callable[[Registers], int]
    setter: str | None = None

    @property
    def size(self) -> int:
        """Bytes in a packet."""
        return self.bits // 8


@dataclass(frozen=True, slots=True)
class Target:
    """A view: its name for gdb, and its registers in gdb's order, by feature."""

    architecture: str
    features: tuple[tuple[str, tuple[Register, ...]], ...]

    @property
    def registers(self) -> tuple[Register, ...]:
        """All registers, by number."""
        return tuple(register for _, group in self.features for register in group)

    def xml(self) -> str:
        """Give the target description."""
        lines = [
            '<?xml version="1.0"?>',
            '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
            '<target version="1.0">',
            f"<architecture>{self.architecture}</architecture>",
        ]
        number = 0
        for feature, group in self.features:
            lines.append(f'<feature name="{feature}">')
            if feature.endswith(".sse"):
                lines += [
                    '<vector id="v4f" type="ieee_single" count="4"/>',
                    '<vector id="v2d" type="ieee_double" count="2"/>',
                    '<vector id="v16i8" type="int8" count="16"/>',
                    '<vector id="v8i16" type="int16" count="8"/>',
                    '<vector id="v4i32" type="int32" count="4"/>',
                    '<vector id="v2i64" type="int64" count="2"/>',
                    '<union id="vec128">',
                    '<field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>',
                    '<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/>',
                    '<field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>',
                    '<field name="uint128" type="uint128"/>',
                    "</union>",
                ]
            for register in group:
                lines.append(
                    f'<reg name="{register.name}" bitsize="{register.bits}" '
                    f'type="{register.kind}" regnum="{number}"/>'
                )
                number += 1
            lines.append("</feature>")
        lines.append("</target>")
        return "\n".join(lines)


def _general(name: str, core: str, bits: int) -> Register:
    index = GENERAL.index(core)
    kind = "data_ptr" if core in {"rsp", "rbp"} else f"int{bits}"
    return Register(name, bits, kind, lambda r: r.general[index], core)


def _segment(name: str) -> Register:
    index = SEGMENTS.index(name)
    return Register(name, 32, "int32", lambda r: r.segments[index].selector)


def _base(name: str) -> Register:
    index = SEGMENTS.index(name)
    return Register(f"{name}_base", 64, "int64", lambda r: r.segments[index].base)


def _st(n: int) -> Register:
    return Register(f"st{n}", 80, "i387_ext", lambda r: r.x87.st[n], f"st{n}")


def _xmm(n: int) -> Register:
    return Register(f"xmm{n}", 128, "vec128", lambda r: r.xmm[n], f"xmm{n}")


_X87: Final = (
    *(_st(n) for n in range(8)),
    Register("fctrl", 32, "int", lambda r: r.x87.control, "fctrl"),
    Register("fstat", 32, "int", lambda r: r.x87.status, "fstat"),
    Register("ftag", 32, "int", lambda r: r.x87.tag, "ftag"),
    Register("fiseg", 32, "int", lambda r: r.x87.instruction[0]),
    Register("fioff", 32, "int", lambda r: r.x87.instruction[1]),
    Register("foseg", 32, "int", lambda r: r.x87.operand[0]),
    Register("fooff", 32, "int", lambda r: r.x87.operand[1]),
    Register("fop", 32, "int", lambda r: r.x87.opcode),
)
_MXCSR: Final = Register("mxcsr", 32, "int", lambda r: r.mxcsr, "mxcsr")
_SEGMENT_ORDER: Final = ("cs", "ss", "ds", "es", "fs", "gs")


def _system(bits: int) -> tuple[Register, ...]:
    return (
        Register("cr0", bits, f"int{bits}", lambda r: r.cr0),
        Register("cr2", bits, f"int{bits}", lambda r: r.cr2),
        Register("cr3", bits, f"int{bits}", lambda r: r.cr3),
        Register("cr4", bits, f"int{bits}", lambda r: r.cr4),
        Register("cr8", bits, f"int{bits}", lambda r: r.cr8),
        Register("efer", bits, f"int{bits}", lambda r: r.efer),
    )


I386: Final = Target(
    "i386",
    (
        (
            "org.gnu.gdb.i386.core",
            (
                *(_general(f"e{core[1:]}", core, 32) for core in GENERAL[:8]),
                Register("eip", 32, "code_ptr", lambda r: r.linear_rip, "rip"),
                Register("eflags", 32, "int32", lambda r: r.rflags, "rflags"),
                *(_segment(name) for name in _SEGMENT_ORDER),
                *_X87,
            ),
        ),
        ("org.gnu.gdb.i386.sse", (*(_xmm(n) for n in range(8)), _MXCSR)),
        ("org.vmwb.system", _system(32)),
    ),
)
_ORDER_64: Final = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *(f"r{n}" for n in range(8, 16)),
)
X86_64: Final = Target(
    "i386:x86-64",
    (
        (
            "org.gnu.gdb.i386.core",
            (
                *(_general(name, name, 64) for name in _ORDER_64),
                Register("rip", 64, "code_ptr", lambda r: r.linear_rip, "rip"),
                Register("eflags", 32, "int32", lambda r: r.rflags, "rflags"),
                *(_segment(name) for name in _SEGMENT_ORDER),
                *_X87,
            ),
        ),
        ("org.gnu.gdb.i386.sse", (*(_xmm(n) for n in range(16)), _MXCSR)),
        ("org.gnu.gdb.i386.segments", (_base("fs"), _base("gs"))),
        ("org.vmwb.system", _system(64)),
    ),
)


def target_for(view: View, registers: Registers) -> Target:
    """Choose the view: as told, or by whether the processor is in long mode now."""
    long_mode = registers.efer >> 10 & 1 != 0
    wide = view is View.X86_64 or (view is View.AUTO and long_mode)
    return X86_64 if wide else I386


def read_bytes(register: Register, registers: Registers) -> bytes:
    """Give the bytes of a register, cut to its width in the view."""
    return (register.read(registers) & ((1 << register.bits) - 1)).to_bytes(register.size, "little")


def value_to_set(register: Register, raw: bytes, registers: Registers) -> int:
    """Give the value for the core, when gdb sets a register: RIP is no linear address there."""
    value = int.from_bytes(raw, "little")
    if register.setter == "rip":
        base = registers.linear_rip - registers.rip
        return (value - base) & ((1 << register.bits) - 1) if base else value
    return value
