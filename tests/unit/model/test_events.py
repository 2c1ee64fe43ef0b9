from __future__ import annotations

import pytest

from vmwb.model.errors import ProtocolError, VmwbError, WrongStateError, error_from_json
from vmwb.model.events import (
    CrashedEvent,
    DebugExitEvent,
    DebugStopEvent,
    DisplayEvent,
    EjectedEvent,
    EndedEvent,
    Event,
    GuestPowerOffEvent,
    GuestResetEvent,
    LogEvent,
    NoBootDeviceEvent,
    OtherEvent,
    PointerEvent,
    PowerEvent,
    SleepEvent,
    SpeakerEvent,
    event_from_json,
)
from vmwb.model.power import PowerState
from vmwb.model.stats import DriveStats, MachineStats, ProcessorShare

EVENTS = [
    PowerEvent(seq=1, retired=2, state=PowerState.RUNNING),
    GuestPowerOffEvent(seq=2),
    GuestResetEvent(seq=3),
    CrashedEvent(seq=4, sentence="Triple fault.", stop={"reason": "triple_fault"}),
    NoBootDeviceEvent(seq=4, sentence="Nothing boots."),
    SleepEvent(seq=5, asleep=True),
    SleepEvent(seq=5, asleep=False),
    DebugExitEvent(seq=5, value=3),
    DebugStopEvent(seq=5, reason="breakpoint", address=16, rip=16),
    EjectedEvent(seq=5, slot="ide2"),
    PointerEvent(seq=5, absolute=True),
    PointerEvent(seq=5, absolute=False),
    SpeakerEvent(seq=5, hz=880),
    SpeakerEvent(seq=5, hz=None),
    LogEvent(seq=6, level="warn", message="x"),
    DisplayEvent(seq=7, width=720, height=400, generation=2),
    EndedEvent(seq=8, state=PowerState.OFF, ended_by="debug_exit", debug_exit=3, stats={"a": 1}),
    OtherEvent(seq=9, retired=1, name="new", data={"kind": "new", "x": 1}),
]


@pytest.mark.parametrize("event", EVENTS[:-1], ids=lambda event: event.kind)
def test_event_survives_the_wire(event: Event) -> None:
    assert event_from_json(event.to_json()) == event


def test_event_unknown_kind_is_kept() -> None:
    event = event_from_json({"kind": "new", "seq": 9, "retired": 1, "x": 1})

    assert event.to_json() == {"kind": "new", "seq": 9, "retired": 1, "x": 1}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": 1},
        {"kind": "power"},
        {"kind": "power", "state": "melted"},
        {"kind": "power", "state": "off", "seq": "1"},
        {"kind": "debug_exit", "value": True},
        {"kind": "crashed", "sentence": "x", "stop": []},
        {"kind": "display", "width": 1},
        {"kind": "ejected"},
        {"kind": "no_boot_device"},
        {"kind": "speaker", "hz": "high"},
    ],
)
def test_event_unsound_is_a_protocol_error(data: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        event_from_json(data)


def test_error_survives_the_wire() -> None:
    error = WrongStateError("It is off.", {"state": "off"})
    data = error.to_json()

    rebuilt = error_from_json(str(data["code"]), str(data["message"]), error.context)

    assert type(rebuilt) is WrongStateError
    assert rebuilt.to_json() == data


def test_error_unknown_code_is_kept_in_the_context() -> None:
    rebuilt = error_from_json("martian", "What?", {})

    assert type(rebuilt) is VmwbError
    assert rebuilt.context == {"remote_code": "martian"}


def test_stats_survive_the_wire() -> None:
    stats = MachineStats(
        PowerState.RUNNING,
        "interpreter",
        5,
        exits={"halt": 2},
        exceptions={"14": 9},
        processors=(ProcessorShare(3, "running"), ProcessorShare(2, "halted")),
        drives={"ide0": DriveStats(reads=2, read_bytes=1024, flushes=1)},
    )

    assert MachineStats.from_json(stats.to_json()) == stats


def test_stats_odd_fields_count_as_zero() -> None:
    odd = {"state": "?", "retired": "x", "exits": 3, "drives": {"ide0": {"reads": "x"}, "ide1": 3}}

    assert MachineStats.from_json(odd) == MachineStats(
        PowerState.OFF, drives={"ide0": DriveStats()}
    )
