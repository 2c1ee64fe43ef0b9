"""Events that a machine tells: typed, numbered, never lost if they concern power or errors.

The core's events and the worker's own share this form. On the wire and in ``--json`` an event is a
flat object with ``seq``, ``retired``, ``kind`` and the fields of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from vmwb.model.errors import ProtocolError
from vmwb.model.power import PowerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base: ``seq`` counts from 1 per power-on, ``retired`` counts instructions."""

    kind: ClassVar[str] = ""
    seq: int = 0
    retired: int = 0

    def to_json(self) -> dict[str, object]:
        """The flat object of the wire."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEvent(Event):
    """The power state changed."""

    kind = "power"
    state: PowerState


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestPowerOffEvent(Event):
    """The guest switched its machine off."""

    kind = "guest_power_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestResetEvent(Event):
    """The guest reset its machine."""

    kind = "guest_reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashedEvent(Event):
    """The guest cannot run on; ``sentence`` says why, ``stop`` holds the facts."""

    kind = "crashed"
    sentence: str
    stop: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBootDeviceEvent(Event):
    """The firmware found nothing that it could boot, and waits; ``sentence`` says what to do."""

    kind = "no_boot_device"
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepEvent(Event):
    """The guest went to sleep in its RAM (ACPI S3) if ``asleep``, else it woke."""

    kind = "sleep"
    asleep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugExitEvent(Event):
    """The guest wrote ``value`` to the debug exit port."""

    kind = "debug_exit"
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugStopEvent(Event):
    """A breakpoint or watchpoint stopped the machine, which is paused now.

    ``reason`` is ``breakpoint`` or ``watchpoint``, ``address`` the one that it was set on, ``rip``
    the linear address of the next instruction, ``processor`` the number of the one that came there;
    ``watch`` is the kind of a watchpoint, ``write`` whether it was written.
    """

    kind = "debug_stop"
    reason: str
    address: int
    rip: int
    processor: int = 0
    watch: str = ""
    write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EjectedEvent(Event):
    """The guest opened the tray of the CD drive in ``slot``; the disc lies on it."""

    kind = "ejected"
    slot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerEvent(Event):
    """The guest began, or ceased, to take places of the pointer instead of movements."""

    kind = "pointer"
    absolute: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerEvent(Event):
    """The tone of the PC speaker changed; ``hz`` is its frequency, ``None`` silence.

    At most fifty a second are told, the last always; a client hears those since it came.
    """

    kind = "speaker"
    hz: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent(Event):
    """A line of the core's log; ``level`` is info, warn or error."""

    kind = "log"
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayEvent(Event):
    """The screen changed its size; ``generation`` is that of the framebuffer."""

    kind = "display"
    width: int
    height: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedEvent(Event):
    """Last event of a worker: the state it leaves, why, and the final statistics.

    ``ended_by`` is one of ``power_off`` (asked for), ``guest_power_off``, ``crashed``,
    ``debug_exit``, ``suspended`` or ``failed``.
    """

    kind = "ended"
    state: PowerState
    ended_by: str
    sentence: str = ""
    debug_exit: int | None = None
    stats: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent(Event):
    """A kind that this version does not know; kept as it came."""

    kind = "other"
    name: str
    data: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The object as it came, with the numbers of this side."""
        return {**self.data, "kind": self.name, "seq": self.seq, "retired": self.retired}


def event_from_json(data: Mapping[str, object]) -> Event:
    """Read one event object.

    Raises:
        ProtocolError: a field is missing or has the wrong type.
    """
    kind = _text(data, "kind")
    seq, retired = _number(data, "seq"), _number(data, "retired")
    match kind:
        case "power":
            return PowerEvent(seq=seq, retired=retired, state=_state(data))
        case "guest_power_off" | "guest_reset":
            plain = GuestResetEvent if kind == "guest_reset" else GuestPowerOffEvent
            return plain(seq=seq, retired=retired)
        case "crashed":
            return CrashedEvent(
                seq=seq,
                retired=retired,
                sentence=_text(data, "sentence"),
                stop=_table(data, "stop"),
            )
        case "no_boot_device":
            return NoBootDeviceEvent(seq=seq, retired=retired, sentence=_text(data, "sentence"))
        case "sleep":
            return SleepEvent(seq=seq, retired=retired, asleep=data.get("asleep") is True)
        case "debug_exit":
            return DebugExitEvent(seq=seq, retired=retired, value=_number(data, "value"))
        case "debug_stop":
            return DebugStopEvent(
                seq=seq,
                retired=retired,
                reason=_text(data, "reason"),
                address=_number(data, "address"),
                rip=_number(data, "rip"),
                processor=_number(data, "processor"),
                watch=str(data.get("watch", "")),
                write=data.get("write") is True,
            )
        case "log":
            return LogEvent(
                seq=seq, retired=retired, level=_text(data, "level"), message=_text(data, "message")
            )
        case "display":
            return DisplayEvent(
                seq=seq,
                retired=retired,
                width=_number(data, "width"),
                height=_number(data, "height"),
                generation=_number(data, "generation"),
            )
        case "ended":
            return EndedEvent(
                seq=seq,
                retired=retired,
                state=_state(data),
                ended_by=_text(data, "ended_by"),
                sentence=_text(data, "sentence"),
                debug_exit=None if data.get("debug_exit") is None else _number(data, "debug_exit"),
                stats=_table(data, "stats"),
            )
        case _:
            return _of_device(kind, data, seq, retired)


def _of_device(kind: str, data: Mapping[str, object], seq: int, retired: int) -> Event:
    """Read an event that one device tells, or one of a kind that nobody here knows."""
    match kind:
        case "ejected":
            return EjectedEvent(seq=seq, retired=retired, slot=_text(data, "slot"))
        case "pointer":
            return PointerEvent(seq=seq, retired=retired, absolute=data.get("absolute") is True)
        case "speaker":
            hz = None if data.get("hz") is None else _number(data, "hz")
            return SpeakerEvent(seq=seq, retired=retired, hz=hz)
        case _:
            return OtherEvent(seq=seq, retired=retired, name=kind, data=dict(data))


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise ProtocolError(f"An event has no text {key!r}.", {"field": key})
    return value


def _number(data: Mapping[str, object], key: str) -> int:
    value = data.get(key, 0 if key in {"seq", "retired"} else None)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"An event has no whole number {key!r}.", {"field": key})
    return value


def _table(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise ProtocolError(f"An event has no object {key!r}.", {"field": key})
    return value


def _state(data: Mapping[str, object]) -> PowerState:
    text = _text(data, "state")
    try:
        return PowerState(text)
    except ValueError:
        raise ProtocolError(f"An event names the unknown power state {text!r}.") from None
