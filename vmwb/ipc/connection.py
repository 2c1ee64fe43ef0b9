"""One end of a control socket on an asyncio loop: messages and descriptors in both directions.

Streams of asyncio cannot receive descriptors, so this reads and writes the socket itself. What is
waiting is bounded both ways: reading stops while 64 messages wait, and a peer that does not read
what is posted to it loses the connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from vmwb.ipc.framing import FrameDecoder, encode_frame
from vmwb.ipc.messages import MAX_HANDLES, Message, Reply, Request, parse_message
from vmwb.ipc.platform_linux import close_all, receive_with_handles, send_with_handles
from vmwb.model.errors import ProtocolError

MESSAGES_WAITING_MAX: Final = 64
BYTES_WAITING_MAX: Final = 8 * 1024 * 1024


@dataclass(slots=True)
class _Outgoing:
    """Bytes on their way, and the descriptors that go with the first of them (owned)."""

    data: memoryview
    handles: list[int] = field(default_factory=list)


class Connection:
    """Messages over a connected Unix socket, which it owns. Use it from one loop only."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._decoder = FrameDecoder()
        self._received: deque[tuple[Message, list[int]]] = deque()
        self._handles: list[int] = []
        self._outgoing: deque[_Outgoing] = deque()
        self._outgoing_bytes = 0
        self._arrival = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._ended = False
        self._peer_gone = False
        self._error: ProtocolError | None = None
        self._reading = False
        self._writing = False
        self._closed = False
        self._read_more()

    @property
    def closed(self) -> bool:
        """Whether this end has closed."""
        return self._closed

    async def receive(self) -> tuple[Message, list[int]] | None:
        """Give the next message and its descriptors (now the caller's); ``None`` at the end.

        Raises:
            ProtocolError: the peer sent nonsense; the connection is of no more use.
        """
        while not self._received:
            if self._error is not None:
                raise self._error
            if self._ended or self._closed:
                return None
            self._arrival.clear()
            await self._arrival.wait()
        item = self._received.popleft()
        self._read_more()
        return item

    def post(self, message: Message, handles: Sequence[int] = ()) -> None:
        """Queue a message without waiting; takes over ``handles`` and closes them once sent.

        One whose peer has left swallows it. One whose peer does not read is closed.
        """
        if self._closed or self._peer_gone:
            close_all(handles)
            return
        self._enqueue(encode_frame(message.to_json()), handles)

    def post_raw(self, data: bytes) -> None:
        """Queue bytes that are a frame already: the order to a new worker."""
        if not (self._closed or self._peer_gone):
            self._enqueue(data, ())

    def _enqueue(self, data: bytes, handles: Sequence[int]) -> None:
        self._outgoing.append(_Outgoing(memoryview(data), list(handles)))
        self._outgoing_bytes += len(data)
        if self._outgoing_bytes > BYTES_WAITING_MAX:
            self.close()
            return
        self._drained.clear()
        if not self._writing:
            self._write()

    async def send(self, message: Message, handles: Sequence[int] = ()) -> None:
        """Queue a message and wait until the socket took it, or the connection has ended."""
        self.post(message, handles)
        await self._drained.wait()

    def close(self) -> None:
        """Close the socket and all descriptors still on their way; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._stop_reading()
        self._stop_writing()
        self._socket.close()
        close_all(self._handles)
        self._handles.clear()
        for _, handles in self._received:
            close_all(handles)
        self._received.clear()
        self._arrival.set()

    def _read_more(self) -> None:
        wanted = not (self._closed or self._ended) and len(self._received) < MESSAGES_WAITING_MAX
        if wanted and not self._reading:
            self._loop.add_reader(self._socket.fileno(), self._read)
            self._reading = True
        elif not wanted:
            self._stop_reading()

    def _read(self) -> None:
        try:
            data, handles = receive_with_handles(self._socket)
        except (BlockingIOError, InterruptedError):
            return
        except ProtocolError as error:
            self._end(error)
            return
        except OSError:
            self._lose_peer()
            self._end(None)
            return
        self._handles += handles
        if not data:
            self._lose_peer()
            truncated = self._decoder.pending > 0
            self._end(
                ProtocolError("The connection ended inside a message.") if truncated else None
            )
            return
        try:
            for raw in self._decoder.feed(data):
                message = parse_message(raw)
                count = message.handles if isinstance(message, Request | Reply) else 0
                if count > len(self._handles):
                    raise ProtocolError("A message announces handles that did not come.")
                self._received.append((message, self._handles[:count]))
                del self._handles[:count]
            unclaimed = bool(self._handles) and self._decoder.pending == 0
            if unclaimed or len(self._handles) > MAX_HANDLES:
                raise ProtocolError("Handles came that no message announces.")
        except ProtocolError as error:
            self._end(error)
            return
        self._arrival.set()
        self._read_more()

    def _end(self, error: ProtocolError | None) -> None:
        self._ended = True
        self._error = error
        self._stop_reading()
        self._arrival.set()

    def _lose_peer(self) -> None:
        self._peer_gone = True
        self._stop_writing()

    def _write(self) -> None:
        while self._outgoing:
            first = self._outgoing[0]
            try:
                sent = send_with_handles(self._socket, bytes(first.data[:262_144]), first.handles)
            except (BlockingIOError, InterruptedError):
                if not self._writing:
                    self._loop.add_writer(self._socket.fileno(), self._write)
                    self._writing = True
                return
            except OSError:
                # The peer is gone. Reading finds the end, after what it had sent before.
                self._stop_writing()
                return
            close_all(first.handles)
            first.handles.clear()
            self._outgoing_bytes -= sent
            first.data = first.data[sent:]
            if not first.data:
                self._outgoing.popleft()
        self._stop_writing()

    def _stop_reading(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._socket.fileno())
            self._reading = False

    def _stop_writing(self) -> None:
        if self._writing:
            self._loop.remove_writer(self._socket.fileno())
            self._writing = False
        for item in self._outgoing:
            close_all(item.handles)
        self._outgoing.clear()
        self._outgoing_bytes = 0
        self._drained.set()
