"""Use cases of waiting and looking: waits, events, statistics, logs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from vmwb.model.errors import (
    NotSupportedError,
    TimedOutError,
    UsageError,
    VmwbError,
    WorkerGoneError,
    WrongStateError,
)
from vmwb.model.power import Action, PowerState
from vmwb.model.stats import MachineStats
from vmwb.services.sessions import Sessions
from vmwb.services.types import MachineEvent, MachineSummary, WaitFor, WaitKind, WaitResult

STATE_POLL_SECONDS: Final = 0.05
WORKERS_POLL_SECONDS: Final = 0.25


class Watch:
    """Implements ``api.WatchService``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._engine = sessions.engine

    async def wait(
        self, machine: str, condition: WaitFor, *, timeout_s: float | None = None
    ) -> WaitResult:
        """Return when the condition holds."""
        begun = time.monotonic()
        match condition.kind:
            case WaitKind.STATE:
                await self._wait_state(machine, condition.text, timeout_s)
            case WaitKind.SERIAL | WaitKind.SCREEN:
                await self._wait_text(machine, condition, timeout_s)
            case WaitKind.PORT:
                raise NotSupportedError(
                    "Waiting for a network port needs a network card, which does not exist yet: "
                    "wait for a text with --serial or --screen."
                )
        return WaitResult(condition, time.monotonic() - begun)

    async def events(
        self, machine: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[MachineEvent]:
        """Events since power-on and, with ``follow``, those to come."""
        if not follow:
            for summary in await self._chosen(machine):
                if summary.pid is not None:
                    session = await self._sessions.of(summary)
                    await session.subscribe()
                    for event in session.past_events():
                        yield MachineEvent(summary.id, summary.name, event)
            return
        await self._chosen(machine)
        queue: asyncio.Queue[MachineEvent] = asyncio.Queue()
        watcher = asyncio.create_task(self._follow(machine, queue), name="events")
        taking: asyncio.Task[MachineEvent] | None = None
        try:
            while True:
                taking = asyncio.create_task(queue.get())
                await asyncio.wait({taking, watcher}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    await watcher
                    return
                yield taking.result()
        finally:
            left = [watcher] if taking is None else [watcher, taking]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def stats(self, machine: str) -> MachineStats:
        """Statistics of a running machine now."""
        _, session = await self._sessions.running(machine, Action.OBSERVE)
        return await session.stats()

    async def logs(self, machine: str, *, lines: int = 200) -> str:
        """The last lines of the machine's log."""
        return await self._engine.logs(await self._engine.find(machine), lines)

    async def _chosen(self, machine: str | None) -> tuple[MachineSummary, ...]:
        return await self._engine.list() if machine is None else (await self._engine.find(machine),)

    async def _follow(self, machine: str | None, queue: asyncio.Queue[MachineEvent]) -> None:
        """Follow every run that there is or begins, until cancelled."""
        followed: dict[int, asyncio.Task[bool]] = {}
        try:
            while True:
                for summary in await self._chosen(machine):
                    if summary.pid is None:
                        continue
                    told = followed.get(summary.pid)
                    if told is None or _in_vain(told):
                        followed[summary.pid] = asyncio.create_task(self._tell(summary, queue))
                await asyncio.sleep(WORKERS_POLL_SECONDS)
        finally:
            for task in followed.values():
                task.cancel()
            await asyncio.gather(*followed.values(), return_exceptions=True)

    async def _tell(self, summary: MachineSummary, queue: asyncio.Queue[MachineEvent]) -> bool:
        """Follow one run to its end; ``False`` if it could not be reached, or not yet."""
        reached = False
        try:
            session = await self._sessions.of(summary)
            async for event in session.events():
                reached = True
                queue.put_nowait(MachineEvent(summary.id, summary.name, event))
                if session.ended is event:
                    await self._sessions.forget(summary)
        except (WorkerGoneError, WrongStateError):
            # Over before we came, or only beginning: a worker listens when its guest runs.
            pass
        return reached

    async def _wait_state(self, machine: str, text: str, timeout_s: float | None) -> None:
        if text not in set(PowerState):
            raise UsageError(
                f"There is no state {text!r}: the states are {', '.join(PowerState)}.",
                {"state": text},
            )
        state = PowerState.OFF
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    state = (await self._engine.find(machine)).state
                    if state == text:
                        return
                    await asyncio.sleep(STATE_POLL_SECONDS)
        except TimeoutError:
            raise TimedOutError(
                f"{machine} was not {text} within {timeout_s:g} seconds: it is {state}.",
                {"machine": machine, "state": state.value},
            ) from None

    async def _wait_text(self, machine: str, condition: WaitFor, timeout_s: float | None) -> None:
        summary, session = await self._sessions.running(machine, Action.OBSERVE)
        try:
            await session.wait_text(
                condition.kind.value,
                condition.text,
                port=condition.port,
                only_new=condition.only_new,
                seconds=timeout_s,
            )
        except WorkerGoneError as error:
            raise WrongStateError(await self._why_gone(summary, condition)) from error

    async def _why_gone(self, summary: MachineSummary, condition: WaitFor) -> str:
        sentence = f"{summary.name} ended before the text {condition.text[:100]!r} appeared"
        try:
            now = await self._engine.find(summary.id)
        except VmwbError:
            return f"{sentence}."
        return f"{sentence}: it is {now.state}. {now.problem or ''}".rstrip()


def _in_vain(told: asyncio.Task[bool]) -> bool:
    """Whether a run was tried to follow and not reached."""
    return told.done() and not told.cancelled() and told.exception() is None and not told.result()
