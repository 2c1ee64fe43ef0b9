"""A serial port between the core and its watchers: history, clients, a file, and waits for text.

The worker holds the only stream of the core's port and hands every client a socket pair of its own,
so that what a client sees (history, then live output) has neither gap nor repetition. A client that
does not read loses its oldest output; it never holds the guest or the others up.

::

    core <-> console socket <-> SerialHub <-> one socket pair per client
                                   |-> history (1 MiB), file, waits
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from vmwb.model.errors import BusyError

HISTORY_MAX_BYTES: Final = 1024 * 1024
CLIENT_WAITING_MAX_BYTES: Final = 1024 * 1024
INPUT_WAITING_MAX_BYTES: Final = 64 * 1024
CLIENTS_MAX: Final = 32
CHUNK: Final = 65_536
NEEDLE_MAX_BYTES: Final = 4096


class SerialHistory:
    """The last 1 MiB of a port's output since power-on; offsets count from power-on."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._first = 0

    @property
    def end(self) -> int:
        """Offset just behind the newest byte."""
        return self._first + len(self._data)

    def append(self, data: bytes) -> None:
        """Add output, and forget the oldest beyond the bound."""
        self._data += data
        # Trimmed in steps, so that a long run does not move a megabyte for every line.
        excess = len(self._data) - HISTORY_MAX_BYTES
        if excess > CHUNK:
            del self._data[:excess]
            self._first += excess

    def since(self, offset: int = 0) -> bytes:
        """Give what is kept from an offset on, at most 1 MiB."""
        return bytes(self._data[max(0, offset - self._first) :][-HISTORY_MAX_BYTES:])

    def contains(self, needle: bytes, offset: int = 0) -> bool:
        """Tell whether a text stands in what is kept from an offset on."""
        return self._data.find(needle, max(0, offset - self._first)) >= 0


class _Client:
    """One client's end: bytes that wait for it, and input of it that waits for the guest."""

    def __init__(self, hub: SerialHub, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._hub = hub
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._reading = False
        self._last = False
        self.resume_reading()

    def put(self, data: bytes) -> None:
        was_empty = not self._waiting
        self._waiting += data
        if len(self._waiting) > CLIENT_WAITING_MAX_BYTES:
            del self._waiting[: len(self._waiting) - CLIENT_WAITING_MAX_BYTES]
        if was_empty and self._waiting:
            self._flush()

    def resume_reading(self) -> None:
        if not self._reading and not self._last and self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket.fileno(), self._read)
            self._reading = True

    def pause_reading(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._socket.fileno())
            self._reading = False

    def finish(self) -> None:
        """No more output comes: close as soon as the client has taken what waits."""
        self._last = True
        self.pause_reading()
        if not self._waiting:
            self._hub.drop(self)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self.pause_reading()
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                sent = self._socket.send(self._waiting[:CHUNK])
                del self._waiting[:sent]
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._socket.fileno(), self._flush)
            return
        except OSError:
            self._waiting.clear()
            self._hub.drop(self)
            return
        self._loop.remove_writer(self._socket.fileno())
        if self._last:
            self._hub.drop(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._hub.write(data)
        else:
            self._hub.drop(self)


class SerialHub:
    """One port. Made before the guest starts; ``attach`` connects it to the loop."""

    def __init__(self, port: int, console: int, file_handle: int | None) -> None:
        self.port = port
        self.history = SerialHistory()
        self._console = socket.socket(fileno=console)
        self._console.setblocking(False)
        self._file = file_handle
        self._clients: list[_Client] = []
        self._waiters: list[tuple[bytes, int, asyncio.Future[None]]] = []
        self._input = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        self._emptied = asyncio.Event()
        self._emptied.set()

    def attach(self) -> None:
        """Begin to read; call it on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._console.fileno(), self._read)

    def open_client(self, *, replay: bool) -> int:
        """Give a new stream of this port; the descriptor is the caller's to pass on.

        Raises:
            BusyError: there are as many streams as there may be.
        """
        if len(self._clients) >= CLIENTS_MAX:
            raise BusyError(
                f"The serial port {self.port} has {CLIENTS_MAX} consoles open: close some."
            )
        ours, theirs = socket.socketpair()
        client = _Client(self, ours)
        self._clients.append(client)
        self._emptied.clear()
        if replay:
            client.put(self.history.since())
        if self._ended:
            client.finish()
        return theirs.detach()

    def write(self, data: bytes) -> None:
        """Hand bytes to the guest; clients stand still while too much waits."""
        self._input += data
        self._flush_input()

    @property
    def crowded(self) -> bool:
        """Whether so much waits for the guest that nobody should send more."""
        return len(self._input) > INPUT_WAITING_MAX_BYTES

    async def wait_for(self, needle: bytes, *, only_new: bool) -> None:
        """Return once a text stands in the output; the caller sets the deadline.

        Raises:
            EOFError: the machine has ended and the text will not come.
        """
        start = self.history.end if only_new else 0
        if self.history.contains(needle, start):
            return
        if self._ended:
            raise EOFError
        found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (needle, start, found)
        self._waiters.append(waiter)
        try:
            await found
        finally:
            self._waiters.remove(waiter)

    def drop(self, client: _Client) -> None:
        """Forget a client that is gone."""
        if client in self._clients:
            self._clients.remove(client)
        client.close()
        if not self._clients:
            self._emptied.set()

    async def drained(self) -> None:
        """Return when the last client has taken the last output."""
        await self._emptied.wait()

    def finish(self) -> None:
        """Take the last output, end all waits, and let streams run out; idempotent."""
        if self._ended:
            return
        if self._loop is not None:
            while self._read():
                pass
            self._loop.remove_reader(self._console.fileno())
            self._loop.remove_writer(self._console.fileno())
        self._ended = True
        self._console.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        for client in list(self._clients):
            client.finish()
        for _, _, found in self._waiters:
            if not found.done():
                found.set_exception(EOFError())

    def close(self) -> None:
        """End the port whether or not clients have taken everything; idempotent."""
        self.finish()
        for client in list(self._clients):
            self.drop(client)

    def _read(self) -> bool:
        try:
            data = self._console.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            if self._loop is not None:
                self._loop.remove_reader(self._console.fileno())
            return False
        before = self.history.end
        self.history.append(data)
        if self._file is not None:
            self._write_file(data)
        for client in list(self._clients):
            client.put(data)
        for needle, start, found in self._waiters:
            # The text may have begun in what came before.
            seam = max(start, before - len(needle) + 1)
            if not found.done() and self.history.contains(needle, seam):
                found.set_result(None)
        return True

    def _write_file(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and self._file is not None:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # A full disk must not stop the guest: the file ends here, the history goes on.
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _flush_input(self) -> None:
        if self._loop is None or self._ended:
            return
        try:
            while self._input:
                sent = self._console.send(self._input[:CHUNK])
                del self._input[:sent]
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._console.fileno(), self._flush_input)
        except OSError:
            self._input.clear()
        else:
            self._loop.remove_writer(self._console.fileno())
        for client in self._clients:
            if self.crowded:
                client.pause_reading()
            else:
                client.resume_reading()
