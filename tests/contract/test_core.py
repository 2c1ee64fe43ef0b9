"""The real core beside what this side mirrors of it: power table, framebuffer, spec, events."""

from __future__ import annotations

import json
import os
import re
import select
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import guests
import pytest

import vmwb_core
from vmwb.ipc import framebuffer as fb
from vmwb.ipc.framebuffer import FrameReader
from vmwb.model import config as model
from vmwb.model.config import (
    BootConfig,
    BootSource,
    CpuConfig,
    DisplayKind,
    EngineKind,
    SerialConfig,
    VmConfig,
)
from vmwb.model.drives import CHAIN_MAX, DriveBus, DriveConfig, DriveKind, ImageFile, ImageFormat
from vmwb.model.drives import SLOTS as DRIVE_SLOTS
from vmwb.model.events import GuestPowerOffEvent, PowerEvent, event_from_json
from vmwb.model.power import ALLOWED, AT_REST, TRANSIENT, Action, PowerState

TABLE = json.loads(vmwb_core.power_table_json())
LAYOUT = json.loads(vmwb_core.framebuffer_layout_json())
SCHEMA = json.loads(vmwb_core.spec_schema_json())
SOUND = VmConfig(name="deb", memory_mib=16, boot=BootConfig("/k", None, "quiet"))
WHOLE_PC = VmConfig(
    name="pc",
    id="8c2cf5ae-45d0-4a4f-9b2f-0c8f5f1d2a11",
    memory_mib=32,
    drives=(
        DriveConfig("ide2", DriveKind.CDROM, ImageFile("/cd.iso")),
        DriveConfig("floppy0", DriveKind.FLOPPY),
    ),
)
# Actions that the core carries out, by its name for them.
COMMANDS = {
    Action.START: "start",
    Action.STOP: "power_off",
    Action.SHUT_DOWN: "power_button",
    Action.RESET: "reset",
    Action.PAUSE: "pause",
    Action.UNPAUSE: "resume",
    Action.SUSPEND: "suspend",
    Action.STEP: "step",
}


def test_power_states_are_the_cores() -> None:
    assert TABLE["states"] == [state.value for state in PowerState]


@pytest.mark.parametrize("state", [state for state in PowerState if state not in AT_REST])
@pytest.mark.parametrize("action", COMMANDS)
def test_power_table_agrees_with_the_core_while_a_worker_lives(
    action: Action, state: PowerState
) -> None:
    ours = state in ALLOWED[action]
    cores = "to" in TABLE["table"][state.value][COMMANDS[action]]

    assert ours == cores


@pytest.mark.parametrize("state", [PowerState.OFF, PowerState.CRASHED])
def test_power_table_starts_where_the_core_does(state: PowerState) -> None:
    assert TABLE["table"][state.value]["start"] == {"to": "starting"}
    assert state in ALLOWED[Action.START]


@pytest.mark.parametrize("state", TRANSIENT)
def test_transient_states_of_the_core_allow_no_more_than_ours(state: PowerState) -> None:
    allowed = [name for name, cell in TABLE["table"][state.value].items() if "to" in cell]

    assert set(allowed) <= {"power_off"}


def test_framebuffer_fields_are_where_the_core_has_them() -> None:
    assert {name: list(place) for name, place in fb.LAYOUT.items()} == LAYOUT["fields"]


def test_framebuffer_constants_are_the_cores() -> None:
    assert LAYOUT["constants"] == {
        "magic": fb.MAGIC,
        "layout_version": fb.LAYOUT_VERSION,
        "header_bytes": fb.HEADER_BYTES,
        "max_width": fb.MAX_WIDTH,
        "max_height": fb.MAX_HEIGHT,
        "max_columns": fb.MAX_COLUMNS,
        "max_rows": fb.MAX_ROWS,
        "bytes_per_pixel": fb.BYTES_PER_PIXEL,
        "format_xrgb8888": fb.FORMAT_XRGB8888,
    }


def test_spec_has_exactly_the_fields_of_the_schema() -> None:
    properties = SCHEMA["properties"]
    for config in (SOUND, WHOLE_PC):
        spec = json.loads(config.to_spec())

        assert set(spec) == set(properties)
        assert set(spec["cpu"]) == set(properties["cpu"]["properties"])
        assert set(spec["boot"]) <= set(properties["boot"]["properties"])
        assert set(spec["virtio"]) == set(properties["virtio"]["properties"])
    assert set(spec["drives"][0]) == set(properties["drives"]["items"]["properties"])


