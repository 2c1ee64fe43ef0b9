"""Test images: what both processors start from, and what comes back from each.

The same shapes as in the crate `vmwb-conformance` (src/image.rs), which reads them as JSON. A step
is one instruction with all its repetitions; one that faults is a step together with the first
instruction of its handler.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

#: RAM of a test machine below the VGA window: what an image fills and what is compared.
IMAGE_BYTES = 0xA0000
#: The rest of its RAM: start and bytes, zero at the start.
HIGH_RAM = (0xC0000, (2 << 20) - 0xC0000)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
GENERAL = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
CONTROL = ("cr0", "cr2", "cr3", "cr4")
DEBUG = ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7")
MODEL_SPECIFIC = (
    *("star", "lstar", "cstar", "sfmask", "kernel_gs_base"),
    *("sysenter_cs", "sysenter_esp", "sysenter_eip"),
)

Segment = tuple[int, int, int, int]  # selector, base, limit in bytes, attributes
Table = tuple[int, int]  # base, limit

REAL_CODE: Segment = (0, 0, 0xFFFF, 0x9B)
REAL_DATA: Segment = (0, 0, 0xFFFF, 0x93)


@dataclass(frozen=True, slots=True)
class Registers:
    """What is compared behind each step."""

    gpr: tuple[int, ...] = (0,) * 16
    rip: int = 0x7C00
    rflags: int = 2
    seg: tuple[Segment, ...] = (REAL_DATA, REAL_CODE, *(REAL_DATA,) * 4)
    ldtr: Segment = (0, 0, 0xFFFF, 0x82)
    tr: Segment = (0, 0, 0xFFFF, 0x8B)
    gdtr: Table = (0, 0xFFFF)
    idtr: Table = (0, 0x3FF)
    cr: tuple[int, ...] = (0x10, 0, 0, 0)
    efer: int = 0
    dr: tuple[int, ...] = (0, 0, 0, 0, 0xFFFF0FF0, 0x400)
    msr: tuple[int, ...] = (0,) * 8

    def named(self) -> dict[str, int | Segment | Table]:
        """Return all registers by name."""
        return {
            "rip": self.rip,
            "rflags": self.rflags,
            **dict(zip(GENERAL, self.gpr, strict=True)),
            **dict(zip(SEGMENTS, self.seg, strict=True)),
            "ldtr": self.ldtr,
            "tr": self.tr,
            "gdtr": self.gdtr,
            "idtr": self.idtr,
            **dict(zip(CONTROL, self.cr, strict=True)),
            "efer": self.efer,
            **dict(zip(DEBUG, self.dr, strict=True)),
            **dict(zip(MODEL_SPECIFIC, self.msr, strict=True)),
        }

    @classmethod
    def of(cls, values: dict[str, Any]) -> Registers:
        """Return the registers that JSON carried."""
        return cls(
            gpr=tuple(values["gpr"]),
            rip=values["rip"],
            rflags=values["rflags"],
            seg=tuple((s[0], s[1], s[2], s[3]) for s in values["seg"]),
            ldtr=tuple(values["ldtr"]),
            tr=tuple(values["tr"]),
            gdtr=tuple(values["gdtr"]),
            idtr=tuple(values["idtr"]),
            cr=tuple(values["cr"]),
            efer=values["efer"],
            dr=tuple(values["dr"]),
            msr=tuple(values["msr"]),
        )

    def but(self, **changes: Any) -> Registers:
        """Return a copy with fields, or single general registers and segments by name, changed."""
        gpr, seg, cr = list(self.gpr), list(self.seg), list(self.cr)
        fields = {}
        for name, value in changes.items():
            if name in GENERAL:
                gpr[GENERAL.index(name)] = value
            elif name in SEGMENTS:
                seg[SEGMENTS.index(name)] = value
            elif name in CONTROL:
                cr[CONTROL.index(name)] = value
            else:
                fields[name] = value
        merged = {"gpr": tuple(gpr), "seg": tuple(seg), "cr": tuple(cr), **fields}
        return replace(self, **merged)


@dataclass(frozen=True, slots=True)
class Image:
    """One test: registers, memory that is not zero, a number of steps."""

    registers: Registers
    memory: tuple[tuple[int, bytes], ...]
    steps: int
    name: str = ""
    #: The oracle announces what this model does and more.
    model: str = "max"
    #: What the test is about, for the report.
    topics: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return it as the Rust side reads it."""
        return {
            "model": self.model,
            "registers": asdict(self.registers),
            "memory": [(at, data.hex()) for at, data in self.memory],
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one processor made of an image."""

    trace: tuple[Registers, ...]
    #: `steps`, `halt`, `triple`, or in words what else happened.
    end: str
    #: Words of memory that differ from the image: address and value.
    memory: tuple[tuple[int, int], ...]
    #: Exceptions in order: index of the step, vector, error code. Only the oracle tells.
    exceptions: tuple[tuple[int, int, int], ...] = ()
    #: Instruction forms that were met, and how often. Only our side tells.
    forms: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Outcome:
        """Return the outcome that JSON carried."""
        return cls(
            trace=tuple(Registers.of(step) for step in values["trace"]),
            end=values["end"],
            memory=tuple((at, value) for at, value in values["memory"]),
            exceptions=tuple(tuple(e) for e in values.get("exceptions", ())),
            forms=values.get("forms", {}),
        )
