"""A serial port's stream over a passed socket."""

from __future__ import annotations

import asyncio
import socket


class SocketStream:
    """Implements ``api.SerialStream``; owns its socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._closed = False

    async def read(self, limit: int = 65_536) -> bytes:
        """Give the guest's next output; ``b""`` at the end."""
        if self._closed:
            return b""
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, limit)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        """Hand bytes to the guest; one whose machine is gone swallows them."""
        if self._closed:
            return
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except OSError:
            self.close()

    def close(self) -> None:
        """End the stream; idempotent."""
        if not self._closed:
            self._closed = True
            self._socket.close()
