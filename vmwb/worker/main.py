"""The worker's process: takes its order, runs the machine, serves clients, leaves last words.

Exit codes: 0 the machine came to an orderly end (off, suspended, crashed guest), 1 it never ran,
70 the worker itself failed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vmwb.ipc.framing import FRAME_MAX_BYTES, LENGTH, decode_body, encode_frame
from vmwb.ipc.launch import HOST_OPTION, LAUNCH_DESCRIPTOR, Launch, launch_from_json
from vmwb.ipc.messages import Failure
from vmwb.library.layout import Bundle
from vmwb.model.errors import ProtocolError, VmwbError, WorkerError
from vmwb.worker.boot import Booted, boot, record_failure, take_lock
from vmwb.worker.core import Core
from vmwb.worker.log import Log
from vmwb.worker.preload import load_everything

LAUNCH_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
EXIT_NEVER_RAN: Final = 1
EXIT_INTERNAL: Final = 70


def main(load_core: Callable[[], Core]) -> int:
    """Run one machine to its end and give the exit code; the process's only entry.

    With the argument ``--host`` it only prints what the host offers a worker, for the doctor.
    """
    if sys.argv[1:] == [HOST_OPTION]:
        return _print_host(load_core)
    os.chdir("/")
    log = Log()
    try:
        order = socket.socket(fileno=LAUNCH_DESCRIPTOR)
    except OSError:
        print("This program is started by `vmwb start`.", file=sys.stderr)
        return EXIT_NEVER_RAN
    launch: Launch | None = None
    try:
        launch = _receive_launch(order)
        booted = _boot(load_core(), launch)
    except VmwbError as error:
        log.write("error", error.sentence)
        _send_failure(order, error)
        return EXIT_NEVER_RAN
    except Exception:  # noqa: BLE001 - the process's main: last words instead of a bare end
        _log_traceback(log)
        _send_failure(order, WorkerError("The worker failed while it started: see its log."))
        return EXIT_INTERNAL
    for level, sentence in booted.locked.sentences():
        log.write(level, sentence)
    log.write("info", f"The machine {launch.name} runs, process {os.getpid()}.")
    return _serve(booted, order, log)


def _print_host(load_core: Callable[[], Core]) -> int:
    try:
        print(load_core().host())
    except VmwbError as error:
        print(error.sentence, file=sys.stderr)
        return EXIT_NEVER_RAN
    return 0


def _boot(core: Core, launch: Launch) -> Booted:
    load_everything()
    lock = take_lock(Bundle(Path(launch.bundle)))
    try:
        return boot(core, launch, lock)
    except VmwbError as error:
        record_failure(launch, error)
        lock.close()
        raise


def _serve(booted: Booted, order: socket.socket, log: Log) -> int:
    import asyncio

    from vmwb.worker.server import serve

    # What start-up made stays for good; the collector need not look at it again.
    gc.freeze()
    try:
        asyncio.run(serve(booted, order, log))
    except Exception:  # noqa: BLE001 - the process's main: last words instead of a bare end
        _log_traceback(log)
        return EXIT_INTERNAL
    finally:
        _close_machine(booted, log)
        booted.lock.close()
    return 0


def _close_machine(booted: Booted, log: Log) -> None:
    """Stop the core's threads; a core that hangs does not keep the process."""
    closing = threading.Thread(target=booted.machine.close, name="close", daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)
    if closing.is_alive():
        log.write("error", "The core did not end its threads in time: the process is ended.")
        os._exit(EXIT_INTERNAL)


def _log_traceback(log: Log) -> None:
    import traceback

    log.write("error", f"The worker failed: {traceback.format_exc(limit=12)}")


def _receive_launch(order: socket.socket) -> Launch:
    order.settimeout(LAUNCH_SECONDS)
    try:
        (length,) = LENGTH.unpack(_receive_exactly(order, LENGTH.size))
        if length > FRAME_MAX_BYTES:
            raise ProtocolError("The worker's order is too large.")
        return launch_from_json(decode_body(_receive_exactly(order, length)))
    except OSError as error:
        raise ProtocolError(f"The worker's order did not come: {error}.") from error


def _receive_exactly(order: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = order.recv(min(65_536, count - len(data)))
        if not part:
            raise ProtocolError("The worker's order ended early.")
        data += part
    return bytes(data)


def _send_failure(order: socket.socket, error: VmwbError) -> None:
    with contextlib.suppress(OSError):
        order.sendall(encode_frame(Failure(None, error).to_json()))
    order.close()
