"""Stable JSON (documented in ``docs/cli.md``) and plain text of what the services give."""

from __future__ import annotations

from collections.abc import Mapping

from vmwb.model.config import NO_FIRMWARE, SerialConfig, VmConfig
from vmwb.model.drives import DriveConfig, DriveKind
from vmwb.model.events import (
    CrashedEvent,
    DebugExitEvent,
    DebugStopEvent,
    DisplayEvent,
    EjectedEvent,
    EndedEvent,
    Event,
    LogEvent,
    NoBootDeviceEvent,
    PointerEvent,
    PowerEvent,
    SleepEvent,
    SpeakerEvent,
)
from vmwb.model.sizes import MIB, format_mib
from vmwb.model.stats import DriveStats, MachineStats
from vmwb.services.types import DeletePlan, MachineSummary


def config_json(config: VmConfig) -> dict[str, object]:
    """Give a definition's object."""
    return {
        "memory_mib": config.memory_mib,
        "cpus": config.cpus,
        "engine": config.engine.value,
        "deterministic": config.deterministic,
        "cpu_model": config.cpu.model,
        "kernel": config.boot.kernel,
        "initrd": config.boot.initrd,
        "modules": [
            {"path": module.path, "arguments": module.arguments} for module in config.boot.modules
        ],
        "append": config.boot.append,
        "firmware": config.boot.firmware_chosen or NO_FIRMWARE,
        "boot": [source.value for source in config.boot.order],
        "drives": [drive_json(drive) for drive in config.drives],
        "serial": config_serial(config),
        "virtio_console": None if config.console is None else _port_text(config.console),
        "display": config.display.value,
        "debug_exit_port": config.debug_exit_port,
    }


def drive_json(drive: DriveConfig) -> dict[str, object]:
    """Give a drive's object."""
    return {
        "slot": drive.slot,
        "kind": drive.kind.value,
        "path": None if drive.image is None else drive.image.path,
        "format": None if drive.image is None else drive.image.format.value,
        "backing": [file.path for file in drive.backing],
        "read_only": drive.read_only,
    }


def drive_text(drive: DriveConfig) -> str:
    """Give one line about a drive."""
    if drive.image is None:
        return f"{drive.kind}, empty"
    notes = [
        drive.kind.value,
        *([drive.image.format.value] if drive.kind is DriveKind.DISK else []),
        *(["read-only"] if drive.read_only else []),
    ]
    return f"{drive.image.path} ({', '.join(notes)})"


def machine_json(machine: MachineSummary) -> dict[str, object]:
    """Give a machine's object."""
    return {
        "id": machine.id,
        "name": machine.name,
        "state": machine.state.value,
        "pid": machine.pid,
        "path": str(machine.path),
        "problem": machine.problem,
        "problem_code": machine.problem_code,
        "problem_facts": dict(machine.problem_facts),
        "config": None if machine.config is None else config_json(machine.config),
    }


def machine_table(machines: tuple[MachineSummary, ...]) -> str:
    """Give the lines of ``vmwb list``."""
    if not machines:
        return "There are no machines yet: `vmwb create NAME --cdrom FILE` makes one."
    width = max(len("NAME"), *(len(machine.name) for machine in machines))
    lines = [f"{'NAME':{width}}  {'STATE':10}  MEMORY"]
    for machine in machines:
        memory = "?" if machine.config is None else format_mib(machine.config.memory_mib)
        note = f"  {machine.problem}" if machine.problem else ""
        lines.append(f"{machine.name:{width}}  {machine.state:10}  {memory}{note}")
    return "\n".join(lines)


def machine_text(machine: MachineSummary) -> str:
    """Give the lines of ``vmwb show``."""
    rows = [
        ("name", machine.name),
        ("id", machine.id),
        ("state", machine.state.value),
        ("process", "" if machine.pid is None else str(machine.pid)),
        ("folder", str(machine.path)),
    ]
    if machine.config is not None:
        config = machine.config
        rows += [
            ("memory", format_mib(config.memory_mib)),
            ("processors", f"{config.cpus} ({config.cpu.model}), engine {config.engine}"),
            ("deterministic", "yes" if config.deterministic else "no"),
            ("kernel", config.boot.kernel or ""),
            ("initrd", config.boot.initrd or ""),
            *(("module", f"{m.path} {m.arguments}".rstrip()) for m in config.boot.modules),
            ("command line", config.boot.append),
            ("firmware", config.boot.firmware_chosen or NO_FIRMWARE),
            ("boot order", _order_text(config)),
            *((drive.slot, drive_text(drive)) for drive in config.drives),
            ("display", config.display.value),
            ("serial", ", ".join(config_serial(config))),
            ("console", "" if config.console is None else _port_text(config.console)),
        ]
    if machine.problem:
        rows.append(("problem", machine.problem))
    return "\n".join(f"{label:14}{value}" for label, value in rows if value)


