"""Use cases of the library: list, show, create, edit, rename, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from vmwb.model.config import VmConfig
from vmwb.model.errors import ConfigError
from vmwb.model.power import Action, require
from vmwb.services.sessions import Sessions
from vmwb.services.types import DeletePlan, MachineSummary

WATCH_SECONDS: Final = 0.25


class Machines:
    """Implements ``api.MachineService``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._engine = sessions.engine

    async def list(self) -> tuple[MachineSummary, ...]:
        """All machines, by name."""
        return await self._engine.list()

    async def watch(self) -> AsyncIterator[tuple[MachineSummary, ...]]:
        """The list now, and again whenever it changes."""
        last: tuple[MachineSummary, ...] | None = None
        while True:
            now = await self._engine.list()
            if now != last:
                last = now
                yield now
            await asyncio.sleep(WATCH_SECONDS)

    async def show(self, machine: str) -> MachineSummary:
        """One machine."""
        return await self._engine.find(machine)

    async def create(self, config: VmConfig) -> MachineSummary:
        """Put a new machine into the library."""
        return await self._engine.create(config)

    async def edit(
        self, machine: str, config: VmConfig, *, dry_run: bool = False
    ) -> MachineSummary:
        """Replace a machine's definition, but not its id nor its name."""
        summary = await self._engine.find(machine)
        require(Action.EDIT, summary.state, summary.name)
        wanted = replace(config, id=summary.id, name=summary.name)
        if summary.config is None:
            raise ConfigError(summary.problem or f"The definition of {summary.name} is damaged.")
        wanted.validated()
        if dry_run:
            return replace(summary, config=wanted)
        await self._engine.replace(summary, wanted)
        return await self._engine.find(summary.name)

    async def rename(self, machine: str, new_name: str) -> MachineSummary:
        """Give a machine another name."""
        summary = await self._engine.find(machine)
        require(Action.RENAME, summary.state, summary.name)
        await self._engine.rename(summary, new_name)
        return await self._engine.find(new_name)

    async def delete(self, machine: str, *, dry_run: bool = False) -> DeletePlan:
        """Remove a machine and all its files, or say what that would remove."""
        summary = await self._engine.find(machine)
        require(Action.DELETE, summary.state, summary.name)
        await self._sessions.forget(summary)
        return await self._engine.delete(summary, dry_run=dry_run)
