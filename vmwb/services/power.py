"""Use cases of the power buttons."""

from __future__ import annotations

import asyncio

from vmwb.ipc.messages import PowerVerb
from vmwb.model.errors import TimedOutError, WorkerGoneError
from vmwb.model.power import Action, PowerState, require
from vmwb.services.engine import Session
from vmwb.services.sessions import Sessions
from vmwb.services.types import MachineSummary, StopKind


class Power:
    """Implements ``api.PowerService``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._engine = sessions.engine

    async def start(self, machine: str) -> MachineSummary:
        """Switch a machine on."""
        return await self._launch(machine, Action.START)

    async def resume(self, machine: str) -> MachineSummary:
        """Bring a suspended machine back."""
        return await self._launch(machine, Action.RESUME)

    async def stop(
        self, machine: str, kind: StopKind = StopKind.HARD, *, timeout_s: float = 60.0
    ) -> MachineSummary:
        """Switch a machine off, or ask its guest to."""
        action = Action.STOP if kind is StopKind.HARD else Action.SHUT_DOWN
        if kind is StopKind.SOFT:
            summary, session = await self._sessions.running(machine, action)
            await self._shut_down(summary, session, timeout_s)
        else:
            summary = await self._engine.find(machine)
            if summary.state is PowerState.STOPPING and summary.pid is not None:
                # It is on its way: wait with whoever asked for it.
                await self._sessions.forget(summary)
                await self._engine.settle(summary, summary.pid)
            else:
                require(action, summary.state, summary.name)
                await self._pull_the_plug(summary)
        return await self._engine.find(summary.id or machine)

    async def reset(self, machine: str) -> MachineSummary:
        """Press the reset button."""
        return await self._press(machine, Action.RESET, PowerVerb.RESET)

    async def pause(self, machine: str) -> MachineSummary:
        """Stop the processor."""
        return await self._press(machine, Action.PAUSE, PowerVerb.PAUSE)

    async def unpause(self, machine: str) -> MachineSummary:
        """Let a paused machine run on."""
        return await self._press(machine, Action.UNPAUSE, PowerVerb.RESUME)

    async def suspend(self, machine: str) -> MachineSummary:
        """Write the machine's state to its bundle and end its process."""
        summary, session = await self._sessions.running(machine, Action.SUSPEND)
        await session.suspend()
        await self._leave(summary, session)
        return await self._engine.find(summary.id)

    async def discard(self, machine: str) -> MachineSummary:
        """Throw a suspended state away."""
        summary = await self._engine.find(machine)
        require(Action.DISCARD, summary.state, summary.name)
        await self._engine.discard_states(summary)
        return await self._engine.find(summary.id)

    async def _launch(self, machine: str, action: Action) -> MachineSummary:
        summary = await self._engine.find(machine)
        require(action, summary.state, summary.name)
        session = await self._engine.launch(summary, resume=action is Action.RESUME)
        self._sessions.adopt(summary, session)
        return await self._engine.find(summary.id)

    async def _press(self, machine: str, action: Action, verb: PowerVerb) -> MachineSummary:
        summary, session = await self._sessions.running(machine, action)
        await session.power(verb)
        return await self._engine.find(summary.id)

    async def _pull_the_plug(self, summary: MachineSummary) -> None:
        try:
            session = await self._sessions.of(summary)
            await session.power(PowerVerb.POWER_OFF)
        except TimedOutError:
            # A worker that does not answer loses its process; the machine counts as crashed.
            await self._sessions.forget(summary)
            await self._engine.kill(summary)
            return
        except WorkerGoneError:
            # It ended by itself meanwhile, which is what was wanted.
            await self._sessions.forget(summary)
            return
        await self._leave(summary, session)

    async def _shut_down(self, summary: MachineSummary, session: Session, timeout_s: float) -> None:
        await session.subscribe()
        await session.power(PowerVerb.POWER_BUTTON)
        try:
            async with asyncio.timeout(timeout_s):
                async for _ in session.events():
                    if session.ended is not None:
                        break
        except TimeoutError:
            raise TimedOutError(
                f"{summary.name} did not switch itself off within {timeout_s:g} seconds: it runs "
                "on; `vmwb stop --hard` pulls the plug.",
                {"machine": summary.name},
            ) from None
        await self._leave(summary, session)

    async def _leave(self, summary: MachineSummary, session: Session) -> None:
        """Close the connection, so that the worker need not linger, and wait for its end."""
        pid = session.welcome.pid
        await self._sessions.forget(summary)
        await session.close()
        await self._engine.settle(summary, pid)
