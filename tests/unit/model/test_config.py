from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vmwb.model.config import (
    BootConfig,
    BootSource,
    CpuConfig,
    EngineKind,
    ModuleConfig,
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
        (replace(SOUND, serial=(SerialConfig(),) * 5), "at most 4 serial"),
        (replace(SOUND, console=SerialConfig(SerialKind.FILE)), "file:PATH"),
        (replace(SOUND, boot=BootConfig("/k", modules=(ModuleConfig("/m"),) * 33)), "32 modules"),
        (replace(SOUND, boot=BootConfig("/k", modules=(ModuleConfig("/m", "x" * 1022),))), "1023"),
        (replace(SOUND, boot=BootConfig("/k", modules=(ModuleConfig("/m", "\0"),))), "NUL"),
        (replace(PC, boot=BootConfig(modules=(ModuleConfig("/m"),))), "without --firmware"),
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


BAD = "/\udcff.img"


@pytest.mark.parametrize(
    "config",
    [
        replace(SOUND, boot=BootConfig(BAD)),
        replace(SOUND, boot=BootConfig("/k", BAD)),
        replace(SOUND, boot=BootConfig("/k", append=BAD)),
        replace(SOUND, boot=BootConfig("/k", modules=(ModuleConfig(BAD),))),
        replace(SOUND, boot=BootConfig("/k", modules=(ModuleConfig("/m", BAD),))),
        replace(PC, boot=BootConfig(firmware=BAD)),
        replace(PC, drives=(DriveConfig("ide0", DriveKind.DISK, ImageFile(BAD)),)),
        replace(PC, drives=(DriveConfig("ide0", DriveKind.DISK, QCOW2, (ImageFile(BAD),)),)),
        replace(SOUND, serial=(SerialConfig(SerialKind.FILE, BAD),)),
        replace(SOUND, console=SerialConfig(SerialKind.FILE, BAD)),
    ],
)
def test_text_that_is_no_utf8_is_a_problem(config: VmConfig) -> None:
    (problem,) = config.problems()

    assert problem.startswith("'/\\udcff.img' is not valid UTF-8: rename the file")


def test_validated_tells_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SOUND, memory_mib=0, cpus=9).validated()

    assert len(caught.value.context["problems"]) == 2


def test_validated_bad_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        replace(SOUND, name="a/b").validated()


def test_to_spec_holds_no_path() -> None:
    spec = json.loads(SOUND.to_spec())

    assert spec["boot"] == {"kind": "kernel", "append": "console=ttyS0", "modules": []}
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

    assert virtio == {"rng": tablet, "balloon": tablet, "input": tablet, "console": False}


def test_to_spec_gives_modules_by_name_and_arguments() -> None:
    modules = (ModuleConfig("/boot/linux", "root=/dev/sda1"), ModuleConfig("/boot/initrd.img"))
    spec = json.loads(replace(SOUND, boot=BootConfig("/xen", modules=modules)).to_spec())

    assert spec["boot"]["modules"] == ["linux root=/dev/sda1", "initrd.img"]


STDIO, NONE = SerialConfig(), SerialConfig(SerialKind.NONE)
FILE = SerialConfig(SerialKind.FILE, "/log")


@pytest.mark.parametrize(
    ("serial", "console", "ports", "terminal"),
    [
        ((STDIO,), None, [0], 0),
        ((NONE,), None, [], None),
        ((NONE, STDIO), None, [1], 1),
        ((NONE,), STDIO, [4], 4),
        ((FILE,), STDIO, [0, 4], 4),
        ((FILE, STDIO), STDIO, [0, 1, 4], 1),
        ((FILE,), None, [0], 0),
    ],
)
def test_ports_are_those_with_an_end_and_the_terminal_is_the_first_that_says_so(
    serial: tuple[SerialConfig, ...],
    console: SerialConfig | None,
    ports: list[int],
    terminal: int | None,
) -> None:
    config = replace(SOUND, serial=serial, console=console)

    assert [number for number, _ in config.ports] == ports
    assert config.terminal_port == terminal
    assert json.loads(config.to_spec())["virtio"]["console"] is (console is not None)


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
