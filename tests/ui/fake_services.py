"""Services without processes: machines are values, a screen is a memfd, a port is a pair of queues.

They keep the contract of ``vmwb.services.api`` as far as a window sees it: the power table decides,
refusals are ``VmwbError``, the list is told whenever it changes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vmwb.ipc import framebuffer as fb
from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.config import CONSOLE_PORT, BootConfig, DisplayKind, SerialConfig, VmConfig
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile
from vmwb.model.errors import BusyError, NameTakenError, NotFoundError, TimedOutError, VmwbError
from vmwb.model.events import Event
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import Action, PowerState, require
from vmwb.model.stats import MachineStats
from vmwb.services.api import Services
from vmwb.services.types import (
    DeletePlan,
    MachineEvent,
    MachineSummary,
    Motion,
    Place,
    StopKind,
)

BUFFERS_AT = 8192
PIXELS_MAX = 2560 * 1600


class FakeScreen:
    """A framebuffer of one pixel buffer; ``paint`` publishes."""

    def __init__(self, width: int = 64, height: int = 32) -> None:
        self.handle = os.memfd_create("fake-screen", os.MFD_ALLOW_SEALING)
        self.width, self.height, self.sequence = width, height, 0
        self.generation = 0
        os.ftruncate(self.handle, BUFFERS_AT + PIXELS_MAX * 4)
        fcntl.fcntl(self.handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.paint(width, height, lambda *_: 0)

    def paint(self, width: int, height: int, colour: Any) -> None:
        self.width, self.height = width, height
        rows = b"".join(
            struct.pack(f"<{width}I", *(colour(x, y) for x in range(width))) for y in range(height)
        )
        os.pwrite(self.handle, rows, BUFFERS_AT)
        self.sequence += 2
        self.generation += 1
        fields = {
            "magic": fb.MAGIC,
            "version": fb.LAYOUT_VERSION,
            "pixel_format": fb.FORMAT_XRGB8888,
            "sequence": self.sequence,
            "generation": self.generation,
            "width": width,
            "height": height,
            "stride": width * 4,
            "buffer_count": 1,
            "buffer_offset": BUFFERS_AT,
            "buffer_size": PIXELS_MAX * 4,
            "text_offset": fb.HEADER_BYTES,
        }
        for name, value in fields.items():
            self.write(name, value)

    def write(self, name: str, value: int) -> None:
        offset, size = fb.LAYOUT[name]
        os.pwrite(self.handle, value.to_bytes(size, "little"), offset)


class FakeStream:
    def __init__(self) -> None:
        self.output: asyncio.Queue[bytes] = asyncio.Queue()
        self.written = bytearray()
        self.closed = False

    async def read(self, limit: int = 65_536) -> bytes:
        return await self.output.get()

    async def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeMachine:
    summary: MachineSummary
    screen: FakeScreen = field(default_factory=FakeScreen)
    stream: FakeStream | None = None
    console: FakeStream | None = None
    presses: list[KeyPress] = field(default_factory=list)
    steps: list[tuple[Place | Motion, int, int]] = field(default_factory=list)
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    text: str | None = "~ # uname\nLinux"
    log: str = "one\ntwo\nthe last line"
    deaf: bool = False
    held: set[str] = field(default_factory=set)
    refused: dict[str, VmwbError] = field(default_factory=dict)
    runs: int = 0


class FakeWorld:
    """All machines; ``calls`` lists the power buttons that were pressed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: dict[str, FakeMachine] = {}
        self.calls: list[str] = []
        self.changed: list[asyncio.Event] = []

    def add(
        self,
        name: str,
        state: PowerState = PowerState.OFF,
        *,
        display: str = "vga",
        drives: tuple[DriveConfig, ...] = (),
        console: SerialConfig | None = None,
    ) -> FakeMachine:
        config = VmConfig(
            name=name,
            id=f"id-{name}",
            display=DisplayKind(display),
            boot=BootConfig(kernel="/boot/linux", append="console=ttyS0"),
            drives=drives,
            console=console,
        )
        path = self.folder / f"{name}.vmwb"
        machine = FakeMachine(MachineSummary(config.id, name, PowerState.OFF, config, path))
        self.machines[config.id] = machine
        self.set(config.id, state)
        return machine

    def set(
        self, key: str, state: PowerState, problem: str | None = None, code: str | None = None
    ) -> MachineSummary:
        machine = self.machines[key]
        lived = machine.summary.pid is not None
        if state.has_worker and not lived:
            machine.runs += 1
            machine.stream = FakeStream()
            machine.console = FakeStream()
        if lived and not state.has_worker:
            for stream in (machine.stream, machine.console):
                if stream is not None:
                    stream.output.put_nowait(b"")
        pid = 1000 + machine.runs if state.has_worker else None
        machine.summary = replace(
            machine.summary, state=state, pid=pid, problem=problem, problem_code=code
        )
        self.tell()
        return machine.summary

    def die(self, key: str) -> None:
        """The worker's process is killed."""
        self.set(key, PowerState.CRASHED, "The worker of the machine died (signal 9).")

    def tell(self) -> None:
        for event in self.changed:
            event.set()

    def list(self) -> tuple[MachineSummary, ...]:
        found = (machine.summary for machine in self.machines.values())
        return tuple(sorted(found, key=lambda item: item.name))

    def find(self, name: str) -> FakeMachine:
        for machine in self.machines.values():
            if name in {machine.summary.id, machine.summary.name}:
                return machine
        raise NotFoundError(f"There is no machine {name!r}.")

    def services(self) -> Services:
        async def close() -> None:
            return

        parts: Any = _Parts(self)
        return Services(
            library_path=self.folder,
            machines=parts,
            power=_Power(self),
            console=parts,
            media=_Media(self),
            watch=parts,
            debug=parts,
            doctor=parts,
            runs=parts,
            close=close,
        )

    def close(self) -> None:
        for machine in self.machines.values():
            os.close(machine.screen.handle)