def test_drives_of_the_schema_are_those_of_the_model() -> None:
    drive = SCHEMA["properties"]["drives"]["items"]["properties"]
    slots = {slot for bus in DriveBus for slot in DRIVE_SLOTS[bus]}

    assert set(drive["kind"]["enum"]) == set(DriveKind)
    assert set(drive["formats"]["items"]["enum"]) == set(ImageFormat)
    assert drive["formats"]["maxItems"] == CHAIN_MAX
    assert all(re.fullmatch(drive["slot"]["pattern"], slot) for slot in slots)
    assert set(SCHEMA["properties"]["boot"]["properties"]["order"]["items"]["enum"]) == set(
        BootSource
    )


def test_spec_bounds_are_the_cores() -> None:
    properties = SCHEMA["properties"]

    assert properties["memory_mib"]["minimum"] == model.MEMORY_MIN_MIB
    assert properties["memory_mib"]["maximum"] == model.MEMORY_MAX_MIB
    assert properties["boot"]["properties"]["append"]["maxLength"] == model.APPEND_MAX_BYTES
    assert properties["cpu"]["properties"]["model"]["enum"] == list(model.CPU_MODELS)
    assert set(properties["engine"]["enum"]) == set(model.ENGINES_NOW)
    assert set(properties["display"]["enum"]) == set(DisplayKind)


@pytest.fixture(scope="module")
def hello() -> Iterator[int]:
    handle = os.open(guests.hello(), os.O_RDONLY)
    yield handle
    os.close(handle)


@pytest.mark.parametrize(
    "config",
    [
        SOUND,
        replace(SOUND, engine=EngineKind.INTERPRETER, deterministic=True, pace=False, seed=5),
        replace(SOUND, display=DisplayKind.NONE, serial=()),
        replace(SOUND, display=DisplayKind.TEST_PATTERN, debug_exit_port=0x501),
        replace(SOUND, cpus=8),
        replace(SOUND, name="Ärger 日本", boot=BootConfig("/k", None, "x" * 255)),
    ],
)
def test_core_takes_what_the_model_finds_sound(config: VmConfig, hello: int) -> None:
    machine = vmwb_core.Machine(config.validated().to_spec(), {"kernel": hello})

    machine.close()


@pytest.mark.parametrize(
    "config",
    [
        replace(SOUND, memory_mib=1),
        replace(SOUND, memory_mib=65_537),
        replace(SOUND, cpus=0),
        replace(SOUND, cpus=9),
        replace(SOUND, engine=EngineKind.KVM),
        replace(SOUND, cpu=CpuConfig("z80")),
        replace(SOUND, cpu=CpuConfig(tsc_hz=1)),
        replace(SOUND, boot=BootConfig("/k", None, "x" * 2048)),
        replace(SOUND, boot=BootConfig("/k", None, "a\0b")),
        replace(SOUND, debug_exit_port=0x60),
        replace(SOUND, serial=(SerialConfig(),) * 5),
    ],
)
def test_core_refuses_what_the_model_refuses_with_a_sentence(config: VmConfig, hello: int) -> None:
    assert config.problems()
    with pytest.raises(vmwb_core.CoreError) as caught:
        vmwb_core.Machine(config.to_spec(), {"kernel": hello})

    assert caught.value.code
    assert caught.value.sentence.endswith(".")


def test_core_tells_a_run_by_events_that_this_side_reads(hello: int) -> None:
    machine = vmwb_core.Machine(SOUND.to_spec(), {"kernel": hello})
    machine.start()
    events = []
    while PowerState.OFF not in [e.state for e in events if isinstance(e, PowerEvent)]:
        assert select.select([machine.event_handle()], [], [], 20)[0]
        events += [event_from_json(json.loads(text)) for text in machine.drain_events()]
    stats = json.loads(machine.stats())
    handle = machine.frame_handle()
    machine.close()
    machine.close()

    assert any(isinstance(event, GuestPowerOffEvent) for event in events)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert stats["engine"] == "interpreter"
    assert stats["retired"] > 0
    assert handle is not None
    with FrameReader(handle) as reader:
        assert reader.sequence >= 0
    os.close(handle)


def test_core_shows_its_test_pattern(hello: int, tmp_path: Path) -> None:
    config = replace(SOUND, display=DisplayKind.TEST_PATTERN)
    machine = vmwb_core.Machine(config.to_spec(), {"kernel": hello})
    handle = machine.frame_handle()
    assert handle is not None
    with FrameReader(handle) as reader:
        frame = reader.frame()
    os.close(handle)
    machine.close()

    assert (frame.info.width, frame.info.height) == (1024, 768)
    assert len(set(frame.pixels[::4])) > 8


def test_core_refuses_a_slot_that_does_not_exist(hello: int) -> None:
    machine = vmwb_core.Machine(SOUND.to_spec(), {"kernel": hello})
    machine.start()
    for slot in ("cdrom", "ide2"):
        with pytest.raises(vmwb_core.CoreError) as caught:
            machine.attach(slot, hello)
        assert caught.value.code == "not_found"
    machine.close()
