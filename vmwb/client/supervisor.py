"""Starts workers, and knows when the ones it started have ended.

A worker gets one socket: its order comes over it, and it stays as the first client's connection, so
that no moment is lost with waiting for a socket to appear. A worker outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vmwb.client.worker_client import WorkerClient
from vmwb.ipc.framing import encode_frame
from vmwb.ipc.launch import HOST_OPTION, LAUNCH_DESCRIPTOR, Launch
from vmwb.ipc.platform_linux import kill, process_handle, reap, spawn_session
from vmwb.model.errors import ProtocolError, TimedOutError, VmwbError, WorkerError, WorkerGoneError

HELLO_SECONDS: Final = 20.0
EXIT_SECONDS: Final = 10.0
HOST_SECONDS: Final = 20.0
LOG_TAIL_BYTES: Final = 16 * 1024
LOG_TAIL_LINES: Final = 10
WORKER_COMMAND: Final = (sys.executable, "-P", "-m", "vmwb.worker")


@dataclass(frozen=True, slots=True)
class HostSupport:
    """What the kernel offers to lock a worker in; ``landlock_abi`` is 0 without Landlock."""

    landlock_abi: int
    seccomp: bool


class Supervisor:
    """Starts workers and reaps those that end while it lives. Close it when done."""

    def __init__(
        self, environment: Mapping[str, str], command: Sequence[str] = WORKER_COMMAND
    ) -> None:
        """``command`` starts a worker: its first word is an absolute path."""
        self._environment = dict(environment)
        self._command = tuple(command)
        self._children: dict[int, int] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}

    async def launch(self, launch: Launch, log_path: Path) -> WorkerClient:
        """Start a worker that logs to a file, and return once its machine runs.

        Raises:
            VmwbError: the worker's own reason, when it gave one.
            WorkerError: it died without a reason; the last lines of its log are in the sentence.
        """
        ours, theirs = socket.socketpair()
        try:
            log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                order = replace(launch, spawned_ns=time.monotonic_ns())
                pid = spawn_session(
                    self._command,
                    environment=self._environment,
                    log=log,
                    passed={theirs.fileno(): LAUNCH_DESCRIPTOR},
                )
            finally:
                os.close(log)
        except OSError as error:
            ours.close()
            raise WorkerError(f"The worker cannot be started: {error.strerror}.") from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._watch(pid)
        try:
            return await WorkerClient.adopt(
                ours, seconds=HELLO_SECONDS, first=encode_frame(order.to_json())
            )
        except VmwbError as error:
            if isinstance(error, TimedOutError) and pid in self._children:
                kill(self._children[pid])
            with contextlib.suppress(TimedOutError):
                await self.wait_exit(pid)
            if not isinstance(error, WorkerGoneError | ProtocolError | TimedOutError):
                raise
            tail = log_tail(log_path)
            raise WorkerError(
                f"The worker of {launch.name} could not be started: {error.sentence}"
                + (f" Its log ends: {tail.splitlines()[-1]}" if tail else ""),
                {"machine": launch.name, "log": tail.splitlines()},
            ) from error

    def host(self) -> HostSupport:
        """Ask a worker of no machine what the host offers to lock it in; blocks for a moment.

        Raises:
            WorkerError: workers cannot be started here; the sentence says why.
        """
        command = [*self._command, HOST_OPTION]
        try:
            done = subprocess.run(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=HOST_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WorkerError(f"No worker can be started here: {error}.") from error
        try:
            match json.loads(done.stdout):
                case {"landlock_abi": int(landlock), "seccomp": bool(seccomp)}:
                    return HostSupport(landlock, seccomp)
                case _:
                    raise WorkerError("The worker does not say what this host offers.")
        except ValueError as error:
            last = (done.stderr.strip().splitlines() or ["it said nothing."])[-1]
            raise WorkerError(f"No worker can be started here: {last[:500]}") from error

    async def wait_exit(self, pid: int) -> None:
        """Wait until a worker's process has ended, whoever started it.

        Raises:
            TimedOutError: it is still there after ten seconds.
        """
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                if pid in self._exits:
                    await asyncio.shield(self._exits[pid])
                else:
                    await _foreign_exit(pid)
        except TimeoutError:
            raise TimedOutError(f"The worker's process {pid} did not end.") from None

    def close(self) -> None:
        """Stop watching; workers run on."""
        loop = asyncio.get_running_loop()
        for handle in self._children.values():
            loop.remove_reader(handle)
            os.close(handle)
        self._children.clear()
        for future in self._exits.values():
            future.cancel()
        self._exits.clear()

    def _watch(self, pid: int) -> None:
        handle = process_handle(pid)
        loop = asyncio.get_running_loop()
        self._children[pid] = handle
        self._exits[pid] = loop.create_future()
        loop.add_reader(handle, self._reap, pid)

    def _reap(self, pid: int) -> None:
        status = reap(pid)
        if status is None:
            return
        handle = self._children.pop(pid)
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
        self._exits.pop(pid).set_result(status)


async def _foreign_exit(pid: int) -> None:
    """Wait for the end of a process that may not be our child."""
    try:
        handle = process_handle(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def ended() -> None:
        if not done.done():
            done.set_result(None)

    loop.add_reader(handle, ended)
    try:
        await done
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def log_tail(log_path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Give the last lines of a log; empty when there is none."""
    with contextlib.suppress(OSError), log_path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - max(LOG_TAIL_BYTES, lines * 512)))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    return ""
