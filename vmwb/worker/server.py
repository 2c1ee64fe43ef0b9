"""The worker's server: sessions of clients over the Unix socket, and their requests.

A client that sends nonsense, or stops reading, loses its session with a line in the log; the
machine and the other clients do not notice. The server ends when the machine has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from typing import Final

from vmwb.ipc.connection import Connection
from vmwb.ipc.messages import (
    EventMessage,
    Failure,
    Hello,
    Reply,
    Request,
    Welcome,
    check_major,
)
from vmwb.ipc.platform_linux import close_all, peer_uid
from vmwb.model.errors import ProtocolError, VmwbError, WorkerError
from vmwb.model.events import Event
from vmwb.worker.boot import Booted
from vmwb.worker.host import MachineHost
from vmwb.worker.log import Log
from vmwb.worker.requests import Requests, Subscription

CLIENTS_MAX: Final = 32
REQUESTS_MAX: Final = 32
HELLO_SECONDS: Final = 5.0
LINGER_SECONDS: Final = 2.0
UNDER_WAY_SECONDS: Final = 5.0
BUSY_SECONDS: Final = 60.0
ACCEPT_AGAIN_SECONDS: Final = 1.0


async def serve(booted: Booted, first: socket.socket, log: Log) -> None:
    """Serve clients until the machine has ended and they have left, or a short while later."""
    host = MachineHost(booted, log)
    server = _Server(host, booted, log)
    loop = asyncio.get_running_loop()
    host.attach()
    loop.add_signal_handler(signal.SIGTERM, host.request_end)
    try:
        server.accept_clients()
        # Whoever started the machine is greeted when it runs, so that all can be asked of it then.
        await host.wait_under_way(UNDER_WAY_SECONDS)
        starter = server.admit(first)
        if booted.launch.tied and starter is not None:
            starter.add_done_callback(lambda _: host.request_end())
        await host.wait_ended()
        server.stop_accepting()
        await server.wait_empty(LINGER_SECONDS)
        await host.drained(LINGER_SECONDS)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        await server.close()
        host.close()


class _Server:
    """The listening socket and the sessions."""

    def __init__(self, host: MachineHost, booted: Booted, log: Log) -> None:
        self._host = host
        self._booted = booted
        self._log = log
        self._listener: socket.socket | None = booted.listener
        self._sessions: set[asyncio.Task[None]] = set()
        self._clients: set[_Session] = set()

    def accept_clients(self) -> None:
        """Let clients in that wait at the socket, and those to come."""
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def stop_accepting(self) -> None:
        """Close the listening socket; idempotent. Its name is left to the clients to remove."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def admit(self, sock: socket.socket) -> asyncio.Task[None] | None:
        """Begin a session over a connected socket; give its task."""
        if len(self._sessions) >= CLIENTS_MAX:
            self._log.write("warn", f"A client was refused: there are {CLIENTS_MAX} already.")
            sock.close()
            return None
        session = _Session(self._host, self._booted, Connection(sock), self._log)
        self._clients.add(session)
        task = asyncio.create_task(session.run(), name="session")
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        task.add_done_callback(lambda _: self._clients.discard(session))
        return task

    async def wait_empty(self, seconds: float) -> None:
        """Wait until all clients have left or ask for nothing any more, for so long."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + BUSY_SECONDS
        rest = seconds
        while self._sessions and rest > 0:
            await asyncio.wait(self._sessions, timeout=rest)
            # Who still asks (for a long trace, say) is given more time.
            asked = max((session.asked for session in self._clients), default=0.0)
            rest = min(asked + seconds, latest) - loop.time()

    async def close(self) -> None:
        """End everything."""
        self.stop_accepting()
        for task in list(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            # It left before it was let in.
            return
        except OSError as error:
            # No descriptor is free, say. It waits at the door: to ask on would be all that is done.
            self._log.write("warn", f"A client could not be accepted: {error}")
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener.fileno())
            loop.call_later(ACCEPT_AGAIN_SECONDS, self.accept_clients)
            return
        if peer_uid(sock) != os.getuid():
            self._log.write("warn", "A client of another user was refused.")
            sock.close()
            return
        self.admit(sock)


class _Session:
    """One client."""

    def __init__(self, host: MachineHost, booted: Booted, connection: Connection, log: Log) -> None:
        self._host = host
        self._booted = booted
        self._connection = connection
        self._log = log
        self._requests = Requests(host, Subscription(self._tell))
        self._tasks: set[asyncio.Task[None]] = set()
        # Loop time of the last request.
        self.asked = 0.0

    async def run(self) -> None:
        """Serve the client until it leaves or misbehaves."""
        try:
            await self._greet()
            while True:
                received = await self._connection.receive()
                if received is None:
                    break
                self._take(*received)
        except (ProtocolError, TimeoutError) as error:
            sentence = error.sentence if isinstance(error, ProtocolError) else "no hello came"
            self._log.write("warn", f"A client was dropped: {sentence}")
            self._connection.post(Failure(None, ProtocolError(sentence)))
        finally:
            self._requests.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._connection.close()

    async def _greet(self) -> None:
        async with asyncio.timeout(HELLO_SECONDS):
            received = await self._connection.receive()
        if received is None:
            raise ProtocolError("It left without a hello.")
        # A hello has none; what comes in its place may.
        close_all(received[1])
        if not isinstance(received[0], Hello):
            raise ProtocolError("It did not begin with a hello.")
        check_major(received[0].major)
        self._connection.post(
            Welcome(
                build=self._booted.core.build,
                machine_id=self._host.launch.machine_id,
                machine=self._host.launch.name,
                pid=os.getpid(),
                state=self._host.state.value,
            )
        )

    def _take(self, message: object, handles: list[int]) -> None:
        if not isinstance(message, Request):
            close_all(handles)
            raise ProtocolError("It sent something else than a request.")
        if len(self._tasks) >= REQUESTS_MAX:
            close_all(handles)
            raise ProtocolError(f"It has {REQUESTS_MAX} requests open and sent another.")
        self.asked = asyncio.get_running_loop().time()
        task = asyncio.create_task(
            self._answer(message, handles), name=f"request {message.op[:40]}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Not in the task itself: one that is cancelled before it begins runs no line of its own.
        task.add_done_callback(lambda _: close_all(handles))

    async def _answer(self, request: Request, handles: list[int]) -> None:
        try:
            answer = await self._requests.handle(request.op, request.args, handles)
        except VmwbError as error:
            self._connection.post(Failure(request.id, error))
        except Exception as error:  # noqa: BLE001 - top of a task: the client is told, we go on
            self._log.write("error", f"The request {request.op[:40]!r} failed: {error!r}")
            self._connection.post(
                Failure(request.id, WorkerError("The worker failed at this: see its log."))
            )
        else:
            self._connection.post(
                Reply(request.id, answer.result, len(answer.handles)), answer.handles
            )

    def _tell(self, event: Event) -> None:
        with contextlib.suppress(ProtocolError):
            self._connection.post(EventMessage(event.to_json()))
