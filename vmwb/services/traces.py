"""The file of a run's trace.

It is opened before the run, so that a wrong name costs no run, and written at the run's end from
what the worker has kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from vmwb.library.files import storage_errors
from vmwb.model.debug import TRACE_LIMIT_MAX, TraceReading
from vmwb.model.errors import WorkerGoneError
from vmwb.services.engine import Session
from vmwb.services.types import TraceWritten


class TraceFile:
    """An open file, and where it is."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    async def take(self, session: Session) -> TraceWritten:
        """Write all that the worker has kept; what a worker that is gone had is lost."""
        first: int | None = None
        following = 0
        with contextlib.suppress(WorkerGoneError):
            while True:
                part = TraceReading.from_json(
                    await session.trace("read", **{"from": following}, limit=TRACE_LIMIT_MAX)
                )
                if first is None:
                    first = part.kept_from
                with storage_errors("The trace cannot be written", self._path):
                    await asyncio.to_thread(self._file.write, part.lines.encode())
                if part.next in {following, part.end}:
                    following = part.next
                    break
                following = part.next
        start = 1 if first is None else first
        return TraceWritten(self._path, max(0, following - start), start - 1)


@contextlib.asynccontextmanager
async def trace_file(path: Path | None) -> AsyncIterator[TraceFile | None]:
    """Open the file of a trace, if there is to be one.

    Raises:
        StorageError: it cannot be written.
    """
    if path is None:
        yield None
        return
    with storage_errors("The trace cannot be written", path):
        file = await asyncio.to_thread(path.open, "wb")
    try:
        yield TraceFile(path, file)
    finally:
        with storage_errors("The trace cannot be written", path):
            await asyncio.to_thread(file.close)
