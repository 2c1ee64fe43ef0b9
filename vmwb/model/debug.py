"""What a debugger sees of a machine, and what it sets: values, read from the core's answers.

Addresses are linear unless they are called physical. Numbers are plain integers; the answers are
described in ``docs/debugger.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vmwb.model.errors import ProtocolError
from vmwb.model.power import PowerState

TRACE_CLASSES: Final = (
    "exception",
    "interrupt",
    "mode",
    "ring",
    "control",
    "msr",
    "space",
    "tlb",
    "halt",
    "port",
    "mmio",
    "instruction",
)
#: Names that stand for sets of classes.
TRACE_SETS: Final = ("default", "all")
TRACE_LIMIT_DEFAULT: Final = 100_000
TRACE_LIMIT_MAX: Final = 1_000_000
MEMORY_MAX_BYTES: Final = 64 * 1024
LINES_MAX: Final = 1024
DESCRIPTORS_MAX: Final = 1024
STEPS_MAX: Final = 1_000_000
GENERAL: Final = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")


class WatchKind(StrEnum):
    """Accesses that a watchpoint stops after."""

    WRITE = "write"
    READ = "read"
    ACCESS = "access"


class DescriptorTableKind(StrEnum):
    """Tables of descriptors."""

    GDT = "gdt"
    LDT = "ldt"
    IDT = "idt"


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Which trace events are recorded, and how many of the latest are kept."""

    classes: tuple[str, ...] = ("default",)
    limit: int = TRACE_LIMIT_DEFAULT

    def problems(self) -> tuple[str, ...]:
        """Say in sentences what is wrong with the settings."""
        known = {*TRACE_CLASSES, *TRACE_SETS}
        unknown = [name for name in self.classes if name not in known]
        wrong: list[str] = []
        if unknown or not self.classes:
            named = f"no trace events {unknown[0][:40]!r}" if unknown else "no such trace events"
            wrong.append(
                f"There are {named}: choose of {', '.join(TRACE_CLASSES)}, or default, or all."
            )
        if not 1 <= self.limit <= TRACE_LIMIT_MAX:
            wrong.append(f"A trace keeps 1 to {TRACE_LIMIT_MAX} events.")
        return tuple(wrong)


@dataclass(frozen=True, slots=True)
class TraceReading:
    """A part of a trace: ``lines`` are JSON objects, one a line, of events ``first`` and later.

    ``kept_from`` is the number of the oldest event that is kept, ``end`` one more than that of the
    newest; ``next`` is where to read on.
    """

    classes: tuple[str, ...]
    kept_from: int
    end: int
    next: int
    lines: str

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> TraceReading:
        """Read the core's answer."""
        return cls(
            classes=tuple(str(name) for name in _sequence(data, "classes")),
            kept_from=_number(data, "first"),
            end=_number(data, "end"),
            next=_number(data, "next"),
            lines=_text(data, "lines"),
        )


@dataclass(frozen=True, slots=True)
class DebugStop:
    """Why a debugger has the machine: ``reason`` is ``breakpoint`` or ``watchpoint``."""

    reason: str
    address: int
    watch: WatchKind | None = None
    write: bool = False


