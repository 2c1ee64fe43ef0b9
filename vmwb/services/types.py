"""Values that cross the door of the services: frozen, without behaviour that does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vmwb.model.config import VmConfig
from vmwb.model.debug import TraceSettings
from vmwb.model.events import Event
from vmwb.model.power import PowerState
from vmwb.model.stats import MachineStats


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the pointer on the screen: 0 to 65,535 from left to right, and downwards."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Motion:
    """A movement of the pointer: counts to the right, and downwards."""

    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class MachineSummary:
    """One machine of the library as lists show it.

    ``pid`` is the worker's, when there is one. ``problem`` is a sentence when the bundle cannot be
    read (then ``config`` is ``None``), when the last run ended badly, or when a machine that runs
    found nothing to boot or has a guest that sleeps; ``problem_code`` is an error's code,
    ``sandbox`` for a worker that was stopped by its own, ``no_boot_device`` or ``asleep``.
    ``problem_facts`` are what the sentence is made of, where that is known: ``reason`` and what
    belongs to it, as ``docs/cli.md`` lists them.
    """

    id: str
    name: str
    state: PowerState
    config: VmConfig | None
    path: Path
    pid: int | None = None
    problem: str | None = None
    problem_code: str | None = None
    problem_facts: Mapping[str, object] = field(default_factory=dict)


class StopKind(StrEnum):
    """How a machine is stopped."""

    HARD = "hard"
    SOFT = "soft"


class WaitKind(StrEnum):
    """What is waited for."""

    STATE = "state"
    SERIAL = "serial"
    SCREEN = "screen"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class WaitFor:
    """A condition: ``text`` is the state's name or the text that has to appear.

    ``port`` is the serial port for kind ``serial``; ``only_new`` ignores its output until now.
    """

    kind: WaitKind
    text: str
    port: int = 0
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class WaitResult:
    """What ended a wait: the condition, and the seconds it took."""

    condition: WaitFor
    seconds: float


@dataclass(frozen=True, slots=True)
class MachineEvent:
    """An event and the machine that told it."""

    machine_id: str
    machine: str
    event: Event

    def to_json(self) -> dict[str, object]:
        """The object of ``vmwb events --json``."""
        return {"machine": self.machine, "id": self.machine_id, **self.event.to_json()}


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """What a deletion removes (or would remove): files and their bytes on disk."""

    name: str
    path: Path
    files: int
    bytes: int
    done: bool


class FindingLevel(StrEnum):
    """How much a finding of the doctor matters."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, how it is, and what to do about it."""

    subject: str
    level: FindingLevel
    sentence: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer given once, when ``text`` appears (on the serial port or on the screen)."""

    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """A run's trace: the file of JSON lines that it ends in, and what is recorded."""

    file: Path
    settings: TraceSettings


@dataclass(frozen=True, slots=True)
class TraceWritten:
    """How a trace came out: events in the file, and older ones that had to make room."""

    file: Path
    events: int
    dropped: int

    def to_json(self) -> dict[str, object]:
        """The object ``trace`` of ``vmwb run --json``."""
        return {"file": str(self.file), "events": self.events, "dropped": self.dropped}


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A machine in the foreground of which nothing is kept."""

    config: VmConfig
    until_serial: tuple[str, ...] = ()
    until_screen: tuple[str, ...] = ()
    on_serial: tuple[Reply, ...] = ()
    on_screen: tuple[Reply, ...] = ()
    timeout_s: float | None = None
    screenshot: Path | None = None
    trace: TraceRequest | None = None


class RunEnd(StrEnum):
    """Why a run ended; the words of ``ended_by`` in ``--stats``."""

    SERIAL_TEXT = "until_serial"
    SCREEN_TEXT = "until_screen"
    GUEST_POWER_OFF = "guest_power_off"
    POWER_OFF = "power_off"
    CRASHED = "crashed"
    DEBUG_EXIT = "debug_exit"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    ``exit_code`` is the command's; ``sentence`` is empty when all went well; ``text`` is what the
    screen showed at the end, if the machine still ran.
    """

    ended_by: RunEnd
    exit_code: int
    sentence: str
    stats: MachineStats | None
    text: str | None = None
    trace: TraceWritten | None = None
