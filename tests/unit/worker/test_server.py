"""The worker's door where the host has nothing to give."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from vmwb.worker.boot import Booted
from vmwb.worker.host import MachineHost
from vmwb.worker.log import Log
from vmwb.worker.server import _Server


class NoDescriptors:
    """A listening socket of a process that has used up its descriptors."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def close(self) -> None:
        self._socket.close()


class Lines(Log):
    """A log that keeps its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def write(self, level: str, message: str) -> None:
        self.lines.append(f"{level} {message}")


async def test_client_that_cannot_be_accepted_waits_and_is_told_once(short_tmp_path: Path) -> None:
    door, log = NoDescriptors(short_tmp_path / "s"), Lines()
    booted = cast(Booted, SimpleNamespace(listener=door))
    server = _Server(cast(MachineHost, None), booted, log)
    server.accept_clients()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(short_tmp_path / "s"))
        for _ in range(100):
            await asyncio.sleep(0)
    await server.close()

    assert log.lines == ["warn A client could not be accepted: [Errno 24] Too many open files"]
