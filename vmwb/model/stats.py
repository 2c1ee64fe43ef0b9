"""Statistics of a machine, as the core and the worker count them.

Latest wins: nothing is promised about how often they change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from vmwb.model.power import PowerState


@dataclass(frozen=True, slots=True)
class ProcessorShare:
    """One processor's part: instructions since power-on or the restored state, and what it does.

    ``activity`` is ``running``, ``halted``, ``halted_for_good`` (nothing but another processor can
    wake it) or ``waiting`` (for its start).
    """

    retired: int
    activity: str


@dataclass(frozen=True, slots=True)
class DriveStats:
    """What one drive has done since power-on, over all media that were in it.

    ``failures`` counts requests of any kind, which are counted nowhere else.
    """

    reads: int = 0
    read_bytes: int = 0
    writes: int = 0
    written_bytes: int = 0
    flushes: int = 0
    failures: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> DriveStats:
        """Read one drive's part; what is missing or odd counts as zero."""
        names = (field.name for field in fields(cls))
        return cls(**{name: n for name in names if isinstance(n := data.get(name), int)})


@dataclass(frozen=True, slots=True)
class MachineStats:
    """One reading.

    ``cpu_seconds`` is the vCPU thread's, ``worker_cpu_seconds`` the whole worker's;
    ``spawn_seconds`` passed from the making of the worker's process to the start of the processor;
    ``instructions_per_second`` covers the last second; ``exits`` counts by reason,
    ``exceptions`` by vector, ``processor`` what goes on inside it, or inside all of them;
    ``processors`` has each one's share, ``drives`` what each did, by the names of their slots.
    """

    state: PowerState
    engine: str = ""
    retired: int = 0
    virtual_ns: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    worker_cpu_seconds: float = 0.0
    spawn_seconds: float = 0.0
    instructions_per_second: float = 0.0
    exits: Mapping[str, int] = field(default_factory=dict)
    exceptions: Mapping[str, int] = field(default_factory=dict)
    processor: Mapping[str, int] = field(default_factory=dict)
    processors: tuple[ProcessorShare, ...] = ()
    drives: Mapping[str, DriveStats] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> MachineStats:
        """Read what the worker sent; fields that are missing or odd count as zero."""

        def number(key: str) -> float:
            value = data.get(key, 0)
            return float(value) if isinstance(value, int | float) else 0.0

        def counts(key: str) -> dict[str, int]:
            value = data.get(key)
            found = value if isinstance(value, dict) else {}
            return {str(name): n for name, n in found.items() if isinstance(n, int)}

        drives = data.get("drives")
        rows = data.get("processors")
        shares = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        state = str(data.get("state", "off"))
        return cls(
            state=PowerState(state) if state in set(PowerState) else PowerState.OFF,
            engine=str(data.get("engine", "")),
            retired=int(number("retired")),
            virtual_ns=int(number("virtual_ns")),
            wall_seconds=number("wall_seconds"),
            cpu_seconds=number("cpu_seconds"),
            worker_cpu_seconds=number("worker_cpu_seconds"),
            spawn_seconds=number("spawn_seconds"),
            instructions_per_second=number("instructions_per_second"),
            exits=counts("exits"),
            exceptions=counts("exceptions"),
            processor=counts("processor"),
            processors=tuple(
                ProcessorShare(retired, str(row.get("activity", "")))
                for row in shares
                if isinstance(retired := row.get("retired"), int)
            ),
            drives={
                str(slot): DriveStats.from_json(drive)
                for slot, drive in (drives.items() if isinstance(drives, dict) else ())
                if isinstance(drive, dict)
            },
        )

    def to_json(self) -> dict[str, object]:
        """The object of ``vmwb stats --json``."""
        return {
            "state": self.state.value,
            "engine": self.engine,
            "retired": self.retired,
            "virtual_ns": self.virtual_ns,
            "wall_seconds": self.wall_seconds,
            "cpu_seconds": self.cpu_seconds,
            "worker_cpu_seconds": self.worker_cpu_seconds,
            "spawn_seconds": self.spawn_seconds,
            "instructions_per_second": self.instructions_per_second,
            "exits": dict(self.exits),
            "exceptions": dict(self.exceptions),
            "processor": dict(self.processor),
            "processors": [
                {"retired": share.retired, "activity": share.activity} for share in self.processors
            ],
            "drives": {slot: asdict(drive) for slot, drive in self.drives.items()},
        }
