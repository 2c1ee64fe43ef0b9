"""The services' protocols: what the window, the command line and scripts may call.

All methods are coroutines (or give async iterators) for one event loop, and none blocks it.
``machine`` is a machine's name or id. Every method raises subclasses of ``VmwbError`` only;
``NotFoundError`` when there is no such machine, ``WrongStateError`` with the refusal's sentence
when ``vmwb.model.power`` forbids the action.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.config import VmConfig
from vmwb.model.debug import (
    CodeLine,
    DebugStatus,
    DescriptorTable,
    DescriptorTableKind,
    Memory,
    PageWalk,
    Registers,
    TraceReading,
    TraceSettings,
    Watchpoint,
)
from vmwb.model.drives import DriveKind, ImageFile
from vmwb.model.keyboard import KeyPress
from vmwb.model.stats import MachineStats
from vmwb.services.gdb.target import View
from vmwb.services.types import (
    DeletePlan,
    Finding,
    MachineEvent,
    MachineSummary,
    Motion,
    Place,
    RunRequest,
    RunResult,
    StopKind,
    WaitFor,
    WaitResult,
)


class SerialStream(Protocol):
    """A live serial port of a running machine; close it when done."""

    async def read(self, limit: int = 65_536) -> bytes:
        """Give the guest's next output, at least one byte; ``b""`` when the machine is gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Hand bytes to the guest; returns when the worker has room for more."""
        ...

    def close(self) -> None:
        """End the stream; idempotent."""
        ...


class MachineService(Protocol):
    """Machines of the library."""

    async def list(self) -> tuple[MachineSummary, ...]:
        """All machines, by name; one that cannot be read is listed with its problem."""
        ...

    def watch(self) -> AsyncIterator[tuple[MachineSummary, ...]]:
        """The list now, and again whenever it changes, until the iterator is closed."""
        ...

    async def show(self, machine: str) -> MachineSummary:
        """One machine."""
        ...

    async def create(self, config: VmConfig) -> MachineSummary:
        """Put a new machine into the library; the id is chosen here.

        Raises:
            NameTakenError, ConfigError, StorageError.
        """
        ...

    async def edit(
        self, machine: str, config: VmConfig, *, dry_run: bool = False
    ) -> MachineSummary:
        """Replace a machine's definition (not its id, not its name); give the new summary."""
        ...

    async def rename(self, machine: str, new_name: str) -> MachineSummary:
        """Give a machine another name; its id stays."""
        ...

    async def delete(self, machine: str, *, dry_run: bool = False) -> DeletePlan:
        """Remove a machine and all its files for good, or say what that would remove."""
        ...


class PowerService(Protocol):
    """The power buttons. Each returns when the new state is reached, with the new summary."""

    async def start(self, machine: str) -> MachineSummary:
        """Switch a machine on; returns when its processor runs."""
        ...

    async def stop(
        self, machine: str, kind: StopKind = StopKind.HARD, *, timeout_s: float = 60.0
    ) -> MachineSummary:
        """Switch a machine off at once, or press its power button and wait for the guest.

        Raises:
            TimedOutError: soft, and the guest did not switch itself off in time; it runs on.
        """
        ...

    async def reset(self, machine: str) -> MachineSummary:
        """Press the reset button."""
        ...

    async def pause(self, machine: str) -> MachineSummary:
        """Stop the processor; memory and devices stay as they are."""
        ...

    async def unpause(self, machine: str) -> MachineSummary:
        """Let a paused machine run on."""
        ...

    async def suspend(self, machine: str) -> MachineSummary:
        """Write a machine's whole state to its bundle and end its process."""
        ...

    async def resume(self, machine: str) -> MachineSummary:
        """Bring a suspended machine back, in a new process."""
        ...

    async def discard(self, machine: str) -> MachineSummary:
        """Throw a suspended state away: the machine is off afterwards."""
        ...


