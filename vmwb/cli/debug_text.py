"""Texts of ``vmwb debug``: what people read of registers, memory and tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from vmwb.model.debug import (
    GENERAL,
    SEGMENTS,
    CodeLine,
    DebugStatus,
    DescriptorTable,
    Memory,
    PageWalk,
    Registers,
    Segment,
)

_FLAGS: Final = (
    *((0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (9, "IF"), (10, "DF")),
    *((11, "OF"), (14, "NT"), (16, "RF"), (17, "VM"), (18, "AC"), (21, "ID")),
)
_ROW_BYTES: Final = 16


def status(now: DebugStatus) -> str:
    """Say where a machine stands."""
    where = f"{now.state} at {now.address:#x} ({now.mode}, CPL {now.cpl}), {now.retired:,} retired"
    if now.halted:
        where += ", halted"
    if now.processors > 1:
        where = f"processor {now.processor} of {now.processors}: {where}"
    stop = now.stop
    if stop is None:
        return where
    if stop.watch is not None:
        did = "written" if stop.write else "read"
        return f"{where}\nwatchpoint: {stop.address:#x} was {did}"
    return f"{where}\n{stop.reason} at {stop.address:#x}"


def registers(values: Registers, group: str = "") -> str:
    """Show registers: the integer ones, or ``fpu``, ``sse``, ``all``."""
    parts = []
    if group in {"", "all"}:
        parts.append(_integer(values))
    if group in {"fpu", "all"}:
        parts.append(_fpu(values))
    if group in {"sse", "all"}:
        rows = [f"xmm{n:<2} {value:032x}" for n, value in enumerate(values.xmm)]
        parts.append("\n".join([*rows, f"mxcsr {values.mxcsr:08x}"]))
    return "\n".join(parts)


def _integer(values: Registers) -> str:
    cells = [f"{name:>6} {value:016x}" for name, value in zip(GENERAL, values.general, strict=True)]
    rows = ["  ".join(cells[at : at + 4]) for at in range(0, 16, 4)]
    flags = " ".join(name for bit, name in _FLAGS if values.rflags >> bit & 1)
    iopl = values.rflags >> 12 & 3
    rows.append(
        f"   rip {values.rip:016x}  rflags {values.rflags:08x} [{flags}] IOPL {iopl}  "
        f"{values.mode}, CPL {values.cpl}"
    )
    named: list[tuple[str, Segment]] = [*zip(SEGMENTS, values.segments, strict=True)]
    named += [("ldtr", values.ldtr), ("tr", values.tr)]
    rows += [
        f"{name:>6} {s.selector:04x}  base {s.base:016x}  limit {s.limit:08x}  "
        f"rights {s.attributes:04x}"
        for name, s in named
    ]
    rows += [
        f"{name:>6}       base {base:016x}  limit {limit:04x}"
        for name, (base, limit) in (("gdtr", values.gdtr), ("idtr", values.idtr))
    ]
    rows.append(
        f"   cr0 {values.cr0:08x}  cr2 {values.cr2:016x}  cr3 {values.cr3:010x}  "
        f"cr4 {values.cr4:08x}  cr8 {values.cr8:x}  efer {values.efer:04x}"
    )
    dr = values.debug
    rows.append(
        f"   dr0 {dr[0]:x}  dr1 {dr[1]:x}  dr2 {dr[2]:x}  dr3 {dr[3]:x}  "
        f"dr6 {dr[6]:08x}  dr7 {dr[7]:08x}"
    )
    return "\n".join(rows)


def _fpu(values: Registers) -> str:
    x87 = values.x87
    rows = [
        f"st{n} {value >> 64:04x} {value & (1 << 64) - 1:016x}" for n, value in enumerate(x87.st)
    ]
    rows.append(
        f"control {x87.control:04x}  status {x87.status:04x}  tag {x87.tag:04x}  "
        f"opcode {x87.opcode:03x}"
    )
    return "\n".join(rows)


def code(lines: Sequence[CodeLine]) -> str:
    """Show instructions."""
    return "\n".join(f"{line.address:016x}  {line.data.hex():<30}  {line.text}" for line in lines)


def memory(block: Memory) -> str:
    """Show bytes, sixteen a row, with their characters."""
    rows = []
    for at in range(0, len(block.data), _ROW_BYTES):
        part = block.data[at : at + _ROW_BYTES]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        address = (block.address + at) & ((1 << 64) - 1)
        rows.append(f"{address:016x}  {part.hex(' '):<47}  {shown}")
    return "\n".join(rows)


def walk(found: PageWalk) -> str:
    """Show the way from a linear address to the host."""
    rows = [f"linear   {found.linear:016x}"]
    for entry in found.entries:
        place = "register" if entry.address is None else f"{entry.address:010x}"
        rows.append(f"{entry.table:>8} {entry.index:4}  at {place}  {entry.value:016x}")
    if found.physical is None:
        return "\n".join([*rows, f"{found.end.replace('_', ' ')}: it leads nowhere"])
    rights = "".join(
        letter if on else "-"
        for letter, on in (
            ("r", True),
            ("w", found.writable),
            ("x", found.executable),
            ("u", found.user),
        )
    )
    rows.append(f"physical {found.physical:016x}  page {found.page_bytes:#x} {rights}")
    host = "" if found.host is None else f" {found.host:#x} in the worker"
    return "\n".join([*rows, f"host     {found.leads_to.replace('_', ' ')}{host}"])


def descriptors(table: DescriptorTable) -> str:
    """Show a table of descriptors."""
    rows = [f"base {table.base:016x}  limit {table.limit:04x}"]
    for d in table.descriptors:
        gate = f"{d.selector:04x}:{d.base:016x}" if d.selector else f"{d.base:016x} {d.limit:08x}"
        absent = "" if d.present else ", not present"
        rows.append(f"{d.index:4x}  {d.low:016x}  {gate:<26} DPL {d.dpl}  {d.kind}{absent}")
    return "\n".join(rows)


def trace(lines: Sequence[str], *, recording: bool) -> str:
    """Show trace events, one a row; without any say whether one is being waited for."""
    rows = []
    for line in lines:
        event = json.loads(line)
        facts = " ".join(
            f"{key}={_value(value)}"
            for key, value in event.items()
            if key not in {"seq", "retired", "kind"} and value is not None
        )
        rows.append(f"{event['seq']:>8} [{event['retired']:>14,}] {event['kind']} {facts}")
    if not rows and recording:
        return "nothing of what is recorded has happened yet"
    return "\n".join(rows) or "nothing is recorded: `trace start` begins"


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return "+".join(value) if isinstance(value, list) else str(value).lower()
    return hex(value)