def _order_text(config: VmConfig) -> str:
    return ", ".join(config.boot.order) if config.boot.firmware_chosen else ""


def config_serial(config: VmConfig) -> list[str]:
    """Give the serial ports as their options are written."""
    return [_port_text(port) for port in config.serial]


def _port_text(port: SerialConfig) -> str:
    return f"{port.kind}:{port.path}" if port.path else port.kind.value


def plan_json(plan: DeletePlan) -> dict[str, object]:
    """Give the object of ``vmwb delete``."""
    return {
        "name": plan.name,
        "path": str(plan.path),
        "files": plan.files,
        "bytes": plan.bytes,
        "deleted": plan.done,
    }


def stats_text(stats: MachineStats) -> str:
    """Give the lines of ``vmwb stats``."""
    rows = [
        ("state", stats.state.value),
        ("engine", stats.engine),
        ("instructions", f"{stats.retired:,}"),
        ("rate", f"{stats.instructions_per_second / 1e6:.1f} million a second"),
        ("virtual time", f"{stats.virtual_ns / 1e9:.3f} s"),
        ("wall time", f"{stats.wall_seconds:.1f} s"),
        ("CPU time", f"{stats.cpu_seconds:.1f} s, worker {stats.worker_cpu_seconds:.1f} s"),
        ("exits", _counts(stats.exits)),
        ("exceptions", _counts(stats.exceptions)),
        ("processor", _counts(stats.processor)),
        *((slot, _drive_text(drive)) for slot, drive in stats.drives.items()),
        *(
            (f"processor {n}", f"{share.retired:,} instructions, {share.activity}")
            for n, share in enumerate(stats.processors)
            if len(stats.processors) > 1
        ),
    ]
    return "\n".join(f"{label:14}{value}" for label, value in rows if value)


def _drive_text(drive: DriveStats) -> str:
    failed = f", {drive.failures:,} failed" if drive.failures else ""
    return (
        f"{drive.reads:,} reads of {drive.read_bytes / MIB:,.1f} MiB, "
        f"{drive.writes:,} writes of {drive.written_bytes / MIB:,.1f} MiB, "
        f"{drive.flushes:,} flushes{failed}"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in sorted(counts.items()))


def event_text(event: Event) -> str:
    """Give an event as one line."""
    match event:
        case PowerEvent(state=state):
            what = f"is {state}"
        case CrashedEvent(sentence=sentence):
            what = f"cannot run on: {sentence}"
        case NoBootDeviceEvent(sentence=sentence):
            what = f"waits: {sentence}"
        case DebugExitEvent(value=value):
            what = f"wrote {value:#x} to its debug exit port"
        case DebugStopEvent(reason=reason, address=address, rip=rip, processor=processor):
            what = (
                f"was stopped by the {reason} at {address:#x}, and stands at {rip:#x} "
                f"(processor {processor})"
            )
        case LogEvent(level=level, message=message):
            what = f"{level}: {message}"
        case EndedEvent(ended_by=ended_by):
            what = f"has ended ({ended_by})"
        case _:
            what = _guest_text(event)
    return f"[{event.retired:>14,}] {what}"


def _guest_text(event: Event) -> str:
    """What the guest did with the machine, and events that have no words of their own."""
    match event:
        case SleepEvent(asleep=asleep):
            return "went to sleep" if asleep else "woke"
        case EjectedEvent(slot=slot):
            return f"opened the tray of {slot}"
        case PointerEvent(absolute=absolute):
            return f"takes {'places' if absolute else 'movements'} of the pointer"
        case SpeakerEvent(hz=hz):
            return "speaker: silent" if hz is None else f"speaker: {hz} Hz"
        case DisplayEvent(width=width, height=height):
            return f"shows {width}x{height}"
        case _:
            return str(event.to_json().get("kind")).replace("_", " ")
