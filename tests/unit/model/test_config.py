from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vmwb.model.config import (
    BootConfig,
    BootSource,
    CpuConfig,
    EngineKind,
    SerialConfig,
    SerialKind,
    VmConfig,
)
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile, ImageFormat
from vmwb.model.errors import ConfigError, UsageError

SOUND = VmConfig(name="deb", boot=BootConfig("/k", "/i", "console=ttyS0"))
QCOW2 = ImageFile("/d.qcow2", ImageFormat.QCOW2)
PC = VmConfig(
    name="pc",
    drives=(
        DriveConfig("ide0", DriveKind.DISK, QCOW2, (ImageFile("/d.img"),)),
        DriveConfig("ide2", DriveKind.CDROM),
    ),
)


def test_validated_sound_gives_itself() -> None:
    assert SOUND.validated() is SOUND


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (replace(SOUND, memory_mib=1), "Memory"),
        (replace(SOUND, memory_mib=10 << 20), "Memory"),
        (replace(SOUND, cpus=9), "1 to 8 by --cpus"),
        (replace(SOUND, cpus=0), "1 to 8 by --cpus"),
        (replace(SOUND, engine=EngineKind.KVM), "engine kvm"),
        (replace(SOUND, cpu=CpuConfig("z80")), "'z80'"),
        (replace(SOUND, cpu=CpuConfig(tsc_hz=0)), "time-stamp"),
        (replace(SOUND, boot=BootConfig(None, "/i")), "--kernel"),
        (replace(SOUND, boot=BootConfig(None, None, "quiet")), "--kernel"),
        (replace(SOUND, boot=BootConfig("/k", None, "a\0b")), "NUL"),
        (replace(SOUND, boot=BootConfig("/k", None, "x" * 2048)), "2047"),
        (replace(SOUND, serial=(SerialConfig(), SerialConfig())), "serial"),
        (replace(SOUND, serial=(SerialConfig(SerialKind.FILE),)), "file:PATH"),
        (replace(SOUND, debug_exit_port=0x10000), "port"),
        (replace(SOUND, seed=-1), "seed"),
        (replace(SOUND, boot=BootConfig(firmware="none")), "--kernel"),
        (replace(SOUND, boot=BootConfig(order=(BootSource.DISK,) * 2)), "boot order"),
        (replace(PC, drives=PC.drives[:1] * 2), "ide0: remove one"),
    ],
)
def test_validated_unsound_says_what(config: VmConfig, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        config.validated()

    assert caught.value.context["problems"] == list(config.problems())


def test_validated_tells_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SOUND, memory_mib=0, cpus=9).validated()

    assert len(caught.value.context["problems"]) == 2


def test_validated_bad_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        replace(SOUND, name="a/b").validated()


def test_to_spec_holds_no_path() -> None:
    spec = json.loads(SOUND.to_spec())

    assert spec["boot"] == {"kind": "kernel", "append": "console=ttyS0"}
    assert spec["memory_mib"] == 512
    assert "/k" not in SOUND.to_spec()


def test_to_spec_of_a_pc_holds_no_path() -> None:
    spec = json.loads(PC.to_spec())

    assert spec["boot"] == {
        "kind": "firmware",
        "append": "",
        "order": ["cdrom", "disk", "floppy"],
        "menu": True,
    }
    assert spec["drives"] == [
        {"slot": "ide0", "kind": "disk", "formats": ["qcow2", "raw"], "read_only": False},
        {"slot": "ide2", "kind": "cdrom", "formats": [], "read_only": True},
    ]
    assert "/d.img" not in PC.to_spec()


@pytest.mark.parametrize(
    ("config", "tablet"),
    [
        (SOUND, False),
        (PC, True),
        (replace(SOUND, boot=BootConfig("/k", firmware="seabios")), True),
        (replace(PC, boot=BootConfig("/k")), True),
    ],
)
def test_to_spec_gives_a_tablet_to_whole_pcs(config: VmConfig, tablet: bool) -> None:
    virtio = json.loads(config.to_spec())["virtio"]

    assert virtio == {"rng": tablet, "balloon": tablet, "input": tablet}


@pytest.mark.parametrize(
    ("boot", "chosen"),
    [
        (BootConfig(), "seabios"),
        (BootConfig("/k"), None),
        (BootConfig("/k", firmware="none"), None),
        (BootConfig("/k", firmware="seabios"), "seabios"),
        (BootConfig(firmware="/bios"), "/bios"),
    ],
)
def test_firmware_unless_chosen_starts_what_has_no_kernel(
    boot: BootConfig, chosen: str | None
) -> None:
    assert boot.firmware_chosen == chosen
