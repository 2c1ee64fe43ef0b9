"""Debugger and trace points: the services over the fake core, and the real core under them."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import guests
import pytest
from contract.bench import Bench

import vmwb_core
from vmwb.model.config import BootConfig, VmConfig
from vmwb.model.debug import TRACE_CLASSES, TraceSettings, Watchpoint
from vmwb.model.errors import NotFoundError, StorageError, UsageError, WrongStateError
from vmwb.model.power import PowerState
from vmwb.services.types import RunRequest, TraceRequest

PATIENCE = 20.0


async def started(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())
    await bench.services.power.start("deb")


# ---------------------------------------------------------------- services


async def test_debugger_looks_while_it_runs_and_changes_while_it_stands(bench: Bench) -> None:
    await started(bench)
    debug = bench.services.debug

    assert (await debug.read_memory("deb", 4, 2)).data == b"\4\5"
    with pytest.raises(WrongStateError, match="pause it first"):
        await debug.step("deb")
    with pytest.raises(NotFoundError):
        await debug.read_memory("deb", 5000, 1)
    await bench.services.power.pause("deb")
    await debug.write_memory("deb", 4, b"xy")
    assert (await debug.read_memory("deb", 4, 2)).data == b"xy"
    assert (await debug.step("deb", 3)).rip == 3


async def test_points_are_kept_by_the_machine(bench: Bench) -> None:
    await started(bench)
    debug = bench.services.debug
    point = Watchpoint(8, 2)

    assert await debug.breakpoints("deb", add=[32, 16]) == (16, 32)
    assert await debug.breakpoints("deb", remove=[16]) == (32,)
    assert await debug.breakpoints("deb", clear=True) == ()
    assert await debug.watchpoints("deb", add=[point]) == (point,)
    assert await debug.watchpoints("deb", remove=[point]) == ()


async def test_breakpoint_pauses_and_wait_stop_returns(bench: Bench) -> None:
    await started(bench)
    await bench.services.console.send("deb", b"break 64\n")

    status = await bench.services.debug.wait_stop("deb", timeout_s=PATIENCE)

    assert (status.state, status.rip) == (PowerState.PAUSED, 64)


async def test_unpause_into_a_breakpoint_returns_although_it_stands_again(bench: Bench) -> None:
    await started(bench)
    await bench.services.debug.breakpoints("deb", add=[64])
    await bench.services.console.send("deb", b"break 64\n")
    await bench.services.debug.wait_stop("deb", timeout_s=PATIENCE)

    await bench.services.power.unpause("deb")

    assert (await bench.services.debug.status("deb")).state is PowerState.PAUSED


async def test_wait_stop_of_a_machine_that_ends_is_refused(bench: Bench) -> None:
    await started(bench)
    await bench.services.console.send("deb", b"poweroff\n")

    with pytest.raises(WrongStateError):
        await bench.services.debug.wait_stop("deb", timeout_s=PATIENCE)


async def test_debugger_of_a_machine_that_is_off_is_refused(bench: Bench) -> None:
    await bench.services.machines.create(bench.config())

    with pytest.raises(WrongStateError, match="start it first"):
        await bench.services.debug.registers("deb")


async def test_trace_of_a_live_machine_is_started_read_and_stopped(bench: Bench) -> None:
    await started(bench)
    debug = bench.services.debug

    await debug.trace_start("deb", TraceSettings(("halt",), 10))
    reading = await debug.trace_read("deb", first=2)
    await debug.trace_stop("deb")

    assert reading.classes == ("halt",)
    assert [json.loads(line)["seq"] for line in reading.lines.splitlines()] == [2, 3]
    with pytest.raises(UsageError, match="moods"):
        await debug.trace_start("deb", TraceSettings(("moods",)))


async def test_run_writes_its_trace_whole(bench: Bench, short_tmp_path: Path) -> None:
    file = short_tmp_path / "trace.jsonl"
    request = RunRequest(
        replace(bench.config(), name="run"),
        until_serial=("# ",),
        trace=TraceRequest(file, TraceSettings(("halt",), 10)),
    )

    result = await bench.services.runs.run(request)

    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert result.trace is not None
    assert (result.trace.events, result.trace.dropped) == (5, 0)


async def test_run_with_a_trace_that_cannot_be_written_does_not_begin(bench: Bench) -> None:
    request = RunRequest(
        bench.config(), trace=TraceRequest(Path("/nonexistent/trace"), TraceSettings())
    )

    with pytest.raises(StorageError, match="trace"):
        await bench.services.runs.run(request)


# ---------------------------------------------------------------- the real core


@pytest.fixture(scope="module")
def hello() -> Iterator[int]:
    handle = os.open(guests.hello(), os.O_RDONLY)
    yield handle
    os.close(handle)


def run_hello(hello: int, classes: list[str]) -> tuple[bytes, dict[str, object], list[str]]:
    """Run our guest to its end; give its serial output, statistics and trace."""
    config = VmConfig(
        name="hello", memory_mib=16, deterministic=True, pace=False, boot=BootConfig("/k", None, "")
    )
    machine = vmwb_core.Machine(config.to_spec(), {"kernel": hello})
    console = machine.console_handle(0)
    if classes:
        machine.debug(json.dumps({"do": "trace_start", "classes": classes, "limit": 100_000}))
    machine.start()
    told = ""
    while '"off"' not in told:
        assert select.select([machine.event_handle()], [], [], PATIENCE)[0]
        told += "".join(machine.drain_events())
    stats = json.loads(machine.stats())
    trace = json.loads(machine.debug('{"do": "trace_read", "limit": 100000}'))
    machine.close()
    output = bytearray()
    while part := os.read(console, 65_536):
        output += part
    os.close(console)
    return bytes(output), stats, trace["lines"].splitlines()


def test_trace_changes_nothing_of_a_deterministic_run(hello: int) -> None:
    plain, without, nothing = run_hello(hello, [])
    traced, with_trace, lines = run_hello(hello, ["all"])

    assert guests.HELLO_TEXT.encode() in plain
    assert (traced, with_trace["retired"]) == (plain, without["retired"])
    assert with_trace["virtual_ns"] == without["virtual_ns"]
    assert nothing == []
    events = [json.loads(line) for line in lines]
    instructions = [event for event in events if event["kind"] == "instruction"]
    assert [event["retired"] for event in instructions] == list(range(len(instructions)))
    assert len(instructions) == with_trace["retired"]
    assert {event["kind"] for event in events} <= {*TRACE_CLASSES}


def test_core_knows_exactly_our_classes_of_events(hello: int) -> None:
    config = VmConfig(name="hello", memory_mib=16, boot=BootConfig("/k", None, ""))
    machine = vmwb_core.Machine(config.to_spec(), {"kernel": hello})
    answer = json.loads(
        machine.debug(json.dumps({"do": "trace_start", "classes": ["all"], "limit": 1}))
    )
    machine.close()

    assert answer["classes"] == list(TRACE_CLASSES)
