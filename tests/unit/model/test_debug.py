from __future__ import annotations

from typing import Any

import pytest

from vmwb.model.debug import (
    GENERAL,
    DebugStatus,
    DescriptorTable,
    Memory,
    PageWalk,
    Registers,
    TraceReading,
    TraceSettings,
    WatchKind,
    Watchpoint,
    breakpoints,
    code_lines,
    watchpoints,
)
from vmwb.model.errors import ProtocolError
from vmwb.model.power import PowerState

SEGMENT = {"selector": 16, "base": 0, "limit": 0xFFFFFFFF, "attributes": 0xC09B}


def registers() -> dict[str, Any]:
    """Give what the core answers, for a processor of round numbers."""
    return {
        "mode": "long64",
        "cpl": 0,
        "halted": False,
        "retired": 7,
        "general": list(range(16)),
        "rip": 0x1000,
        "linear_rip": 0x1000,
        "rflags": 2,
        "segments": [SEGMENT] * 6,
        "ldtr": SEGMENT,
        "tr": SEGMENT,
        "gdtr": {"base": 0x2000, "limit": 0x7F},
        "idtr": {"base": 0x3000, "limit": 0xFFF},
        **dict.fromkeys(("cr0", "cr2", "cr3", "cr4", "cr8", "efer"), 1),
        "debug": [0] * 8,
        "kernel_gs_base": 5,
        "x87": {
            "st": ["3fff8000000000000000"] * 8,
            "control": 0x37F,
            "status": 0,
            "tag": 0xFFFF,
            "opcode": 0,
            "instruction": [1, 2],
            "operand": [3, 4],
        },
        "xmm": ["0" * 31 + "f"] * 16,
        "mxcsr": 0x1F80,
    }


def test_registers_are_read_whole_and_named() -> None:
    read = Registers.from_json(registers())

    assert read.named()["rsp"] == GENERAL.index("rsp")
    assert read.named()["pc"] == 0x1000
    assert read.xmm[15] == 15
    assert read.x87.st[0] == 0x3FFF << 64 | 1 << 63


@pytest.mark.parametrize(
    "change",
    [
        {"general": [1]},
        {"rip": None},
        {"rip": True},
        {"mode": 5},
        {"segments": {}},
        {"xmm": ["x"] * 16},
        {"x87": None},
    ],
)
def test_registers_that_are_none_are_a_protocol_error(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        Registers.from_json({**registers(), **change})


def test_status_reads_why_a_machine_stands() -> None:
    status = DebugStatus.from_json(
        {
            "state": "paused",
            "stop": {"reason": "watchpoint", "address": 5, "watch": "write", "write": True},
        }
    )

    assert status.state is PowerState.PAUSED
    assert status.stop is not None
    assert (status.stop.watch, status.stop.write) == (WatchKind.WRITE, True)
    assert DebugStatus.from_json({"state": "running", "stop": None}).stop is None


def test_memory_walk_code_and_tables_are_read() -> None:
    walk = PageWalk.from_json(
        {
            "linear": 1,
            "end": "mapped",
            "physical": 1,
            "page_bytes": 4096,
            "writable": True,
            "user": False,
            "executable": True,
            "entries": [{"table": "pt", "index": 0, "address": None, "value": 3}],
            "leads_to": "ram",
            "host": 9,
        }
    )
    row = {
        "index": 1,
        "low": 2,
        "high": None,
        "kind": "data",
        "base": 0,
        "limit": 1,
        "selector": 0,
        "dpl": 3,
        "present": True,
    }
    table = DescriptorTable.from_json({"base": 1, "limit": 2, "descriptors": [row]})
    lines = code_lines({"lines": [{"address": 1, "bytes": "90", "text": "nop"}]})

    assert Memory.from_json({"address": 1, "data": "00ff"}).data == b"\0\xff"
    assert (walk.host, walk.entries[0].address) == (9, None)
    assert (table.descriptors[0].dpl, lines[0].text) == (3, "nop")
    with pytest.raises(ProtocolError):
        Memory.from_json({"address": 1, "data": "0"})


def test_points_survive_the_wire() -> None:
    point = Watchpoint(16, 4, WatchKind.ACCESS)

    assert watchpoints({"watchpoints": [point.to_json()]}) == (point,)
    assert breakpoints({"breakpoints": [1, 2]}) == (1, 2)


@pytest.mark.parametrize(
    ("settings", "sound"),
    [
        (TraceSettings(), True),
        (TraceSettings(("all",), 1), True),
        (TraceSettings(("mode", "moods")), False),
        (TraceSettings(()), False),
        (TraceSettings(limit=0), False),
        (TraceSettings(limit=1_000_001), False),
    ],
)
def test_trace_settings_say_what_is_wrong_with_them(settings: TraceSettings, sound: bool) -> None:
    problems = settings.problems()

    assert (problems == ()) == sound
    assert all(problem.endswith(".") for problem in problems)


def test_trace_reading_is_read() -> None:
    reading = TraceReading.from_json(
        {"classes": ["mode"], "first": 1, "end": 3, "next": 3, "lines": "{}\n"}
    )

    assert (reading.kept_from, reading.next, reading.lines) == (1, 3, "{}\n")
