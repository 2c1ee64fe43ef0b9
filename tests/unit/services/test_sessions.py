"""The connections that services share, against a worker's end of a socket."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import cast

import pytest

from vmwb.client.worker_client import WorkerClient
from vmwb.ipc.connection import Connection
from vmwb.ipc.messages import EventMessage, Hello, Reply, Request, Welcome
from vmwb.model.errors import WorkerGoneError
from vmwb.model.events import EndedEvent
from vmwb.model.power import PowerState
from vmwb.services.engine import Engine
from vmwb.services.sessions import Sessions
from vmwb.services.types import MachineSummary

pytestmark = pytest.mark.usefixtures("no_tasks")

SECONDS = 10.0
MACHINE = MachineSummary("id", "deb", PowerState.RUNNING, None, Path("/deb.vmwb"), 1)
SUSPENDED = EndedEvent(seq=1, state=PowerState.SUSPENDED, ended_by="suspended")


async def asked_to_suspend() -> tuple[Connection, Sessions, asyncio.Task[PowerState], Request]:
    """Give a worker's end, the sessions that hold the other, and a request to suspend."""
    ours, theirs = socket.socketpair()
    worker = Connection(theirs)
    greeting = asyncio.create_task(WorkerClient.adopt(ours, seconds=SECONDS))
    assert await worker.receive() == (Hello(""), [])
    await worker.send(Welcome("", "id", "deb", os.getpid(), "running"))
    client = await greeting
    # The engine is asked for nothing here.
    sessions = Sessions(cast(Engine, None))
    sessions.adopt(MACHINE, client)
    suspending = asyncio.create_task(client.suspend())
    received = await worker.receive()
    assert received is not None
    request = received[0]
    assert isinstance(request, Request)
    worker.post(EventMessage(SUSPENDED.to_json()))
    while client.ended is None:  # noqa: ASYNC110 - nothing tells the moment of reading
        await asyncio.sleep(0)
    return worker, sessions, suspending, request


async def test_session_forgotten_at_the_end_leaves_its_answer_to_who_asked() -> None:
    worker, sessions, suspending, request = await asked_to_suspend()

    forgetting = asyncio.create_task(sessions.forget(MACHINE))
    # It gets as far as it comes without the answer.
    await asyncio.sleep(0)
    await worker.send(Reply(request.id, {"state": "suspended"}))

    assert await suspending is PowerState.SUSPENDED
    await forgetting
    assert await worker.receive() is None
    worker.close()


async def test_session_whose_worker_goes_without_an_answer_is_forgotten() -> None:
    worker, sessions, suspending, _ = await asked_to_suspend()

    forgetting = asyncio.create_task(sessions.forget(MACHINE))
    worker.close()

    with pytest.raises(WorkerGoneError):
        await suspending
    await forgetting