class ConsoleService(Protocol):
    """Keyboard, screen and serial ports of a running machine."""

    async def send(self, machine: str, data: bytes, *, port: int = 0) -> None:
        """Write bytes to a serial port of the guest."""
        ...

    async def press(self, machine: str, presses: Sequence[KeyPress]) -> None:
        """Move keys, in order; see ``vmwb.model.keyboard`` for texts and combinations."""
        ...

    async def point(
        self, machine: str, place: Place | Motion, *, wheel: int = 0, buttons: int = 0
    ) -> None:
        """Move the pointer; ``wheel`` counts away from the user.

        ``buttons`` that are down: bit 0 left, 1 right, 2 middle. Places reach only a guest that
        takes them (see ``PointerEvent``).
        """
        ...

    async def screen_text(self, machine: str) -> str | None:
        """Text on the screen, rows joined by newlines; ``None`` without a text screen."""
        ...

    async def screenshot(self, machine: str) -> bytes:
        """The screen as a PNG file.

        Raises:
            NotFoundError: the machine has no display.
        """
        ...

    async def open_frame(self, machine: str) -> FrameReader | None:
        """Map the framebuffer; ``None`` without a display. The caller closes it."""
        ...

    async def open_serial(
        self, machine: str, *, port: int = 0, replay: bool = True
    ) -> SerialStream:
        """Attach to a serial port; ``replay`` begins with what was kept since power-on."""
        ...


class MediaService(Protocol):
    """What lies in the drives with removable media. Works on machines that run or are off."""

    async def look(self, path: Path, kind: DriveKind) -> ImageFile:
        """Look at an image that the user has named: its absolute path and its format.

        Raises:
            NotFoundError: there is no such file.
            UsageError: it is a folder, and the drive takes none.
            StorageError: it cannot be read.
        """
        ...

    async def insert(
        self, machine: str, drive: str, path: Path, *, read_only: bool = False, force: bool = False
    ) -> MachineSummary:
        """Put an image into a drive; of a folder a CD is made.

        Args:
            machine: name or id.
            drive: ``cdrom`` or ``floppy`` for the first of its kind, or a slot such as ``ide2``.
            path: image file; for a CD drive also a folder.
            read_only: write-protect a floppy. CDs always are.
            force: overrule a guest that holds the tray.

        Raises:
            NotFoundError: there is no such drive or file.
            BusyError: the guest holds the tray.
        """
        ...

    async def eject(self, machine: str, drive: str, *, force: bool = False) -> MachineSummary:
        """Empty a drive; see ``insert``."""
        ...