@dataclass(frozen=True, slots=True)
class DebugStatus:
    """Where a machine stands. The fields of the processor are zero when the machine is off.

    They are those of ``processor``, one of ``processors``: the one that stopped, or was chosen.
    """

    state: PowerState
    stop: DebugStop | None
    retired: int
    virtual_ns: int
    address: int
    rip: int
    mode: str
    cpl: int
    halted: bool
    processor: int = 0
    processors: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> DebugStatus:
        """Read the core's answer."""
        stop = data.get("stop")
        return cls(
            state=PowerState(_text(data, "state")),
            stop=_stop(stop) if isinstance(stop, dict) else None,
            retired=_number(data, "retired", 0),
            virtual_ns=_number(data, "virtual_ns", 0),
            address=_number(data, "address", 0),
            rip=_number(data, "rip", 0),
            mode=str(data.get("mode", "")),
            cpl=_number(data, "cpl", 0),
            halted=data.get("halted") is True,
            processor=_number(data, "processor", 0),
            processors=_number(data, "processors", 1),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment register (or LDTR, TR) with its hidden part."""

    selector: int
    base: int
    limit: int
    attributes: int


@dataclass(frozen=True, slots=True)
class X87:
    """The x87 unit. ``st`` holds ST(0) to ST(7) as 80-bit numbers."""

    st: tuple[int, ...]
    control: int
    status: int
    tag: int
    opcode: int
    instruction: tuple[int, int]
    operand: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Registers:
    """All registers. ``general`` is in the order of ``GENERAL``, ``segments`` of ``SEGMENTS``."""

    mode: str
    cpl: int
    halted: bool
    retired: int
    general: tuple[int, ...]
    rip: int
    linear_rip: int
    rflags: int
    segments: tuple[Segment, ...]
    ldtr: Segment
    tr: Segment
    gdtr: tuple[int, int]
    idtr: tuple[int, int]
    cr0: int
    cr2: int
    cr3: int
    cr4: int
    cr8: int
    efer: int
    debug: tuple[int, ...]
    kernel_gs_base: int
    x87: X87
    xmm: tuple[int, ...]
    mxcsr: int

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Registers:
        """Read the core's answer."""
        x87 = _table(data, "x87")
        gdtr, idtr = _table(data, "gdtr"), _table(data, "idtr")
        return cls(
            mode=_text(data, "mode"),
            cpl=_number(data, "cpl"),
            halted=data.get("halted") is True,
            retired=_number(data, "retired"),
            general=_numbers(data, "general", 16),
            rip=_number(data, "rip"),
            linear_rip=_number(data, "linear_rip"),
            rflags=_number(data, "rflags"),
            segments=tuple(_segment({"s": s}, "s") for s in _sequence(data, "segments", 6)),
            ldtr=_segment(data, "ldtr"),
            tr=_segment(data, "tr"),
            gdtr=(_number(gdtr, "base"), _number(gdtr, "limit")),
            idtr=(_number(idtr, "base"), _number(idtr, "limit")),
            cr0=_number(data, "cr0"),
            cr2=_number(data, "cr2"),
            cr3=_number(data, "cr3"),
            cr4=_number(data, "cr4"),
            cr8=_number(data, "cr8"),
            efer=_number(data, "efer"),
            debug=_numbers(data, "debug", 8),
            kernel_gs_base=_number(data, "kernel_gs_base"),
            x87=X87(
                st=_hex_numbers(x87, "st", 8),
                control=_number(x87, "control"),
                status=_number(x87, "status"),
                tag=_number(x87, "tag"),
                opcode=_number(x87, "opcode"),
                instruction=_pair(x87, "instruction"),
                operand=_pair(x87, "operand"),
            ),
            xmm=_hex_numbers(data, "xmm", 16),
            mxcsr=_number(data, "mxcsr"),
        )

    def named(self) -> dict[str, int]:
        """Give the registers that expressions of a debugger may name."""
        return {
            **dict(zip(GENERAL, self.general, strict=True)),
            "rip": self.rip,
            "pc": self.linear_rip,
            "rflags": self.rflags,
            "cr0": self.cr0,
            "cr2": self.cr2,
            "cr3": self.cr3,
            "cr4": self.cr4,
            **{f"{n}_base": s.base for n, s in zip(SEGMENTS, self.segments, strict=True)},
            "gdtr": self.gdtr[0],
            "idtr": self.idtr[0],
            "tr": self.tr.base,
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes from an address on; fewer than were asked for where memory ends."""

    address: int
    data: bytes

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Memory:
        """Read the core's answer."""
        try:
            raw = bytes.fromhex(_text(data, "data"))
        except ValueError:
            raise ProtocolError("The core's memory is not hexadecimal.") from None
        return cls(_number(data, "address"), raw)


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One instruction as text."""

    address: int
    data: bytes
    text: str


@dataclass(frozen=True, slots=True)
class WalkEntry:
    """One entry of a page table; ``address`` is physical, ``None`` for one the processor holds."""

    table: str
    index: int
    address: int | None
    value: int


@dataclass(frozen=True, slots=True)
class PageWalk:
    """Where a linear address leads.

    ``leads_to`` is ``ram``, ``rom``, ``video_memory``, ``device``, ``no_memory`` or ``nothing``;
    ``host`` is the address in the worker's process, for RAM.
    """

    linear: int
    end: str
    physical: int | None
    page_bytes: int
    writable: bool
    user: bool
    executable: bool
    entries: tuple[WalkEntry, ...]
    leads_to: str
    host: int | None

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> PageWalk:
        """Read the core's answer."""
        entries = [_table({"e": entry}, "e") for entry in _sequence(data, "entries")]
        return cls(
            linear=_number(data, "linear"),
            end=_text(data, "end"),
            physical=_optional(data, "physical"),
            page_bytes=_number(data, "page_bytes"),
            writable=data.get("writable") is True,
            user=data.get("user") is True,
            executable=data.get("executable") is True,
            entries=tuple(
                WalkEntry(
                    _text(entry, "table"),
                    _number(entry, "index"),
                    _optional(entry, "address"),
                    _number(entry, "value"),
                )
                for entry in entries
            ),
            leads_to=_text(data, "leads_to"),
            host=_optional(data, "host"),
        )


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor: ``base`` is a gate's offset, ``selector`` a gate's only."""

    index: int
    low: int
    high: int | None
    kind: str
    base: int
    limit: int
    selector: int
    dpl: int
    present: bool


@dataclass(frozen=True, slots=True)
class DescriptorTable:
    """A part of a table of descriptors."""

    base: int
    limit: int
    descriptors: tuple[Descriptor, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> DescriptorTable:
        """Read the core's answer."""
        rows = [_table({"d": row}, "d") for row in _sequence(data, "descriptors")]
        return cls(
            base=_number(data, "base"),
            limit=_number(data, "limit"),
            descriptors=tuple(
                Descriptor(
                    index=_number(row, "index"),
                    low=_number(row, "low"),
                    high=_optional(row, "high"),
                    kind=_text(row, "kind"),
                    base=_number(row, "base"),
                    limit=_number(row, "limit"),
                    selector=_number(row, "selector"),
                    dpl=_number(row, "dpl"),
                    present=row.get("present") is True,
                )
                for row in rows
            ),
        )


@dataclass(frozen=True, slots=True)
class Watchpoint:
    """A range of linear addresses that is watched."""

    address: int
    length: int = 8
    kind: WatchKind = WatchKind.WRITE

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {"address": self.address, "length": self.length, "kind": self.kind.value}


def code_lines(data: Mapping[str, object]) -> tuple[CodeLine, ...]:
    """Read the core's disassembly."""
    rows = [_table({"l": row}, "l") for row in _sequence(data, "lines")]
    return tuple(
        CodeLine(_number(row, "address"), bytes.fromhex(_text(row, "bytes")), _text(row, "text"))
        for row in rows
    )


def breakpoints(data: Mapping[str, object]) -> tuple[int, ...]:
    """Read the core's list of breakpoints."""
    return tuple(_number({"n": n}, "n") for n in _sequence(data, "breakpoints"))


def watchpoints(data: Mapping[str, object]) -> tuple[Watchpoint, ...]:
    """Read the core's list of watchpoints."""
    rows = [_table({"w": row}, "w") for row in _sequence(data, "watchpoints")]
    return tuple(
        Watchpoint(_number(row, "address"), _number(row, "length"), WatchKind(_text(row, "kind")))
        for row in rows
    )


def _stop(data: Mapping[str, object]) -> DebugStop:
    watch = data.get("watch")
    return DebugStop(
        reason=_text(data, "reason"),
        address=_number(data, "address", 0),
        watch=WatchKind(watch) if isinstance(watch, str) else None,
        write=data.get("write") is True,
    )


def _segment(data: Mapping[str, object], key: str) -> Segment:
    found = _table(data, key)
    return Segment(
        _number(found, "selector"),
        _number(found, "base"),
        _number(found, "limit"),
        _number(found, "attributes"),
    )


def _number(data: Mapping[str, object], key: str, default: int | None = None) -> int:
    value = data.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"The core's answer has no whole number {key!r}.")
    return value


def _optional(data: Mapping[str, object], key: str) -> int | None:
    return None if data.get(key) is None else _number(data, key)


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise ProtocolError(f"The core's answer has no text {key!r}.")
    return value


def _table(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise ProtocolError(f"The core's answer has no object {key!r}.")
    return value


def _sequence(data: Mapping[str, object], key: str, length: int | None = None) -> Sequence[object]:
    value = data.get(key)
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise ProtocolError(f"The core's answer has no list {key!r}.")
    return value


def _numbers(data: Mapping[str, object], key: str, length: int) -> tuple[int, ...]:
    return tuple(_number({"n": n}, "n") for n in _sequence(data, key, length))


def _hex_numbers(data: Mapping[str, object], key: str, length: int) -> tuple[int, ...]:
    try:
        return tuple(int(_text({"t": t}, "t"), 16) for t in _sequence(data, key, length))
    except ValueError:
        raise ProtocolError(f"The core's answer has no hexadecimal numbers {key!r}.") from None


def _pair(data: Mapping[str, object], key: str) -> tuple[int, int]:
    first, second = _numbers(data, key, 2)
    return first, second
