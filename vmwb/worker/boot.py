"""From the order to a running processor, without a loop: what has to be quick.

::

    lock, run record --> host's files --> machine --> socket --> locked in --> guest runs

Whatever has to be opened is open before the guest's first instruction: from then on the worker
reaches its bundle and the handles that it has, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmwb.ipc.launch import Launch
from vmwb.ipc.platform_linux import close_all
from vmwb.library.files import storage_errors
from vmwb.library.layout import Bundle, BundleLock
from vmwb.library.runfile import RunRecord
from vmwb.library.states import load_state, remove_states
from vmwb.model.debug import TraceSettings
from vmwb.model.errors import BusyError, VmwbError
from vmwb.model.power import PowerState
from vmwb.worker.broker import open_machine_files, open_serial_file, open_state_files
from vmwb.worker.core import Core, CoreMachine
from vmwb.worker.sandbox import LockedDown, open_folder

LOCK_ATTEMPTS: Final = 50
LOCK_INTERVAL_SECONDS: Final = 0.01
CLIENTS_WAITING: Final = 16


@dataclass(slots=True)
class Booted:
    """A machine whose processor runs, and what belongs to it.

    ``consoles`` holds per port its number, the core's stream and the file to append to, if any;
    ``listener`` is where clients come. ``locked`` is how far the worker is locked in.
    ``started`` is seconds since 1970; ``spawn_seconds`` passed since the process was made.
    """

    core: Core
    machine: CoreMachine
    launch: Launch
    bundle: Bundle
    lock: BundleLock
    consoles: tuple[tuple[int, int, int | None], ...]
    listener: socket.socket
    locked: LockedDown
    started: float
    spawn_seconds: float


def take_lock(bundle: Bundle) -> BundleLock:
    """Take the bundle's lock; tries for half a second, because others probe it for an instant.

    Raises:
        BusyError: somebody else holds it.
        StorageError: the bundle cannot be written.
    """
    with storage_errors("The machine cannot be started", bundle.path):
        for _ in range(LOCK_ATTEMPTS - 1):
            with contextlib.suppress(BusyError):
                return BundleLock(bundle)
            time.sleep(LOCK_INTERVAL_SECONDS)
        return BundleLock(bundle)


def boot(core: Core, launch: Launch, lock: BundleLock) -> Booted:
    """Write the run record, open the files, build the machine, and let the processor run.

    Raises:
        NotFoundError, StorageError: a file of the host is missing or cannot be used.
        VmwbError: the core refuses the machine; the sentence is the core's.
    """
    bundle = Bundle(Path(launch.bundle))
    started = time.time()
    files: list[int | None] = []
    state = PowerState.STARTING if launch.resume_state is None else PowerState.RESUMING
    with storage_errors("The machine cannot be started", bundle.path):
        # First of all, so that nobody takes what an earlier worker left for ours.
        RunRecord(os.getpid(), launch.socket, started, state).write(bundle, durable=False)
    try:
        for port in launch.serial:
            files.append(None if port.path is None else open_serial_file(Path(port.path)))
        machine = _build(core, launch, bundle)
    except BaseException:
        close_all([handle for handle in files if handle is not None])
        raise
    listener: socket.socket | None = None
    try:
        with core.errors():
            consoles = tuple(
                (target.port, machine.console_handle(target.port), handle)
                for target, handle in zip(launch.serial, files, strict=True)
            )
        if launch.resume_state is None:
            # A state that a killed run had come back from is used up.
            with storage_errors("The machine cannot be started", bundle.states):
                remove_states(bundle)
        with storage_errors("The worker's socket cannot be made", Path(launch.socket)):
            listener = _listen(Path(launch.socket))
        locked = _lock_in(core, bundle)
        with core.errors():
            if launch.trace is not None:
                machine.debug(trace_start(launch.trace))
            if launch.resume_state is None:
                machine.start()
            else:
                machine.resume()
    except BaseException:
        machine.close()
        if listener is not None:
            listener.close()
        raise
    return Booted(
        core=core,
        machine=machine,
        launch=launch,
        bundle=bundle,
        lock=lock,
        consoles=consoles,
        listener=listener,
        locked=locked,
        started=started,
        spawn_seconds=(time.monotonic_ns() - launch.spawned_ns) / 1e9,
    )


def _listen(path: Path) -> socket.socket:
    """Listen. The bundle's lock is ours, so a socket that is there already is a dead one's."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(CLIENTS_WAITING)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _lock_in(core: Core, bundle: Bundle) -> LockedDown:
    with storage_errors("The worker cannot be locked in", bundle.path):
        folder = open_folder(bundle)
    try:
        with core.errors():
            return core.lock(folder)
    finally:
        os.close(folder)


def trace_start(settings: TraceSettings) -> str:
    """Give the core's request that begins a recording."""
    return json.dumps(
        {"do": "trace_start", "classes": list(settings.classes), "limit": settings.limit}
    )


def record_failure(launch: Launch, error: VmwbError) -> None:
    """Leave last words about a machine that never ran; only for who holds the lock."""
    state = PowerState.OFF if launch.resume_state is None else PowerState.SUSPENDED
    record = RunRecord(
        pid=os.getpid(),
        socket=launch.socket,
        started=time.time(),
        state=state,
        ended_by="failed",
        sentence=error.sentence,
        facts={**error.context, "code": error.code},
    )
    with contextlib.suppress(OSError):
        record.write(Bundle(Path(launch.bundle)), durable=True)


def _build(core: Core, launch: Launch, bundle: Bundle) -> CoreMachine:
    if launch.resume_state is None:
        handles = open_machine_files(launch)
    else:
        handles = open_state_files(load_state(bundle, launch.resume_state))
    try:
        with core.errors({"machine": launch.name}):
            if launch.resume_state is None:
                return core.create(launch.spec, handles)
            # A reset after the resume loads the kernel again, so its files come along.
            handles |= open_machine_files(launch)
            return core.restore(launch.spec, handles)
    finally:
        close_all(list(handles.values()))
