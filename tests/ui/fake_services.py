"""Fakes of the services that the window talks to: no process, no library, every call noted.

The power buttons move the state as the real ones do and refuse by the same table. The screen is a
shared framebuffer with colour bars, laid out as the core's.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from vmwb.ipc import framebuffer as fb
from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.config import VmConfig
from vmwb.model.errors import NotFoundError, VmwbError
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import Action, PowerState, require
from vmwb.model.stats import MachineStats
from vmwb.services.api import SerialStream, Services
from vmwb.services.types import DeletePlan, MachineSummary, StopKind

BARS = (0xFFFFFF, 0xFFFF00, 0x00FFFF, 0x00FF00, 0xFF00FF, 0xFF0000, 0x0000FF, 0x000000)
LOG = "the first line\nthe last line"


class TestPattern:
    """A framebuffer of ``width`` x ``height`` with eight upright colour bars."""

    __test__ = False

    def __init__(self, width: int = 1024, height: int = 768) -> None:
        self.width, self.height = width, height
        stride, offset = width * fb.BYTES_PER_PIXEL, 2 * fb.HEADER_BYTES
        self._offset = offset
        self.handle = os.memfd_create("pattern")
        os.ftruncate(self.handle, offset + stride * height)
        for name, value in {
            "magic": fb.MAGIC,
            "version": fb.LAYOUT_VERSION,
            "pixel_format": fb.FORMAT_XRGB8888,
            "sequence": 2,
            "generation": 1,
            "width": width,
            "height": height,
            "stride": stride,
            "buffer_count": 1,
            "buffer_offset": offset,
            "buffer_size": stride * height,
            "text_offset": fb.HEADER_BYTES,
        }.items():
            self.set(name, value)
        row = b"".join(struct.pack("<I", self.colour(x)) for x in range(width))
        os.pwrite(self.handle, row * height, offset)

    def set(self, name: str, value: int) -> None:
        offset, size = fb.LAYOUT[name]
        os.pwrite(self.handle, value.to_bytes(size, "little"), offset)

    def colour(self, x: int) -> int:
        return BARS[x * len(BARS) // self.width]

    def fill(self, colour: int) -> None:
        os.pwrite(self.handle, struct.pack("<I", colour) * self.width * self.height, self._offset)

    def close(self) -> None:
        os.close(self.handle)


class FakeSerial:
    """A serial port that says ``hello`` and then waits; what is written is noted."""

    def __init__(self) -> None:
        self.output: asyncio.Queue[bytes] = asyncio.Queue()
        self.output.put_nowait(b"hello")
        self.written = b""
        self.closed = False

    async def read(self, limit: int = 65_536) -> bytes:
        return await self.output.get()

    async def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


class FakeServices:
    """Machines, power, console and watch in one; ``services`` is what the window gets."""

    def __init__(self, *names: str) -> None:
        self.machines = {name: summary(name) for name in names}
        self.calls: list[tuple[str, str]] = []
        self.pressed: list[KeyPress] = []
        self.serial = FakeSerial()
        self.pattern = TestPattern()
        self.fails: VmwbError | None = None
        self._changed = asyncio.Event()

    @property
    def services(self) -> Services:
        me = cast("Any", self)
        machines, power = cast("Any", _Machines(self)), cast("Any", _Power(self))
        return Services(Path("/library"), machines, power, me, me, me, me, self.close)

    async def close(self) -> None:
        self.pattern.close()

    def put(self, machine: MachineSummary) -> None:
        self.machines[machine.name] = machine
        self._changed.set()

    def die(self, name: str, sentence: str) -> None:
        """End a run as a worker that is killed ends it."""
        self.put(replace(self.find(name), state=PowerState.CRASHED, pid=None, problem=sentence))

    def find(self, key: str) -> MachineSummary:
        for machine in self.machines.values():
            if key in {machine.id, machine.name}:
                return machine
        raise NotFoundError(f"There is no machine {key!r} in the library.")

    def snapshot(self) -> tuple[MachineSummary, ...]:
        return tuple(self.machines[name] for name in sorted(self.machines))

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    # ---------------------------------------------------------------- console and watch

    async def press(self, machine: str, presses: Sequence[KeyPress]) -> None:
        self.pressed.extend(presses)

    async def screen_text(self, machine: str) -> str | None:
        return f"text of {self.find(machine).name}"

    async def open_frame(self, machine: str) -> FrameReader | None:
        return FrameReader(self.pattern.handle)

    async def open_serial(
        self, machine: str, *, port: int = 0, replay: bool = True
    ) -> SerialStream:
        return self.serial

    async def stats(self, machine: str) -> MachineStats:
        return MachineStats.from_json({"state": "running", "instructions_per_second": 42e6})

    async def logs(self, machine: str, *, lines: int = 200) -> str:
        return LOG


class _Machines:
    def __init__(self, fake: FakeServices) -> None:
        self._fake = fake

    async def list(self) -> tuple[MachineSummary, ...]:
        return self._fake.snapshot()

    async def watch(self) -> AsyncIterator[tuple[MachineSummary, ...]]:
        while True:
            yield self._fake.snapshot()
            await self._fake.changed()

    async def show(self, machine: str) -> MachineSummary:
        return self._fake.find(machine)

    async def create(self, config: VmConfig) -> MachineSummary:
        made = summary(config.name, config=config)
        self._fake.put(made)
        return made

    async def delete(self, machine: str, *, dry_run: bool = False) -> DeletePlan:
        found = self._fake.find(machine)
        if not dry_run:
            del self._fake.machines[found.name]
        return DeletePlan(found.name, found.path, 3, 4096, not dry_run)


class _Power:
    def __init__(self, fake: FakeServices) -> None:
        self._fake = fake

    async def start(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.START, PowerState.RUNNING)

    async def resume(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.RESUME, PowerState.RUNNING)

    async def pause(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.PAUSE, PowerState.PAUSED)

    async def unpause(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.UNPAUSE, PowerState.RUNNING)

    async def reset(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.RESET, PowerState.RUNNING)

    async def suspend(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.SUSPEND, PowerState.SUSPENDED)

    async def discard(self, machine: str) -> MachineSummary:
        return self._move(machine, Action.DISCARD, PowerState.OFF)

    async def stop(
        self, machine: str, kind: StopKind = StopKind.SOFT, *, timeout_s: float = 60.0
    ) -> MachineSummary:
        action = Action.STOP if kind is StopKind.HARD else Action.SHUT_DOWN
        return self._move(machine, action, PowerState.OFF)

    def _move(self, key: str, action: Action, state: PowerState) -> MachineSummary:
        found = self._fake.find(key)
        require(action, found.state, found.name)
        self._fake.calls.append((action.value, found.name))
        if self._fake.fails is not None:
            raise self._fake.fails
        moved = replace(found, state=state, problem=None, pid=4711 if state.has_worker else None)
        self._fake.put(moved)
        return moved


def summary(
    name: str, state: PowerState = PowerState.OFF, config: VmConfig | None = None
) -> MachineSummary:
    return MachineSummary(
        id=f"id-of-{name}",
        name=name,
        state=state,
        config=config or VmConfig(name),
        path=Path(f"/library/{name}.vmwb"),
        pid=4711 if state.has_worker else None,
    )