class _Parts:
    """Machines, console and watch service in one; their methods do not collide."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    async def list(self) -> tuple[MachineSummary, ...]:
        return self.world.list()

    async def watch(self) -> AsyncIterator[tuple[MachineSummary, ...]]:
        event = asyncio.Event()
        self.world.changed.append(event)
        try:
            while True:
                event.clear()
                yield self.world.list()
                await event.wait()
        finally:
            self.world.changed.remove(event)

    async def nmi(self, machine: str) -> None:
        self.world.calls.append(f"nmi {self.world.find(machine).summary.name}")

    async def show(self, machine: str) -> MachineSummary:
        return self.world.find(machine).summary

    async def create(self, config: VmConfig) -> MachineSummary:
        if any(item.summary.name == config.name for item in self.world.machines.values()):
            raise NameTakenError(f"There is a machine {config.name!r} already.")
        made = self.world.add(config.name)
        made.summary = replace(made.summary, config=replace(config, id=made.summary.id))
        return made.summary

    async def delete(self, machine: str, *, dry_run: bool = False) -> DeletePlan:
        found = self.world.find(machine).summary
        require(Action.DELETE, found.state, found.name)
        if not dry_run:
            del self.world.machines[found.id]
            self.world.tell()
        return DeletePlan(found.name, found.path, 3, 4096, done=not dry_run)

    async def press(self, machine: str, presses: Sequence[KeyPress]) -> None:
        found = self.world.find(machine)
        if "keyboard" in found.refused:
            self.world.calls.append("refused")
            raise found.refused["keyboard"]
        self._live(machine, Action.INPUT).presses += presses

    async def point(
        self, machine: str, place: Place | Motion, *, wheel: int = 0, buttons: int = 0
    ) -> None:
        self._live(machine, Action.INPUT).steps.append((place, wheel, buttons))

    async def events(
        self, machine: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[MachineEvent]:
        found = self.world.find(machine or "")
        while True:
            event = await found.events.get()
            yield MachineEvent(found.summary.id, found.summary.name, event)

    async def screen_text(self, machine: str) -> str | None:
        return self._live(machine, Action.OBSERVE).text

    async def open_frame(self, machine: str) -> FrameReader | None:
        found = self._live(machine, Action.OBSERVE)
        config = found.summary.config
        if config is not None and config.display is DisplayKind.NONE:
            return None
        return FrameReader(found.screen.handle)

    async def open_serial(self, machine: str, *, port: int = 0, replay: bool = True) -> Any:
        found = self._live(machine, Action.OBSERVE)
        return found.console if port == CONSOLE_PORT else found.stream

    async def stats(self, machine: str) -> MachineStats:
        found = self._live(machine, Action.OBSERVE)
        return MachineStats(found.summary.state, "fake", instructions_per_second=123e6)

    async def logs(self, machine: str, *, lines: int = 200) -> str:
        return self.world.find(machine).log

    def _live(self, machine: str, action: Action) -> FakeMachine:
        found = self.world.find(machine)
        require(action, found.summary.state, found.summary.name)
        return found


class _Media:
    """Drives with removable media; one ``held`` opens by force only, one ``refused`` never."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    async def look(self, path: Path, kind: DriveKind) -> ImageFile:
        if not await asyncio.to_thread(path.exists):
            raise NotFoundError(f"The image {path} does not exist.", {"path": str(path)})
        return ImageFile(str(path))

    async def insert(
        self, machine: str, drive: str, path: Path, *, read_only: bool = False, force: bool = False
    ) -> MachineSummary:
        return self._change(machine, drive, ImageFile(str(path)), force, read_only=read_only)

    async def eject(self, machine: str, drive: str, *, force: bool = False) -> MachineSummary:
        return self._change(machine, drive, None, force)

    def _change(
        self,
        machine: str,
        slot: str,
        image: ImageFile | None,
        force: bool,
        *,
        read_only: bool = False,
    ) -> MachineSummary:
        found = self.world.find(machine)
        require(Action.MEDIA, found.summary.state, found.summary.name)
        if slot in found.held and not force:
            raise BusyError("The guest holds the tray.", {"reason": "tray_held"})
        if slot in found.refused:
            raise found.refused[slot]
        config = found.summary.config
        assert config is not None
        drives = tuple(
            replace(one, image=image, read_only=read_only) if one.slot == slot else one
            for one in config.drives
        )
        found.summary = replace(found.summary, config=replace(config, drives=drives))
        self.world.tell()
        return found.summary


