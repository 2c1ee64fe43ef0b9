"""One connection to a running worker: requests with deadlines, events, passed descriptors."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from vmwb.ipc.connection import Connection
from vmwb.ipc.messages import (
    EventMessage,
    Failure,
    Hello,
    Op,
    PowerVerb,
    Reply,
    Request,
    Welcome,
    check_major,
)
from vmwb.ipc.platform_linux import close_all, peer_uid
from vmwb.model.backlog import Backlog
from vmwb.model.errors import (
    ProtocolError,
    TimedOutError,
    VmwbError,
    WorkerError,
    WorkerGoneError,
)
from vmwb.model.events import EndedEvent, Event, event_from_json
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import PowerState
from vmwb.model.stats import MachineStats

REQUEST_SECONDS: Final = 10.0
POWER_SECONDS: Final = 20.0
SUSPEND_SECONDS: Final = 600.0
GRACE_SECONDS: Final = 5.0
EVENTS_WAITING_MAX: Final = 10_000
_Answer = tuple[Mapping[str, object], list[int]]


class WorkerClient:
    """Talks to one worker. Make one with ``connect`` or ``adopt``; close it when done."""

    def __init__(self, connection: Connection, welcome: Welcome) -> None:
        self.welcome = welcome
        self.ended: EndedEvent | None = None
        self._connection = connection
        self._ids = itertools.count(1)
        self._open: dict[int, asyncio.Future[_Answer]] = {}
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._backlog = Backlog(EVENTS_WAITING_MAX)
        self._subscribed = False
        self._gone: VmwbError | None = None
        self._reader = asyncio.create_task(self._read(), name="worker client")

    @classmethod
    async def connect(cls, path: Path, *, seconds: float = REQUEST_SECONDS) -> WorkerClient:
        """Connect to a worker's socket and greet it.

        Raises:
            WorkerGoneError: nobody listens there.
            ProtocolError: what answers is no worker of this protocol.
            TimedOutError: no answer within the deadline.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(sock, str(path))
            if peer_uid(sock) != os.getuid():
                raise ProtocolError(f"The socket {path} belongs to another user.")
        except TimeoutError:
            sock.close()
            raise TimedOutError(f"The worker at {path} did not answer.") from None
        except OSError as error:
            sock.close()
            raise WorkerGoneError(
                f"No worker answers at {path}: {error.strerror}.", {"socket": str(path)}
            ) from error
        except BaseException:
            sock.close()
            raise
        return await cls.adopt(sock, seconds=seconds)

    @classmethod
    async def adopt(
        cls, sock: socket.socket, *, seconds: float, first: bytes = b""
    ) -> WorkerClient:
        """Greet the worker at the other end of a connected socket, which is taken over.

        ``first`` goes before the hello: the order to a new worker.

        Raises:
            VmwbError: what the worker answered instead of a welcome.
        """
        connection = Connection(sock)
        try:
            async with asyncio.timeout(seconds):
                if first:
                    connection.post_raw(first)
                connection.post(Hello(build=""))
                received = await connection.receive()
        except TimeoutError:
            connection.close()
            raise TimedOutError(f"The worker did not answer within {seconds:g} seconds.") from None
        except BaseException:
            connection.close()
            raise
        match received:
            case (Welcome() as welcome, _):
                try:
                    check_major(welcome.major)
                except ProtocolError:
                    connection.close()
                    raise
                return cls(connection, welcome)
            case (Failure(error=error), _):
                connection.close()
                raise error
            case None:
                connection.close()
                raise WorkerGoneError("The worker left without a word.")
            case _:
                connection.close()
                raise ProtocolError("What answers at the socket is no worker.")

    @property
    def gone(self) -> bool:
        """Whether the connection has ended."""
        return self._gone is not None

    async def close(self) -> None:
        """Leave; the machine runs on."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._lose(WorkerGoneError("The connection was closed."))

    async def answered(self) -> None:
        """Return when no request waits for its answer any more, or for its failure."""
        while waiting := [answer for answer in self._open.values() if not answer.done()]:
            await asyncio.wait(waiting)

    async def wait_gone(self) -> None:
        """Return when the worker has closed the connection."""
        await asyncio.wait([self._reader])

    # ------------------------------------------------------------------ requests

    async def state(self) -> PowerState:
        """Ask for the power state."""
        result, _ = await self._request(Op.STATE)
        return _state(result)

    async def power(self, verb: PowerVerb) -> PowerState:
        """Make a power request; returns with its effect."""
        result, _ = await self._request(Op.POWER, {"verb": verb.value}, seconds=POWER_SECONDS)
        return _state(result)

    async def suspend(self) -> PowerState:
        """Save the machine and end the worker."""
        result, _ = await self._request(Op.SUSPEND, seconds=SUSPEND_SECONDS)
        return _state(result)

    async def stats(self) -> MachineStats:
        """Ask for statistics."""
        result, _ = await self._request(Op.STATS)
        return MachineStats.from_json(result)

    async def press(self, presses: Sequence[KeyPress]) -> None:
        """Move keys; returns when all have moved."""
        await self._request(
            Op.KEYS,
            {"presses": [[press.code, press.down] for press in presses]},
            seconds=REQUEST_SECONDS + 0.05 * len(presses),
        )

    async def point(self, place: Mapping[str, int], *, wheel: int, buttons: int) -> None:
        """Move the pointer by ``dx``, ``dy``, or to ``x``, ``y``."""
        await self._request(Op.POINTER, {**place, "wheel": wheel, "buttons": buttons})

    async def change_medium(
        self, slot: str, handle: int | None, *, read_only: bool, force: bool
    ) -> None:
        """Put an image into a drive, or empty it. Takes over the handle."""
        args = {"slot": slot, "read_only": read_only, "force": force}
        await self._request(Op.MEDIA, args, handles=() if handle is None else (handle,))

    async def send_serial(self, port: int, data: bytes) -> None:
        """Hand bytes to a serial port of the guest."""
        await self._request(
            Op.SERIAL_SEND, {"port": port, "data": base64.b64encode(data).decode("ascii")}
        )

    async def serial_history(self, port: int = 0) -> bytes:
        """Fetch all that is kept of a port's output."""
        parts = bytearray()
        offset = 0
        while True:
            result, _ = await self._request(Op.SERIAL_HISTORY, {"port": port, "offset": offset})
            data, following = result.get("data"), result.get("next")
            if not isinstance(data, str) or not isinstance(following, int) or following < offset:
                raise ProtocolError("The worker's serial history cannot be read.")
            parts += base64.b64decode(data)
            if not data:
                return bytes(parts)
            offset = following

    async def console(self, port: int = 0, *, replay: bool = True) -> socket.socket:
        """Get a stream of a serial port; the caller owns it."""
        _, handles = await self._request(Op.CONSOLE, {"port": port, "replay": replay})
        if len(handles) != 1:
            close_all(handles)
            raise ProtocolError("The worker sent no stream for its serial port.")
        return socket.socket(fileno=handles[0])

    async def frame(self) -> int | None:
        """Get a descriptor of the framebuffer; the caller owns it. ``None`` without a display."""
        result, handles = await self._request(Op.FRAME)
        if result.get("display") is not True:
            close_all(handles)
            return None
        if len(handles) != 1:
            close_all(handles)
            raise ProtocolError("The worker sent no memory for its screen.")
        return handles[0]

    async def text(self) -> str | None:
        """Ask for the text on the screen."""
        result, _ = await self._request(Op.TEXT)
        value = result.get("text")
        return value if isinstance(value, str) else None

    async def wait_text(
        self,
        kind: str,
        wanted: str,
        *,
        port: int = 0,
        only_new: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Wait for a text on the serial port or the screen.

        Raises:
            TimedOutError: the seconds passed.
            WrongStateError: the machine ended first.
        """
        args: dict[str, object] = {
            "kind": kind,
            "text": wanted,
            "port": port,
            "only_new": only_new,
            "seconds": seconds,
        }
        await self._request(
            Op.WAIT, args, seconds=None if seconds is None else seconds + GRACE_SECONDS
        )

    async def debug(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Carry out a debugger's request, in the form of ``docs/debugger.md``."""
        result, _ = await self._request(Op.DEBUG, {"request": request})
        return result

    async def trace(self, action: str, **args: object) -> Mapping[str, object]:
        """Start, stop or read the recording of trace events; see ``docs/protocol.md``."""
        result, _ = await self._request(Op.TRACE, {"action": action, **args})
        return result

    async def subscribe(self) -> None:
        """Ask for all events, from power-on; ``events`` gives them."""
        if not self._subscribed:
            self._subscribed = True
            await self._request(Op.EVENTS, {"after": 0})

    async def events(self) -> AsyncIterator[Event]:
        """Give the events since power-on and those to come, until the worker leaves."""
        await self.subscribe()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        for event in self._backlog:
            queue.put_nowait(event)
        if self.gone:
            queue.put_nowait(None)
        self._listeners.add(queue)
        try:
            while (heard := await queue.get()) is not None:
                yield heard
        finally:
            self._listeners.discard(queue)

    def past_events(self) -> tuple[Event, ...]:
        """Give the events that have come so far, after ``subscribe``."""
        return tuple(self._backlog)

    # ------------------------------------------------------------------ inside

    async def _request(
        self,
        op: Op,
        args: Mapping[str, object] | None = None,
        *,
        seconds: float | None = REQUEST_SECONDS,
        handles: Sequence[int] = (),
    ) -> _Answer:
        if self._gone is not None:
            close_all(handles)
            raise self._gone
        identifier = next(self._ids)
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._open[identifier] = answer
        try:
            async with asyncio.timeout(seconds):
                request = Request(identifier, op.value, args or {}, len(handles))
                self._connection.post(request, handles)
                return await answer
        except TimeoutError:
            raise TimedOutError(
                f"The worker of {self.welcome.machine} did not answer {op.value!r} within "
                f"{seconds:g} seconds.",
                {"op": op.value},
            ) from None
        finally:
            self._open.pop(identifier, None)

    async def _read(self) -> None:
        lost: VmwbError = WorkerGoneError(
            f"The worker of {self.welcome.machine} has ended.",
            {"machine": self.welcome.machine},
        )
        try:
            while (received := await self._connection.receive()) is not None:
                message, handles = received
                self._take(message, handles)
        except ProtocolError as error:
            lost = error
        finally:
            self._lose(lost)

    def _take(self, message: object, handles: list[int]) -> None:
        match message:
            case Reply(id=identifier, result=result):
                answer = self._open.get(identifier)
                if answer is None or answer.done():
                    close_all(handles)
                else:
                    answer.set_result((result, handles))
            case Failure(id=None, error=error):
                raise ProtocolError(error.sentence)
            case Failure(id=int(identifier), error=error):
                answer = self._open.get(identifier)
                if answer is not None and not answer.done():
                    answer.set_exception(error)
            case EventMessage(event=data):
                self._hear(event_from_json(data))
            case _:
                close_all(handles)
                raise ProtocolError("The worker sent something unexpected.")

    def _hear(self, event: Event) -> None:
        if isinstance(event, EndedEvent):
            self.ended = event
        self._backlog.add(event)
        for queue in self._listeners:
            queue.put_nowait(event)

    def _lose(self, error: VmwbError) -> None:
        if self._gone is not None:
            return
        self._gone = error
        self._connection.close()
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(error)
        for queue in self._listeners:
            queue.put_nowait(None)


def _state(result: Mapping[str, object]) -> PowerState:
    value = result.get("state")
    if not isinstance(value, str) or value not in set(PowerState):
        raise WorkerError("The worker named no power state.")
    return PowerState(value)
