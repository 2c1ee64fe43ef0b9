"""What the main window asks of the services, and the list of machines that it is told.

Every command of a machine is one service call. Errors leave as sentences; nothing here draws.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Signal

from vmwb.model.config import VmConfig
from vmwb.model.drives import DriveConfig
from vmwb.model.errors import NotFoundError, StorageError, VmwbError
from vmwb.model.keyboard import combination
from vmwb.services.api import Services
from vmwb.services.types import DeletePlan, MachineSummary, StopKind
from vmwb_ui.actions import Command
from vmwb_ui.errors import error_text
from vmwb_ui.library.model import key_of
from vmwb_ui.machine.presenter import MachinePresenter
from vmwb_ui.tasks import TaskHolder

RETRY_SECONDS: Final = 2.0
LOG_LINES: Final = 1_000
POWER_COMMANDS: Final = frozenset(
    {Command.START, Command.RESUME, Command.UNPAUSE, Command.PAUSE, Command.SUSPEND}
    | {Command.RESET, Command.SHUT_DOWN, Command.STOP, Command.DISCARD}
)


class WorkbenchPresenter(QObject):
    """The library as the window knows it. ``close`` it before the services are closed."""

    machines_changed = Signal(object)
    failed = Signal(str)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.services = services
        self.tasks = TaskHolder(self.failed.emit)
        self.machines: tuple[MachineSummary, ...] | None = None
        self._pending: set[tuple[Command, str]] = set()

    def start(self) -> None:
        """Begin to follow the library."""
        self.tasks.spawn(self._watch(), "library")

    def summary(self, key: str) -> MachineSummary | None:
        """The newest summary of a machine."""
        return next((item for item in self.machines or () if key_of(item) == key), None)

    def running(self) -> tuple[MachineSummary, ...]:
        """Machines that have a process now."""
        return tuple(item for item in self.machines or () if item.state.has_worker)

    def follow(self, key: str, parent: QObject) -> MachinePresenter:
        """Make the presenter of one machine, for its tab.

        Raises:
            NotFoundError: the library has no such machine.
        """
        summary = self.summary(key)
        if summary is None:
            raise NotFoundError(f"There is no machine {key!r} in the library.")
        return MachinePresenter(self.services, summary, parent)

    async def power(self, command: Command, key: str) -> None:
        """Press a power button. A press that is under way already is not repeated.

        Raises:
            VmwbError: it did not work.
        """
        if (command, key) in self._pending:
            return
        self._pending.add((command, key))
        power = self.services.power
        try:
            match command:
                case Command.SHUT_DOWN:
                    summary = await power.stop(key, StopKind.SOFT)
                case Command.STOP:
                    summary = await power.stop(key, StopKind.HARD)
                case Command.START:
                    summary = await power.start(key)
                case Command.RESUME:
                    summary = await power.resume(key)
                case Command.UNPAUSE:
                    summary = await power.unpause(key)
                case Command.PAUSE:
                    summary = await power.pause(key)
                case Command.SUSPEND:
                    summary = await power.suspend(key)
                case Command.RESET:
                    summary = await power.reset(key)
                case Command.DISCARD:
                    summary = await power.discard(key)
                case _:
                    raise ValueError(f"{command} is no power button")
        finally:
            self._pending.discard((command, key))
        self._replace(summary)

    async def create(self, config: VmConfig) -> MachineSummary:
        """Put a new machine into the library and give its summary.

        Raises:
            VmwbError: an image of its drives does not exist, or the definition is not sound.
        """
        drives = tuple([await self._looked_at(drive) for drive in config.drives])
        summary = await self.services.machines.create(replace(config, drives=drives))
        await self.refresh()
        return summary

    async def _looked_at(self, drive: DriveConfig) -> DriveConfig:
        if drive.image is None:
            return drive
        image = await self.services.media.look(Path(drive.image.path), drive.kind)
        return replace(drive, image=image)

    async def change_medium(
        self,
        key: str,
        slot: str,
        path: Path | None,
        *,
        read_only: bool = False,
        force: bool = False,
    ) -> None:
        """Put an image, or a folder as a CD, into a drive; ``None`` empties it.

        ``read_only`` write-protects a floppy.

        Raises:
            BusyError: the guest holds the tray, and ``force`` is not set.
        """
        media = self.services.media
        if path is None:
            summary = await media.eject(key, slot, force=force)
        else:
            summary = await media.insert(key, slot, path, read_only=read_only, force=force)
        self._replace(summary)

    async def deletion(self, key: str) -> DeletePlan:
        """What a deletion would remove."""
        return await self.services.machines.delete(key, dry_run=True)

    async def delete(self, key: str) -> None:
        """Remove a machine and its files."""
        await self.services.machines.delete(key)
        await self.refresh()

    async def ctrl_alt_del(self, key: str) -> None:
        """Press Ctrl+Alt+Del in a machine."""
        await self.services.console.press(key, combination("ctrl-alt-del"))

    async def nmi(self, key: str) -> None:
        """Send a machine a non-maskable interrupt."""
        await self.services.debug.nmi(key)

    async def screen_text(self, key: str) -> str | None:
        """Text on a machine's screen."""
        return await self.services.console.screen_text(key)

    async def log(self, key: str) -> str:
        """The end of a machine's log."""
        return await self.services.watch.logs(key, lines=LOG_LINES)

    async def power_off_all(self) -> None:
        """Switch off all machines that run; each is tried.

        Raises:
            VmwbError: the first that did not work.
        """
        keys = [key_of(machine) for machine in self.running()]
        results = await asyncio.gather(
            *(self.power(Command.STOP, key) for key in keys), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def refresh(self) -> None:
        """Fetch the list now."""
        self._set(await self.services.machines.list())

    async def close(self) -> None:
        """Stop following."""
        await self.tasks.close()

    async def _watch(self) -> None:
        told = ""
        while True:
            try:
                async for machines in self.services.machines.watch():
                    told = ""
                    self._set(machines)
            except StorageError as error:
                # Said once: the library may come back, as one on a network does.
                if error_text(error) != told:
                    told = error_text(error)
                    self.failed.emit(told)
            except VmwbError as error:
                self.failed.emit(error_text(error))
            if self.machines is None:
                self._set(())
            await asyncio.sleep(RETRY_SECONDS)

    def _replace(self, summary: MachineSummary) -> None:
        key = key_of(summary)
        self._set(tuple(summary if key_of(item) == key else item for item in self.machines or ()))

    def _set(self, machines: tuple[MachineSummary, ...]) -> None:
        if machines != self.machines:
            self.machines = machines
            self.machines_changed.emit(machines)
