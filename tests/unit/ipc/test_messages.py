from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmwb.ipc.launch import DriveTarget, Launch, SerialTarget, launch_from_json
from vmwb.ipc.messages import (
    EventMessage,
    Failure,
    Hello,
    Message,
    Reply,
    Request,
    Welcome,
    boolean,
    check_major,
    parse_message,
)
from vmwb.model.debug import TraceSettings
from vmwb.model.errors import BusyError, ProtocolError

MESSAGES = [
    Hello("abc"),
    Welcome("abc", "id", "deb", 7, "running"),
    Request(1, "stats", {"a": 1}),
    Request(2, "media", {"slot": "ide2"}, 1),
    Reply(1, {"b": [2]}, 1),
    EventMessage({"kind": "power"}),
]
LAUNCH = Launch(
    machine_id="id",
    name="deb",
    bundle="/b",
    socket="/s",
    spec="{}",
    kernel="/k",
    initrd=None,
    serial=(SerialTarget("stdio"), SerialTarget("file", "/f", 4)),
    modules=("/m", "/n"),
    tied=True,
    spawned_ns=5,
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_survives_the_wire(message: Message) -> None:
    assert parse_message(message.to_json()) == message


@pytest.mark.parametrize("identifier", [None, 3])
def test_failure_survives_the_wire(identifier: int | None) -> None:
    parsed = parse_message(Failure(identifier, BusyError("Taken.", {"a": 1})).to_json())

    assert isinstance(parsed, Failure)
    assert parsed.id == identifier
    assert type(parsed.error) is BusyError
    assert parsed.error.context == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"t": "martian"},
        {"t": []},
        {"t": "hello"},
        {"t": "hello", "build": "", "major": "1", "minor": 0},
        {"t": "hello", "build": "", "major": True, "minor": 0},
        {"t": "request", "id": -1, "op": "x"},
        {"t": "request", "id": 1 << 60, "op": "x"},
        {"t": "request", "id": 1, "op": 5},
        {"t": "request", "id": 1, "op": "x", "args": []},
        {"t": "reply", "id": 1, "handles": 99},
        {"t": "reply", "id": 1, "handles": -1},
        {"t": "failure", "id": 1},
        {"t": "event", "event": 5},
    ],
)
def test_message_unsound_is_a_protocol_error(data: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        parse_message(data)


@given(
    st.dictionaries(
        st.sampled_from(["t", "id", "op", "args", "result", "handles", "error", "event", "major"]),
        st.none() | st.integers() | st.text(max_size=8) | st.just({}),
    )
)
def test_message_of_random_fields_parses_or_is_a_protocol_error(data: dict[str, object]) -> None:
    with contextlib.suppress(ProtocolError):
        assert parse_message(data).to_json()["t"] == data["t"]


def test_check_major_other_version_says_what_helps() -> None:
    with pytest.raises(ProtocolError, match="stop the machine"):
        check_major(2)


def test_check_major_same_version_is_silent() -> None:
    check_major(1)


def test_boolean_of_another_type_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        boolean({"a": 1}, "a", default=True)


def wire(launch: Launch) -> dict[str, object]:
    """Give the order as it comes over the wire."""
    data: dict[str, object] = json.loads(json.dumps(launch.to_json()))
    return data


def test_launch_survives_the_wire() -> None:
    assert launch_from_json(wire(LAUNCH)) == LAUNCH


def test_launch_carries_a_trace() -> None:
    traced = replace(LAUNCH, trace=TraceSettings(("mode", "port"), 7))

    assert launch_from_json(wire(traced)) == traced


def test_launch_carries_firmware_and_drives() -> None:
    drives = (DriveTarget("ide0", ("/a", "/b"), writable=True), DriveTarget("ide2"))
    pc = replace(LAUNCH, kernel=None, firmware="/bios", vga_rom="/vga", drives=drives)

    assert launch_from_json(wire(pc)) == pc


@pytest.mark.parametrize(
    "change",
    [
        {"t": "hello"},
        {"serial": None},
        {"serial": [{"kind": "stdio"}] * 6},
        {"serial": [{"kind": "stdio", "port": "0"}]},
        {"modules": "/m"},
        {"modules": [5]},
        {"modules": ["/m"] * 33},
        {"serial": [5]},
        {"kernel": 5},
        {"tied": 1},
        {"spawned_ns": None},
        {"firmware": 5},
        {"drives": {}},
        {"drives": [5]},
        {"drives": [{"slot": "ide0", "paths": []}] * 15},
        {"drives": [{"slot": "ide0"}]},
        {"drives": [{"slot": 0, "paths": []}]},
        {"drives": [{"slot": "ide0", "paths": [5]}]},
        {"drives": [{"slot": "ide0", "paths": ["/a"] * 65}]},
        {"drives": [{"slot": "ide0", "paths": [], "writable": 1}]},
        {"trace": 5},
        {"trace": {"classes": "all", "limit": 1}},
        {"trace": {"classes": [1], "limit": 1}},
    ],
)
def test_launch_unsound_is_a_protocol_error(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        launch_from_json({**wire(LAUNCH), **change})
