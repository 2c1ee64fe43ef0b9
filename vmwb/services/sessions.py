"""One connection per running machine, shared by all services of a program."""

from __future__ import annotations

import asyncio

from vmwb.model.errors import WorkerGoneError, WrongStateError
from vmwb.model.power import Action, require
from vmwb.services.engine import Engine, Session
from vmwb.services.types import MachineSummary


class Sessions:
    """Finds machines and keeps connections to those that run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._open: dict[str, Session] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def running(self, machine: str, action: Action) -> tuple[MachineSummary, Session]:
        """Give a machine whose state allows an action, and a connection to it.

        Raises:
            WrongStateError: the state forbids it, or the worker went away just now.
        """
        summary = await self.engine.find(machine)
        require(action, summary.state, summary.name)
        return summary, await self.of(summary)

    async def of(self, summary: MachineSummary) -> Session:
        """Give the connection to a machine that runs.

        Raises:
            WrongStateError: its worker went away just now.
        """
        async with self._locks.setdefault(summary.id, asyncio.Lock()):
            session = self._open.get(summary.id)
            if session is not None and not session.gone and session.ended is None:
                return session
            if session is not None:
                await self.forget(summary)
            try:
                session = await self.engine.attach(summary)
            except WorkerGoneError as error:
                raise WrongStateError(
                    f"{summary.name} is ending or starting just now: try again in a moment.",
                    {"machine": summary.name},
                ) from error
            self._open[summary.id] = session
            return session

    def adopt(self, summary: MachineSummary, session: Session) -> None:
        """Keep the connection that a launch gave."""
        self._open[summary.id] = session

    async def forget(self, summary: MachineSummary) -> None:
        """Close the connection to a machine, if there is one.

        A worker tells the end of its machine before it answers who asked for that end: they get
        their answers.
        """
        session = self._open.pop(summary.id, None)
        if session is not None:
            if session.ended is not None:
                await session.answered()
            await session.close()

    async def close(self) -> None:
        """Close all connections; machines run on."""
        for session in self._open.values():
            await session.close()
        self._open.clear()
