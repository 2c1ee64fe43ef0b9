"""One machine as its tab shows it: follows its run, hands it keys and pointer, counts its work.

A run is attached to when the summary names a worker, and left when it names none or another one.
Everything it tells are facts; the tab renders them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from PySide6.QtCore import QObject, Signal

from vmwb.model.errors import GuestCrashedError, VmwbError, WorkerGoneError, WrongStateError
from vmwb.model.events import PointerEvent
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import ALLOWED, Action, PowerState
from vmwb.model.stats import MachineStats
from vmwb.services.api import SerialStream, Services
from vmwb.services.types import MachineSummary
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.pointer import Step, Steps
from vmwb_ui.errors import error_text, problem_text
from vmwb_ui.library.model import key_of
from vmwb_ui.tasks import TaskHolder

STATS_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
FEED_BYTES: Final = 2_048
LOG_LINES: Final = 12
# At most a hundred a second; what comes faster is joined.
POINTER_SECONDS: Final = 0.01


class MachinePresenter(QObject):
    """Follows one machine. ``close`` it before it is dropped."""

    summary_changed = Signal()
    stats_changed = Signal()
    picture_changed = Signal(object)
    pointer_changed = Signal(bool)
    #: A port, by its number, begins to be read; what it gives.
    serial_began = Signal(int)
    serial_received = Signal(int, bytes)
    failed = Signal(str)

    def __init__(self, services: Services, summary: MachineSummary, parent: QObject) -> None:
        super().__init__(parent)
        self._services = services
        self._tasks = TaskHolder(self.failed.emit)
        self._run: asyncio.Task[None] | None = None
        self._keys: asyncio.Queue[KeyPress] = asyncio.Queue()
        self._typed: dict[int, asyncio.Queue[bytes]] = {}
        self._steps = Steps()
        self._stepped = asyncio.Event()
        self._takes_places = False
        self._picture: Picture | None = None
        self.summary = summary
        self.key = key_of(summary)
        self.log_tail = ""
        self.stats: MachineStats | None = None
        self.host_cpu = 0.0
        self._follow()

    @property
    def state(self) -> PowerState:
        """The power state as last told."""
        return self.summary.state

    @property
    def picture(self) -> Picture | None:
        """The screen of the run, as long as it lasts."""
        return self._picture

    @property
    def takes_places(self) -> bool:
        """Whether the guest takes places of the pointer, not movements."""
        return self._takes_places

    @property
    def takes_input(self) -> bool:
        """Whether keys and serial input reach the guest now."""
        return self.state in ALLOWED[Action.INPUT]

    def update(self, summary: MachineSummary) -> None:
        """Take the machine's newest summary."""
        if summary == self.summary:
            return
        before, self.summary = self.summary, summary
        if summary.pid != before.pid:
            self._follow()
        if summary.pid is not None and summary.problem and summary.problem != before.problem:
            said = problem_text(summary.problem_code, summary.problem, summary.problem_facts)
            self.failed.emit(said)
        self.summary_changed.emit()

    def press(self, press: KeyPress) -> None:
        """Move a key in the guest; the order of calls is kept."""
        if self.takes_input:
            self._keys.put_nowait(press)

    def point(self, step: Step) -> None:
        """Move the guest's pointer; what the guest is too slow for is joined."""
        if self.takes_input:
            self._steps.add(step)
            self._stepped.set()

    @property
    def ports(self) -> tuple[int, ...]:
        """Numbers of the ports that can be shown; one of a machine whose definition is damaged."""
        config = self.summary.config
        return (0,) if config is None else tuple(number for number, _ in config.ports)

    def type_serial(self, port: int, data: bytes) -> None:
        """Hand bytes to a serial port or console of the guest; the order of calls is kept."""
        if self.takes_input and port in self._typed:
            self._typed[port].put_nowait(data)

    async def close(self) -> None:
        """Leave the machine; it runs on."""
        await self._tasks.close()
        self._set_picture(None)

    # ------------------------------------------------------------------ a run

    def _follow(self) -> None:
        before, self._run = self._run, None
        if before is not None:
            before.cancel()
        if self.summary.pid is not None:
            self._run = self._tasks.spawn(self._attend(before), "run")
        elif self.summary.problem and self.summary.config is not None:
            self._tasks.spawn(self._read_log(), "log")

    async def _attend(self, before: asyncio.Task[None] | None) -> None:
        """Stay with a run until it is over or this is cancelled; the one before ends first."""
        if before is not None:
            await asyncio.wait({before})
        self._keys = asyncio.Queue()
        self._typed = {port: asyncio.Queue() for port in self.ports}
        self._steps = Steps()
        self.log_tail = ""
        self._set_picture(None)
        parts: tuple[Coroutine[Any, Any, None], ...] = (
            self._show_screen(),
            *(self._read_serial(port) for port in self._typed),
            self._count(),
            self._send_keys(),
            self._send_steps(),
            self._hear_pointer(),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(part)
        finally:
            self.stats = None
            self._set_takes_places(False)
            # What a guest wrote before it halted for good: the memory outlives its worker.
            if self.summary.problem_code != GuestCrashedError.code:
                self._set_picture(None)
            self.stats_changed.emit()

    async def _show_screen(self) -> None:
        reader = await self._attached(self._services.console.open_frame)
        if reader is not None:
            self._set_picture(Picture(reader))

    async def _read_serial(self, port: int) -> None:
        opened = partial(self._services.console.open_serial, port=port)
        stream: SerialStream | None = await self._attached(opened)
        if stream is None:
            return
        self.serial_began.emit(port)
        writer = asyncio.create_task(self._write_serial(port, stream))
        try:
            while data := await stream.read():
                for start in range(0, len(data), FEED_BYTES):
                    self.serial_received.emit(port, data[start : start + FEED_BYTES])
                    # A flood from the guest must leave room for everything else.
                    await asyncio.sleep(0)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            stream.close()

    async def _write_serial(self, port: int, stream: SerialStream) -> None:
        while True:
            await stream.write(await self._typed[port].get())

    async def _send_keys(self) -> None:
        while True:
            presses = [await self._keys.get()]
            while not self._keys.empty():
                presses.append(self._keys.get_nowait())
            try:
                await self._services.console.press(self.key, presses)
            except VmwbError as error:
                self._input_failed(error)

    async def _send_steps(self) -> None:
        while True:
            await self._stepped.wait()
            self._stepped.clear()
            while self._steps:
                step = self._steps.take()
                try:
                    await self._services.console.point(
                        self.key, step.place, wheel=step.wheel, buttons=step.buttons
                    )
                except VmwbError as error:
                    self._input_failed(error)
                await asyncio.sleep(POINTER_SECONDS)

    def _input_failed(self, error: VmwbError) -> None:
        """Tell why a key or a step of the pointer did not arrive.

        A machine that was paused or has ended meanwhile needs no sentence: its state says so, if
        only a moment later. A key may have been what ended it.
        """
        if self.takes_input and not isinstance(error, WrongStateError | WorkerGoneError):
            self.failed.emit(error_text(error))

    async def _hear_pointer(self) -> None:
        async for told in self._services.watch.events(self.key):
            if isinstance(told.event, PointerEvent):
                self._set_takes_places(told.event.absolute)

    def _set_takes_places(self, takes: bool) -> None:
        if takes != self._takes_places:
            self._takes_places = takes
            self.pointer_changed.emit(takes)

    async def _count(self) -> None:
        last: MachineStats | None = None
        while True:
            with contextlib.suppress(VmwbError):
                self.stats = await self._services.watch.stats(self.key)
                if last is not None and self.stats.wall_seconds > last.wall_seconds:
                    spent = self.stats.worker_cpu_seconds - last.worker_cpu_seconds
                    passed = self.stats.wall_seconds - last.wall_seconds
                    self.host_cpu = max(0.0, spent / passed)
                last = self.stats
                self.stats_changed.emit()
            await asyncio.sleep(STATS_SECONDS)

    async def _attached(self, attach: Any) -> Any:
        """Attach to the run; one that is only beginning answers a little later."""
        while True:
            try:
                return await attach(self.key)
            except VmwbError:
                summary = await self._services.machines.show(self.key)
                if summary.pid != self.summary.pid or summary.pid is None:
                    return None
                if not summary.state.is_transient:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def _read_log(self) -> None:
        self.log_tail = await self._services.watch.logs(self.key, lines=LOG_LINES)
        self.summary_changed.emit()

    def _set_picture(self, picture: Picture | None) -> None:
        before, self._picture = self._picture, picture
        if before is not picture:
            # The widget lets go of the old picture in this call; only then it may be unmapped.
            self.picture_changed.emit(picture)
            if before is not None:
                before.close()
