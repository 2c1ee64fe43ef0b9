"""Watching, over an engine that stands for the local one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from vmwb.model.errors import WorkerGoneError
from vmwb.model.events import Event, PointerEvent
from vmwb.model.power import PowerState
from vmwb.services import watch
from vmwb.services.engine import Engine, Session
from vmwb.services.sessions import Sessions
from vmwb.services.types import MachineSummary
from vmwb.services.watch import Watch

pytestmark = pytest.mark.usefixtures("no_tasks")

MACHINE = MachineSummary("id", "deb", PowerState.RESUMING, None, Path("/deb.vmwb"), 7)
POINTER = PointerEvent(seq=1, absolute=True)


class OneEvent:
    """A session whose machine tells one event and runs on."""

    ended = None
    gone = False

    async def events(self) -> AsyncIterator[Event]:
        yield POINTER
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


class SlowEngine:
    """An engine with one machine, whose worker listens only when asked for the third time."""

    def __init__(self) -> None:
        self.attempts = 0

    async def find(self, machine: str) -> MachineSummary:
        return MACHINE

    async def attach(self, machine: MachineSummary) -> Session:
        self.attempts += 1
        if self.attempts < 3:
            raise WorkerGoneError("No worker answers.")
        return cast(Session, OneEvent())


async def test_events_of_a_run_that_is_only_beginning_are_told_when_it_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "WORKERS_POLL_SECONDS", 0)
    engine = SlowEngine()
    sessions = Sessions(cast(Engine, engine))

    events = Watch(sessions).events("deb")
    async with asyncio.timeout(10):
        told = await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    await sessions.close()

    assert told.event == POINTER
    assert engine.attempts == 3