class _Power:
    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    async def start(self, machine: str) -> MachineSummary:
        return await self._press("start", machine, Action.START, PowerState.RUNNING)

    async def stop(
        self, machine: str, kind: StopKind = StopKind.HARD, *, timeout_s: float = 60.0
    ) -> MachineSummary:
        if kind is StopKind.HARD:
            return await self._press("stop", machine, Action.STOP, PowerState.OFF)
        if self.world.find(machine).deaf:
            raise TimedOutError("It did not switch itself off.")
        return await self._press("shut-down", machine, Action.SHUT_DOWN, PowerState.OFF)

    async def reset(self, machine: str) -> MachineSummary:
        return await self._press("reset", machine, Action.RESET, None)

    async def pause(self, machine: str) -> MachineSummary:
        return await self._press("pause", machine, Action.PAUSE, PowerState.PAUSED)

    async def unpause(self, machine: str) -> MachineSummary:
        return await self._press("unpause", machine, Action.UNPAUSE, PowerState.RUNNING)

    async def suspend(self, machine: str) -> MachineSummary:
        return await self._press("suspend", machine, Action.SUSPEND, PowerState.SUSPENDED)

    async def resume(self, machine: str) -> MachineSummary:
        return await self._press("resume", machine, Action.RESUME, PowerState.RUNNING)

    async def discard(self, machine: str) -> MachineSummary:
        return await self._press("discard", machine, Action.DISCARD, PowerState.OFF)

    async def _press(
        self, call: str, machine: str, action: Action, state: PowerState | None
    ) -> MachineSummary:
        found = self.world.find(machine)
        require(action, found.summary.state, found.summary.name)
        self.world.calls.append(f"{call} {found.summary.name}")
        await asyncio.sleep(0)
        return self.world.set(found.summary.id, state or found.summary.state)