class WatchService(Protocol):
    """Waiting for, and looking at, machines."""

    async def wait(
        self, machine: str, condition: WaitFor, *, timeout_s: float | None = None
    ) -> WaitResult:
        """Return when the condition holds.

        Raises:
            TimedOutError: it did not in time.
            WrongStateError: it cannot any more, because the machine has ended.
        """
        ...

    def events(
        self, machine: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[MachineEvent]:
        """Events since power-on and, with ``follow``, those to come; ``None``: of all machines."""
        ...

    async def stats(self, machine: str) -> MachineStats:
        """Statistics of a running machine now."""
        ...

    async def logs(self, machine: str, *, lines: int = 200) -> str:
        """The last lines of the machine's log; works in every state."""
        ...


class DebugService(Protocol):
    """A machine under a debugger, and what its trace points record.

    Looking is allowed while it runs or is paused, changing while it is paused. To continue and to
    interrupt are ``power.unpause`` and ``power.pause``. Bounds are those of ``vmwb.model.debug``.
    """

    async def status(self, machine: str) -> DebugStatus:
        """Where the machine stands, and why."""
        ...

    async def select(self, machine: str, processor: int) -> None:
        """Look at another processor, until one is stopped or chosen.

        Raises:
            UsageError: the machine has none of this number, which counts from 0.
        """
        ...

    async def registers(self, machine: str) -> Registers:
        """All registers."""
        ...

    async def nmi(self, machine: str) -> None:
        """Press the board's button for non-maskable interrupts.

        Raises:
            WrongStateError: the guest has masked them by port 70h.
        """
        ...

    async def set_register(self, machine: str, name: str, value: int) -> None:
        """Set one register of a paused machine."""
        ...

    async def read_memory(
        self, machine: str, address: int, length: int, *, physical: bool = False
    ) -> Memory:
        """Read memory without any effect on the guest.

        Raises:
            NotFoundError: not even the first byte can be read.
        """
        ...

    async def write_memory(
        self, machine: str, address: int, data: bytes, *, physical: bool = False
    ) -> None:
        """Write RAM of a paused machine, all or nothing."""
        ...

    async def walk(self, machine: str, address: int) -> PageWalk:
        """The way of a linear address through the page tables to the host's memory."""
        ...

    async def disassemble(
        self, machine: str, address: int | None = None, count: int = 10, *, bits: int | None = None
    ) -> tuple[CodeLine, ...]:
        """Instructions from a linear address on, or from the next one to run."""
        ...

    async def descriptors(
        self, machine: str, table: DescriptorTableKind, *, first: int = 0, count: int = 32
    ) -> DescriptorTable:
        """Descriptors of a table."""
        ...

    async def breakpoints(
        self,
        machine: str,
        *,
        add: Sequence[int] = (),
        remove: Sequence[int] = (),
        clear: bool = False,
    ) -> tuple[int, ...]:
        """Change the breakpoints (linear addresses), and give them."""
        ...

    async def watchpoints(
        self,
        machine: str,
        *,
        add: Sequence[Watchpoint] = (),
        remove: Sequence[Watchpoint] = (),
        clear: bool = False,
    ) -> tuple[Watchpoint, ...]:
        """Change the watchpoints, and give them."""
        ...

    async def step(self, machine: str, count: int = 1) -> DebugStatus:
        """Run so many instructions of a paused machine; it stays paused."""
        ...

    async def wait_stop(self, machine: str, *, timeout_s: float | None = None) -> DebugStatus:
        """Return when the machine stands still: at a breakpoint, or because it was paused."""
        ...

    async def serve_gdb(
        self,
        machine: str,
        *,
        socket: Path | None = None,
        port: int | None = None,
        view: View = View.AUTO,
        once: bool = False,
        listening: Callable[[str], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        """Let gdb attach to a machine: over a Unix socket, or a port of this host alone.

        Args:
            machine: name or id; it runs or is paused.
            socket: path of the socket; neither it nor ``port``: one in the runtime directory.
            port: TCP port on 127.0.0.1, which every user of this host can reach; 0 picks one.
            view: 32- or 64-bit registers, or as the processor is when gdb attaches.
            once: end with the first connection.
            listening: called once with the place for gdb's ``target remote``.
            stop: set it to end.
        """
        ...

    async def trace_start(self, machine: str, settings: TraceSettings) -> None:
        """Begin to record events; what was recorded before is dropped."""
        ...

    async def trace_stop(self, machine: str) -> None:
        """End the recording; what was recorded can still be read."""
        ...

    async def trace_read(self, machine: str, *, first: int = 0, limit: int = 1000) -> TraceReading:
        """Read recorded events from a number on; the oldest are gone when there were too many."""
        ...


class DoctorService(Protocol):
    """What this host offers, and what is missing."""

    async def findings(self) -> tuple[Finding, ...]:
        """Look at everything; takes up to a second."""
        ...


class RunService(Protocol):
    """A machine in the foreground, nothing kept."""

    async def run(
        self,
        request: RunRequest,
        *,
        output: Callable[[bytes], None] | None = None,
        attached: Callable[[SerialStream], None] | None = None,
        opened: Callable[[Services], None] | None = None,
        noticed: Callable[[str], None] | None = None,
        interrupt: asyncio.Event | None = None,
    ) -> RunResult:
        """Run an ephemeral machine to its end.

        Args:
            request: the machine and what ends it.
            output: called with the serial port's output, from the event loop.
            attached: called once with the serial port, for input; it stays this method's.
            opened: called once with services of a library that holds this machine alone; they
                stay this method's, which closes them before it returns.
            noticed: called with a sentence when the machine runs and finds nothing to boot.
            interrupt: set it to end the run early, in good order.

        Raises:
            VmwbError: the machine could not even be started. How it ended is in the result.
        """
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """All services of one library, as ``vmwb.app.build_services`` wires them."""

    library_path: Path
    machines: MachineService
    power: PowerService
    console: ConsoleService
    media: MediaService
    watch: WatchService
    debug: DebugService
    doctor: DoctorService
    runs: RunService
    close: Callable[[], Awaitable[None]]
