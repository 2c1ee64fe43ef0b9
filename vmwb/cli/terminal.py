"""This terminal as the other end of a serial port: raw mode, and Ctrl-] as the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from vmwb.services.api import SerialStream

LEAVE: Final = b"\x1d"
INPUT_BYTES: Final = 4096


class Terminal:
    """Standard input and output. In raw mode while entered, if input is a terminal."""

    def __init__(self) -> None:
        self._input = -1
        # Standard input may be closed, or replaced by something without a descriptor.
        with contextlib.suppress(OSError, ValueError):
            self._input = sys.stdin.fileno() if sys.stdin is not None else -1
        self._saved: list[object] | None = None

    def __enter__(self) -> Self:
        if self._input >= 0 and os.isatty(self._input):
            self._saved = termios.tcgetattr(self._input)
            tty.setraw(self._input, termios.TCSANOW)
            print("Ctrl-] leaves.", end="\r\n", file=sys.stderr, flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._saved is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            self._saved = None

    @property
    def interactive(self) -> bool:
        """Whether input is a terminal in raw mode."""
        return self._saved is not None

    def write(self, data: bytes) -> None:
        """Show output of the guest."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def notice(self, sentence: str) -> None:
        """Tell something about the machine, beside its output."""
        # In raw mode a line does not begin on the left by itself.
        begin, end = ("\r\n", "\r\n") if self.interactive else ("", "\n")
        print(f"{begin}{sentence}", end=end, file=sys.stderr, flush=True)

    async def feed(self, stream: SerialStream, leave: Callable[[], None]) -> None:
        """Hand input to the guest until Ctrl-], which calls ``leave``; ends at input's end."""
        async for data in _Typed(self._input):
            before, way_out, _ = data.partition(LEAVE) if self.interactive else (data, b"", b"")
            if before:
                await stream.write(before)
            if way_out:
                leave()
                return

    async def converse(self, stream: SerialStream) -> None:
        """Join the terminal and a serial port until Ctrl-], or the machine is gone."""
        left = asyncio.Event()
        feeding = asyncio.create_task(self.feed(stream, left.set))
        showing = asyncio.create_task(self._show(stream))
        leaving = asyncio.create_task(left.wait())
        try:
            await asyncio.wait({showing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (feeding, showing, leaving):
                task.cancel()
            await asyncio.gather(feeding, showing, leaving, return_exceptions=True)

    async def _show(self, stream: SerialStream) -> None:
        while data := await stream.read():
            self.write(data)


class _Typed:
    """Bytes of a descriptor as they come, without blocking the loop."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._handle < 0:
            raise StopAsyncIteration
        data = await _read(self._handle)
        if not data:
            raise StopAsyncIteration
        return data


async def _read(handle: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def arrived() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(handle, arrived)
    except PermissionError:
        # epoll does not take regular files and /dev/null (epoll_ctl(2), EPERM): always ready.
        return os.read(handle, INPUT_BYTES)
    try:
        await ready
    finally:
        loop.remove_reader(handle)
    with contextlib.suppress(OSError):
        return os.read(handle, INPUT_BYTES)
    return b""
