"""The engine of this host: a library on disk, and one worker process per running machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from vmwb.client.supervisor import Supervisor, log_tail
from vmwb.client.worker_client import WorkerClient
from vmwb.ipc.launch import DriveTarget, Launch, SerialTarget
from vmwb.ipc.platform_linux import kill, process_handle, socket_path
from vmwb.library.disc import DISC_SUFFIX, build_disc
from vmwb.library.files import storage_errors
from vmwb.library.firmware import FirmwareFiles, find_firmware
from vmwb.library.layout import Bundle, BundleLock, is_locked, rotate_logs
from vmwb.library.library import Library, bundle_status
from vmwb.library.runfile import read_run_record
from vmwb.library.states import suspended_state
from vmwb.model.config import DisplayKind, VmConfig
from vmwb.model.debug import TraceSettings
from vmwb.model.drives import DriveConfig, DriveKind
from vmwb.model.errors import (
    BusyError,
    CorruptError,
    TimedOutError,
    VmwbError,
    WorkerGoneError,
    WrongStateError,
)
from vmwb.model.power import AT_REST
from vmwb.services.types import DeletePlan, MachineSummary

SETTLE_SECONDS: Final = 10.0
SETTLE_POLL_SECONDS: Final = 0.01
LOG_LINES_MAX: Final = 100_000
_Stamp = tuple[int, int, int]


class LocalEngine:
    """Machines of one library directory."""

    def __init__(
        self,
        library: Library,
        supervisor: Supervisor,
        runtime: Path,
        environment: Mapping[str, str],
    ) -> None:
        """``runtime`` is the private directory for sockets."""
        self._library = library
        self._environment = environment
        self._supervisor = supervisor
        self._runtime = runtime
        self._cache: dict[Path, tuple[_Stamp, VmConfig]] = {}

    async def list(self) -> tuple[MachineSummary, ...]:
        """Give all machines, by name; see ``Engine``."""
        return await asyncio.to_thread(self._list)

    async def find(self, machine: str) -> MachineSummary:
        """Give the machine of a name or id; see ``Engine``."""
        return await asyncio.to_thread(
            lambda: self._summary(self._library.find(machine), damaged_ok=False)
        )

    async def create(self, config: VmConfig) -> MachineSummary:
        """Keep a new machine; see ``Engine``."""
        made = await asyncio.to_thread(self._library.create, config)
        return await self.find(made.name)

    async def replace(self, machine: MachineSummary, config: VmConfig) -> None:
        """Replace a definition; see ``Engine``."""
        await asyncio.to_thread(self._library.replace, Bundle(machine.path), config)

    async def replace_media(self, machine: MachineSummary, config: VmConfig) -> None:
        """Note what lies in the drives of a machine; see ``Engine``."""
        await asyncio.to_thread(self._library.replace_media, Bundle(machine.path), config)

    async def rename(self, machine: MachineSummary, new_name: str) -> None:
        """Give a machine another name; see ``Engine``."""
        await asyncio.to_thread(self._library.rename, Bundle(machine.path), new_name)

    async def delete(self, machine: MachineSummary, *, dry_run: bool) -> DeletePlan:
        """Remove a machine, or say what that would remove; see ``Engine``."""
        bundle = Bundle(machine.path)
        files, size = await asyncio.to_thread(self._library.usage, bundle)
        if not dry_run:
            await asyncio.to_thread(self._remove_socket, bundle)
            await asyncio.to_thread(self._library.delete, bundle)
        return DeletePlan(machine.name, machine.path, files, size, done=not dry_run)

    async def discard_states(self, machine: MachineSummary) -> None:
        """Throw suspended states away; see ``Engine``."""
        await asyncio.to_thread(self._library.discard_states, Bundle(machine.path))

    async def launch(
        self,
        machine: MachineSummary,
        *,
        resume: bool,
        tied: bool = False,
        trace: TraceSettings | None = None,
    ) -> WorkerClient:
        """Start a worker for a machine; see ``Engine``."""
        config = machine.config
        if config is None:
            raise CorruptError(machine.problem or f"The definition of {machine.name} is damaged.")
        config.validated()
        firmware = await asyncio.to_thread(self._firmware, config)
        bundle = Bundle(machine.path)
        drives = await asyncio.to_thread(_targets, bundle, config.drives)
        state = await asyncio.to_thread(suspended_state, bundle) if resume else None
        if resume and state is None:
            raise WrongStateError(f"{machine.name} has no suspended state: start it instead.")
        await asyncio.to_thread(_begin_log, bundle)
        return await self._supervisor.launch(
            Launch(
                machine_id=machine.id,
                name=machine.name,
                bundle=str(machine.path),
                socket=str(socket_path(self._runtime, machine.path)),
                spec=config.to_spec() if state is None else state.spec,
                kernel=config.boot.kernel,
                initrd=config.boot.initrd,
                modules=tuple(module.path for module in config.boot.modules),
                firmware=None if firmware is None else str(firmware.bios),
                vga_rom=None if firmware is None or firmware.vga is None else str(firmware.vga),
                drives=drives,
                serial=tuple(
                    SerialTarget(port.kind.value, port.path, number)
                    for number, port in config.ports
                ),
                resume_state=None if state is None else state.id,
                tied=tied,
                trace=trace,
            ),
            bundle.log,
        )

    async def attach(self, machine: MachineSummary) -> WorkerClient:
        """Connect to the worker of a machine; see ``Engine``."""
        record = await asyncio.to_thread(read_run_record, Bundle(machine.path))
        if record is None:
            raise WorkerGoneError(f"{machine.name} does not run: start it first.")
        client = await WorkerClient.connect(Path(record.socket))
        if client.welcome.machine_id != machine.id:
            await client.close()
            raise WorkerGoneError(f"The worker at {record.socket} runs another machine.")
        return client

    async def settle(self, machine: MachineSummary, pid: int) -> None:
        """Wait for the end of a worker and the release of its lock; see ``Engine``."""
        await self._supervisor.wait_exit(pid)
        await self._unlocked(machine)
        await asyncio.to_thread(self._remove_socket, Bundle(machine.path))

    async def kill(self, machine: MachineSummary) -> None:
        """Kill a worker that does not answer; see ``Engine``."""
        bundle = Bundle(machine.path)
        record = await asyncio.to_thread(read_run_record, bundle)
        if record is None or record.state in AT_REST or not is_locked(bundle):
            return
        with contextlib.suppress(ProcessLookupError):
            handle = process_handle(record.pid)
            try:
                # The pid is the worker's as long as the lock is held: look again with it in hand.
                if is_locked(bundle):
                    kill(handle)
            finally:
                os.close(handle)
        await self.settle(machine, record.pid)

    async def logs(self, machine: MachineSummary, lines: int) -> str:
        """Give the last lines of a machine's log; see ``Engine``."""
        return await asyncio.to_thread(
            log_tail, Bundle(machine.path).log, max(1, min(lines, LOG_LINES_MAX))
        )

    def close(self) -> None:
        """Stop watching workers; they run on."""
        self._supervisor.close()

    def _firmware(self, config: VmConfig) -> FirmwareFiles | None:
        name = config.boot.firmware_chosen
        if name is None:
            return None
        files = find_firmware(name, self._environment)
        return files if config.display is DisplayKind.VGA else replace(files, vga=None)

    async def _unlocked(self, machine: MachineSummary) -> None:
        bundle = Bundle(machine.path)
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while is_locked(bundle):  # noqa: ASYNC110 - a lock cannot be awaited
                    await asyncio.sleep(SETTLE_POLL_SECONDS)
        except TimeoutError:
            raise TimedOutError(f"{machine.name} is still in use by another program.") from None

    def _remove_socket(self, bundle: Bundle) -> None:
        """Remove the name of a dead worker's socket: a worker that is locked in cannot.

        The name is worked out, not read from the run record, which the worker wrote. Under the lock
        no other worker can have made the socket anew.
        """
        with contextlib.suppress(OSError, BusyError), BundleLock(bundle):
            socket_path(self._runtime, bundle.path).unlink(missing_ok=True)

    def _list(self) -> tuple[MachineSummary, ...]:
        return tuple(self._summary(bundle, damaged_ok=True) for bundle in self._library.bundles())

    def _summary(self, bundle: Bundle, *, damaged_ok: bool) -> MachineSummary:
        status = bundle_status(bundle)
        problem, problem_code = status.problem, status.problem_code
        facts = status.problem_facts
        config: VmConfig | None = None
        try:
            config = self._config(bundle)
        except VmwbError as error:
            if not damaged_ok and not isinstance(error, CorruptError):
                raise
            problem, problem_code, facts = error.sentence, error.code, {}
        return MachineSummary(
            id=config.id if config is not None else "",
            name=bundle.name,
            state=status.state,
            config=config,
            path=bundle.path,
            pid=status.record.pid if status.live and status.record is not None else None,
            problem=problem,
            problem_code=problem_code,
            problem_facts=facts,
        )

    def _config(self, bundle: Bundle) -> VmConfig:
        """Read a definition, or take it from the cache while the file is the same."""
        try:
            status = bundle.definition.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            return self._library.read(bundle)
        cached = self._cache.get(bundle.path)
        if cached is None or cached[0] != stamp:
            cached = (stamp, self._library.read(bundle))
            self._cache[bundle.path] = cached
        return cached[1]


def _targets(bundle: Bundle, drives: tuple[DriveConfig, ...]) -> tuple[DriveTarget, ...]:
    """Give the files of all media; of folders in CD drives CDs are made."""
    return tuple(_target(bundle, drive) for drive in drives)


def _target(bundle: Bundle, drive: DriveConfig) -> DriveTarget:
    paths = tuple(file.path for file in drive.files)
    if drive.kind is DriveKind.CDROM:
        if paths and Path(paths[0]).is_dir():
            made = bundle.media / f"{drive.slot}{DISC_SUFFIX}"
            build_disc(Path(paths[0]), made)
            paths = (str(made),)
        return DriveTarget(drive.slot, paths)
    return DriveTarget(drive.slot, paths, not drive.read_only)


def _begin_log(bundle: Bundle) -> None:
    """Put the last run's log aside, unless a worker writes it just now."""
    with storage_errors("The log cannot be written", bundle.logs):
        if not is_locked(bundle):
            rotate_logs(bundle)
            bundle.log.touch(mode=0o600)
