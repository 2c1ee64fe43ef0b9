"""Use cases of the debugger and of the trace points, over a machine's connection.

Every request goes to the worker as one object and comes back as one; here it gets its types.
Continuing and interrupting are the power service's: a machine at a breakpoint is a paused machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmwb.model.debug import (
    CodeLine,
    DebugStatus,
    DescriptorTable,
    DescriptorTableKind,
    Memory,
    PageWalk,
    Registers,
    TraceReading,
    TraceSettings,
    Watchpoint,
    breakpoints,
    code_lines,
    watchpoints,
)
from vmwb.model.errors import TimedOutError, UsageError, WrongStateError
from vmwb.model.power import Action, PowerState
from vmwb.services.api import PowerService
from vmwb.services.gdb.server import GdbServer, NamedMachine
from vmwb.services.gdb.target import View
from vmwb.services.sessions import Sessions


class Debug:
    """Implements ``api.DebugService``."""

    def __init__(self, sessions: Sessions, power: PowerService, runtime: Path) -> None:
        """``runtime`` is the private directory for sockets."""
        self._sessions = sessions
        self._power = power
        self._runtime = runtime

    async def status(self, machine: str) -> DebugStatus:
        """Where the machine stands, and why."""
        return DebugStatus.from_json(await self._ask(machine, {"do": "status"}))

    async def select(self, machine: str, processor: int) -> None:
        """Look at another processor, until one is stopped or chosen."""
        await self._ask(machine, {"do": "processor", "number": processor})

    async def registers(self, machine: str) -> Registers:
        """All registers."""
        return Registers.from_json(await self._ask(machine, {"do": "registers"}))

    async def set_register(self, machine: str, name: str, value: int) -> None:
        """Set one register of a paused machine."""
        request = {"do": "set_register", "name": name, "value": hex(value)}
        await self._ask(machine, request, Action.STEP)

    async def read_memory(
        self, machine: str, address: int, length: int, *, physical: bool = False
    ) -> Memory:
        """Read memory without any effect on the guest."""
        request = {"do": "read_memory", **_place(address, physical), "length": length}
        return Memory.from_json(await self._ask(machine, request))

    async def write_memory(
        self, machine: str, address: int, data: bytes, *, physical: bool = False
    ) -> None:
        """Write RAM of a paused machine."""
        request = {"do": "write_memory", **_place(address, physical), "data": data.hex()}
        await self._ask(machine, request, Action.STEP)

    async def walk(self, machine: str, address: int) -> PageWalk:
        """The way of a linear address through the page tables to the host's memory."""
        return PageWalk.from_json(await self._ask(machine, {"do": "walk", "address": address}))

    async def disassemble(
        self, machine: str, address: int | None = None, count: int = 10, *, bits: int | None = None
    ) -> tuple[CodeLine, ...]:
        """Instructions from an address on, or from the next one to run."""
        request = {"do": "disassemble", "address": address, "count": count, "bits": bits}
        return code_lines(await self._ask(machine, request))

    async def descriptors(
        self, machine: str, table: DescriptorTableKind, *, first: int = 0, count: int = 32
    ) -> DescriptorTable:
        """Descriptors of a table."""
        request = {"do": "descriptors", "table": table.value, "first": first, "count": count}
        return DescriptorTable.from_json(await self._ask(machine, request))

    async def breakpoints(
        self,
        machine: str,
        *,
        add: Sequence[int] = (),
        remove: Sequence[int] = (),
        clear: bool = False,
    ) -> tuple[int, ...]:
        """Change the breakpoints, and give them."""
        request = {"do": "breakpoints", "add": [*add], "remove": [*remove], "clear": clear}
        return breakpoints(await self._ask(machine, request))

    async def watchpoints(
        self,
        machine: str,
        *,
        add: Sequence[Watchpoint] = (),
        remove: Sequence[Watchpoint] = (),
        clear: bool = False,
    ) -> tuple[Watchpoint, ...]:
        """Change the watchpoints, and give them."""
        request = {
            "do": "watchpoints",
            "add": [point.to_json() for point in add],
            "remove": [point.to_json() for point in remove],
            "clear": clear,
        }
        return watchpoints(await self._ask(machine, request))

    async def step(self, machine: str, count: int = 1) -> DebugStatus:
        """Run so many instructions of a paused machine."""
        request = {"do": "step", "count": count}
        return DebugStatus.from_json(await self._ask(machine, request, Action.STEP))

    async def nmi(self, machine: str) -> None:
        """Press the board's button for non-maskable interrupts."""
        await self._ask(machine, {"do": "nmi"})

    async def wait_stop(self, machine: str, *, timeout_s: float | None = None) -> DebugStatus:
        """Return when the machine stands still, whoever stopped it.

        Raises:
            TimedOutError: it still runs.
            WrongStateError: it has ended.
        """
        summary, session = await self._sessions.running(machine, Action.DEBUG)
        try:
            async with asyncio.timeout(timeout_s):
                async for _ in session.events():
                    if session.ended is not None:
                        break
                    # Events of the past come first: only the state of now counts.
                    if await session.state() is PowerState.PAUSED:
                        return await self.status(machine)
        except TimeoutError:
            raise TimedOutError(
                f"{summary.name} did not stop within {timeout_s:g} seconds: it runs on.",
                {"machine": summary.name},
            ) from None
        ended = session.ended
        why = f" {ended.sentence}" if ended is not None and ended.sentence else ""
        raise WrongStateError(f"{summary.name} has ended.{why}", {"machine": summary.name})

    async def trace_start(self, machine: str, settings: TraceSettings) -> None:
        """Begin to record events of a machine that runs; what was recorded before is dropped."""
        problems = settings.problems()
        if problems:
            raise UsageError(problems[0])
        _, session = await self._sessions.running(machine, Action.DEBUG)
        await session.trace("start", classes=list(settings.classes), limit=settings.limit)

    async def trace_stop(self, machine: str) -> None:
        """End the recording; what was recorded can still be read."""
        _, session = await self._sessions.running(machine, Action.DEBUG)
        await session.trace("stop")

    async def trace_read(self, machine: str, *, first: int = 0, limit: int = 1000) -> TraceReading:
        """Read recorded events from a number on; the oldest are gone when there were too many."""
        _, session = await self._sessions.running(machine, Action.DEBUG)
        return TraceReading.from_json(
            await session.trace("read", **{"from": max(0, first)}, limit=limit)
        )

    async def serve_gdb(
        self,
        machine: str,
        *,
        socket: Path | None = None,
        port: int | None = None,
        view: View = View.AUTO,
        once: bool = False,
        listening: Callable[[str], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        """Let gdb attach to a machine, until ``stop`` is set."""
        summary, _ = await self._sessions.running(machine, Action.DEBUG)
        if port is None and socket is None:
            socket = self._runtime / f"gdb-{summary.id[:12]}.sock"
        server = GdbServer(NamedMachine(self, self._power, summary.id), view, once=once)
        await server.serve(socket=socket, port=port or 0, listening=listening, stop=stop)

    async def _ask(
        self, machine: str, request: Mapping[str, object], action: Action = Action.DEBUG
    ) -> Mapping[str, object]:
        _, session = await self._sessions.running(machine, action)
        return await session.debug(request)


def _place(address: int, physical: bool) -> dict[str, object]:
    return {"space": "physical" if physical else "linear", "address": address}
