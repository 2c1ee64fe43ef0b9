"""The socket that gdb connects to: a Unix socket of the user's own, or a port of this host alone.

One gdb at a time. The server ends when it is told to, when the machine ends, or, with ``once``,
with its first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as socketlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmwb.library.files import storage_errors
from vmwb.model.debug import DebugStatus, Memory, Registers, Watchpoint
from vmwb.model.errors import VmwbError
from vmwb.model.power import PowerState
from vmwb.services.api import DebugService, PowerService
from vmwb.services.gdb.packets import (
    GdbProtocolError,
    Interrupt,
    Packet,
    PacketReader,
    Resend,
    encode_packet,
)
from vmwb.services.gdb.stub import Detached, Stub
from vmwb.services.gdb.target import View

READ_BYTES: Final = 65_536
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class NamedMachine:
    """The services, for one machine: what ``stub.Machine`` asks for."""

    debug: DebugService
    power: PowerService
    name: str

    async def status(self) -> DebugStatus:
        """Where it stands."""
        return await self.debug.status(self.name)

    async def select(self, processor: int) -> None:
        """Look at another processor."""
        await self.debug.select(self.name, processor)

    async def registers(self) -> Registers:
        """All registers."""
        return await self.debug.registers(self.name)

    async def set_register(self, name: str, value: int) -> None:
        """Set one register."""
        await self.debug.set_register(self.name, name, value)

    async def read_memory(self, address: int, length: int) -> Memory:
        """Read memory without effects."""
        return await self.debug.read_memory(self.name, address, length)

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write RAM."""
        await self.debug.write_memory(self.name, address, data)

    async def set_breakpoint(self, address: int, *, there: bool) -> None:
        """Set or remove a breakpoint."""
        points = [address]
        await self.debug.breakpoints(
            self.name, add=points if there else (), remove=() if there else points
        )

    async def set_watchpoint(self, point: Watchpoint, *, there: bool) -> None:
        """Set or remove a watchpoint."""
        points = [point]
        await self.debug.watchpoints(
            self.name, add=points if there else (), remove=() if there else points
        )

    async def step(self) -> DebugStatus:
        """Run one instruction."""
        return await self.debug.step(self.name)

    async def pause(self) -> None:
        """Stop it; it may stand already."""
        if (await self.debug.status(self.name)).state is PowerState.RUNNING:
            await self.power.pause(self.name)

    async def resume(self) -> None:
        """Let it run on."""
        await self.power.unpause(self.name)

    async def wait_stop(self) -> DebugStatus:
        """Return when it stands."""
        return await self.debug.wait_stop(self.name)


class GdbServer:
    """Listens for gdb, and serves it."""

    def __init__(self, machine: NamedMachine, view: View, *, once: bool) -> None:
        self._machine = machine
        self._view = view
        self._once = once
        self._busy = False
        self._over = asyncio.Event()
        self._failed: VmwbError | None = None

    async def serve(
        self,
        *,
        socket: Path | None,
        port: int,
        listening: Callable[[str], None] | None,
        stop: asyncio.Event | None,
    ) -> None:
        """Serve until ``stop`` is set, or the first connection ends with ``once``.

        Raises:
            VmwbError: the socket cannot be had, or the machine ended.
        """
        if socket is not None:
            with storage_errors("gdb cannot be listened for", socket):
                server = await asyncio.start_unix_server(self._connected, sock=_bind(socket))
            place = str(socket)
        else:
            with storage_errors("gdb cannot be listened for", Path(f"{LOOPBACK}:{port}")):
                server = await asyncio.start_server(self._connected, LOOPBACK, port)
            place = "{}:{}".format(*server.sockets[0].getsockname()[:2])
        try:
            if listening is not None:
                listening(place)
            await self._wait(stop)
        finally:
            server.close()
            if socket is not None:
                _remove_socket(socket)
        if self._failed is not None:
            raise self._failed

    async def _wait(self, stop: asyncio.Event | None) -> None:
        waiting = [asyncio.create_task(self._over.wait())]
        if stop is not None:
            waiting.append(asyncio.create_task(stop.wait()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._busy:
            writer.close()
            return
        self._busy = True
        session = _Session(Stub(self._machine, self._view), reader, writer)
        try:
            await session.run()
        except VmwbError as error:
            self._failed = error
            self._over.set()
        finally:
            self._busy = False
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            if self._once:
                self._over.set()


def _bind(path: Path) -> socketlib.socket:
    """Make a Unix socket that only this user can reach, in the place of one that is left over."""
    _remove_socket(path)
    sock = socketlib.socket(socketlib.AF_UNIX, socketlib.SOCK_STREAM | socketlib.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(mask)
    return sock


def _remove_socket(path: Path) -> None:
    """Remove a socket; any other file of that name is somebody's."""
    if path.is_socket():
        path.unlink(missing_ok=True)


class _Session:
    """One gdb."""

    def __init__(
        self, stub: Stub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._stub = stub
        self._reader = reader
        self._writer = writer
        self._last = b""
        self._telling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until gdb leaves, by a good-bye or without."""
        await self._stub.attach()
        packets = PacketReader()
        try:
            while data := await self._reader.read(READ_BYTES):
                for message in packets.feed(data):
                    await self._take(message)
        except (Detached, GdbProtocolError, ConnectionError):
            # The good-bye has been answered; nonsense and a broken line need none.
            pass
        finally:
            if self._telling is not None:
                self._telling.cancel()
                await asyncio.gather(self._telling, return_exceptions=True)
            await self._stub.release()

    async def _take(self, message: Packet | Interrupt | Resend) -> None:
        match message:
            case Interrupt():
                if self._stub.running:
                    await self._stub.interrupt()
            case Resend():
                self._writer.write(self._last)
            case Packet(sound=False):
                self._writer.write(b"-")
            case Packet(data=data):
                if not self._stub.no_ack:
                    self._writer.write(b"+")
                if self._stub.running:
                    # Nothing but an interrupt makes sense now.
                    return
                try:
                    reply = await self._stub.handle(data)
                except Detached as leaving:
                    self._send(leaving.reply)
                    await self._writer.drain()
                    raise
                if reply is None:
                    self._telling = asyncio.create_task(self._tell_stop(), name="gdb stop")
                else:
                    self._send(reply)
        await self._writer.drain()

    async def _tell_stop(self) -> None:
        self._send(await self._stub.stopped())
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def _send(self, reply: bytes) -> None:
        self._last = encode_packet(reply)
        self._writer.write(self._last)
