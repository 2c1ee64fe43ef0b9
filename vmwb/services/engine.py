"""What the services need of an engine: something that keeps machines and runs them.

The local supervisor with its library is one (``local_engine``); engines on other hosts can follow.
Nothing here says that a machine runs on this host.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from vmwb.ipc.messages import PowerVerb, Welcome
from vmwb.model.config import VmConfig
from vmwb.model.debug import TraceSettings
from vmwb.model.events import EndedEvent, Event
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import PowerState
from vmwb.model.stats import MachineStats
from vmwb.services.types import DeletePlan, MachineSummary


class Session(Protocol):
    """A connection to one running machine; ``vmwb.client.WorkerClient`` is the local one."""

    welcome: Welcome
    ended: EndedEvent | None

    @property
    def gone(self) -> bool:
        """Whether the connection has ended."""
        ...

    async def close(self) -> None:
        """Leave; the machine runs on."""
        ...

    async def answered(self) -> None:
        """Return when no request waits for its answer any more, or for its failure."""
        ...

    async def wait_gone(self) -> None:
        """Return when the machine's side has closed the connection."""
        ...

    async def state(self) -> PowerState:
        """Ask for the power state."""
        ...

    async def power(self, verb: PowerVerb) -> PowerState:
        """Make a power request; returns with its effect."""
        ...

    async def suspend(self) -> PowerState:
        """Save the machine and end its run."""
        ...

    async def stats(self) -> MachineStats:
        """Ask for statistics."""
        ...

    async def press(self, presses: Sequence[KeyPress]) -> None:
        """Move keys."""
        ...

    async def point(self, place: Mapping[str, int], *, wheel: int, buttons: int) -> None:
        """Move the pointer by ``dx``, ``dy``, or to ``x``, ``y``."""
        ...

    async def change_medium(
        self, slot: str, handle: int | None, *, read_only: bool, force: bool
    ) -> None:
        """Put an image into a drive, or empty it. Takes over the handle."""
        ...

    async def send_serial(self, port: int, data: bytes) -> None:
        """Hand bytes to a serial port."""
        ...

    async def console(self, port: int = 0, *, replay: bool = True) -> socket.socket:
        """Get a stream of a serial port; the caller owns it."""
        ...

    async def frame(self) -> int | None:
        """Get a descriptor of the framebuffer; the caller owns it."""
        ...

    async def text(self) -> str | None:
        """Ask for the text on the screen."""
        ...

    async def wait_text(
        self,
        kind: str,
        wanted: str,
        *,
        port: int = 0,
        only_new: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Wait for a text on the serial port or the screen."""
        ...

    async def debug(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Carry out a debugger's request, in the form of ``docs/debugger.md``."""
        ...

    async def trace(self, action: str, **args: object) -> Mapping[str, object]:
        """Start, stop or read the recording of trace events."""
        ...

    async def subscribe(self) -> None:
        """Ask for all events, from power-on."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Give the events since power-on and those to come."""
        ...

    def past_events(self) -> tuple[Event, ...]:
        """Give the events that have come so far, after ``subscribe``."""
        ...


class Engine(Protocol):
    """Keeps and runs machines. Every method raises subclasses of ``VmwbError`` only."""

    async def list(self) -> tuple[MachineSummary, ...]:
        """Give all machines, by name."""
        ...

    async def find(self, machine: str) -> MachineSummary:
        """Give the machine of a name or id."""
        ...

    async def create(self, config: VmConfig) -> MachineSummary:
        """Keep a new machine."""
        ...

    async def replace(self, machine: MachineSummary, config: VmConfig) -> None:
        """Replace a definition."""
        ...

    async def replace_media(self, machine: MachineSummary, config: VmConfig) -> None:
        """Note what lies in the drives of a machine, which may run."""
        ...

    async def rename(self, machine: MachineSummary, new_name: str) -> None:
        """Give a machine another name."""
        ...

    async def delete(self, machine: MachineSummary, *, dry_run: bool) -> DeletePlan:
        """Remove a machine, or say what that would remove."""
        ...

    async def discard_states(self, machine: MachineSummary) -> None:
        """Throw suspended states away."""
        ...

    async def launch(
        self,
        machine: MachineSummary,
        *,
        resume: bool,
        tied: bool = False,
        trace: TraceSettings | None = None,
    ) -> Session:
        """Start a machine, or bring it back; ``tied``: it ends when this session does.

        ``trace``: events are recorded from the first instruction on.
        """
        ...

    async def attach(self, machine: MachineSummary) -> Session:
        """Connect to a machine that runs."""
        ...

    async def settle(self, machine: MachineSummary, pid: int) -> None:
        """Wait until a run has ended for good and the machine can be used again."""
        ...

    async def kill(self, machine: MachineSummary) -> None:
        """End a run that does not answer any more."""
        ...

    async def logs(self, machine: MachineSummary, lines: int) -> str:
        """Give the last lines of a machine's log."""
        ...

    def close(self) -> None:
        """Let go of everything; machines run on."""
        ...
