"""The options that make drives: slots, formats, what an edit replaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmwb.cli.drives import boot_order, with_drives
from vmwb.cli.options import MachineOptions
from vmwb.cli.render import config_json, drive_text, event_text, machine_text, stats_text
from vmwb.model.config import BootConfig, BootSource, VmConfig
from vmwb.model.drives import (
    CHAIN_MAX,
    DriveConfig,
    DriveKind,
    ImageFile,
    ImageFormat,
    drive_problems,
)
from vmwb.model.errors import ConfigError, UsageError
from vmwb.model.events import EjectedEvent, Event, NoBootDeviceEvent, PointerEvent, SleepEvent
from vmwb.model.power import PowerState
from vmwb.model.stats import DriveStats, MachineStats
from vmwb.services.types import MachineSummary


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    made = tmp_path / "raw.img"
    made.write_bytes(bytes(512))
    return made


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    made = tmp_path / "chain.qcow2"
    made.write_bytes(b"QFI\xfb" + bytes(508))
    return made


def test_drives_get_slots_in_the_order_of_pcs(raw: Path, tmp_path: Path) -> None:
    drives = with_drives((), DriveKind.DISK, [str(raw), f"{raw},bus=virtio", str(raw)])
    drives = with_drives(drives, DriveKind.CDROM, [str(tmp_path), "empty"])
    drives = with_drives(drives, DriveKind.FLOPPY, [f"{raw},readonly", "empty"])

    assert [(drive.slot, drive.image is None) for drive in drives] == [
        *(("ide0", False), ("virtio0", False), ("ide1", False)),
        *(("ide2", False), ("ide3", True)),
        *(("floppy0", False), ("floppy1", True)),
    ]
    assert drives[5].read_only
    assert drive_problems(drives) == []


def test_disk_s_format_is_looked_at_or_given(raw: Path, qcow2: Path) -> None:
    texts = [f"{qcow2},backing={raw},backing={raw},readonly", f"{qcow2},format=raw"]
    chain, plain = with_drives((), DriveKind.DISK, texts)

    assert chain == DriveConfig(
        "ide0",
        DriveKind.DISK,
        ImageFile(str(qcow2), ImageFormat.QCOW2),
        (ImageFile(str(raw)), ImageFile(str(raw))),
        read_only=True,
    )
    assert plain.image == ImageFile(str(qcow2), ImageFormat.RAW)


def test_edit_replaces_all_drives_of_the_kind_and_no_others(raw: Path) -> None:
    base = VmConfig(
        "pc",
        drives=(
            DriveConfig("ide0", DriveKind.DISK, ImageFile("/old")),
            DriveConfig("ide1", DriveKind.DISK, ImageFile("/older")),
            DriveConfig("ide2", DriveKind.CDROM),
        ),
    )

    changed = MachineOptions(disk=(str(raw),)).apply(base)
    without = MachineOptions(disk=("none",), cdrom=("none",)).apply(base)

    assert {drive.slot: drive.image for drive in changed.drives} == {
        "ide0": ImageFile(str(raw)),
        "ide2": None,
    }
    assert without.drives == ()
    assert MachineOptions(memory="64M").apply(base).drives == base.drives


def test_more_drives_than_slots_are_refused(raw: Path) -> None:
    with pytest.raises(ConfigError, match="no room for another cdrom"):
        with_drives((), DriveKind.CDROM, ["empty"] * 5)
    with pytest.raises(ConfigError, match="no room for another floppy"):
        with_drives((), DriveKind.FLOPPY, ["empty"] * 3)
    with pytest.raises(ConfigError, match="no room for another disk on virtio"):
        with_drives((), DriveKind.DISK, [f"{raw},bus=virtio"] * 9)


def test_boot_order_is_a_list_of_words() -> None:
    assert boot_order("floppy,cdrom") == (BootSource.FLOPPY, BootSource.CDROM)
    with pytest.raises(UsageError, match="cdrom"):
        boot_order("floppy;cdrom")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (EjectedEvent(slot="ide2"), "opened the tray of ide2"),
        (NoBootDeviceEvent(sentence="Nothing boots."), "waits: Nothing boots."),
        (SleepEvent(asleep=True), "went to sleep"),
        (SleepEvent(asleep=False), "woke"),
        (PointerEvent(absolute=True), "takes places of the pointer"),
        (PointerEvent(absolute=False), "takes movements of the pointer"),
    ],
)
def test_events_of_drives_and_pointer_are_told_in_words(event: Event, words: str) -> None:
    assert event_text(event).endswith(words)


def test_statistics_tell_what_each_drive_did() -> None:
    drives = {
        "ide0": DriveStats(reads=1200, read_bytes=3 << 20, writes=1, written_bytes=512, flushes=2),
        "virtio0": DriveStats(failures=3),
    }

    text = stats_text(MachineStats(PowerState.RUNNING, drives=drives))

    told = "1,200 reads of 3.0 MiB, 1 writes of 0.0 MiB, 2 flushes"
    assert f"{'ide0':14}{told}" in text.splitlines()
    assert text.splitlines()[-1].endswith("0 flushes, 3 failed")


DISK = DriveConfig("ide0", DriveKind.DISK, ImageFile("/d", ImageFormat.QCOW2))


@pytest.mark.parametrize(
    ("drive", "words"),
    [
        (DriveConfig("sata0", DriveKind.DISK, ImageFile("/d")), "no drive slot 'sata0'"),
        (DriveConfig("floppy0", DriveKind.DISK, ImageFile("/d")), "cannot hold a disk"),
        (DriveConfig("virtio0", DriveKind.CDROM), "cannot hold a cdrom"),
        (DriveConfig("ide1", DriveKind.DISK), "has no image"),
        (
            DriveConfig("ide1", DriveKind.DISK, DISK.image, (ImageFile("/b"),) * CHAIN_MAX),
            "at most 64",
        ),
        (
            DriveConfig("ide1", DriveKind.DISK, ImageFile("/d"), (ImageFile("/b"),)),
            "only qcow2",
        ),
        (DriveConfig("ide2", DriveKind.CDROM, DISK.image), "must be a raw image"),
    ],
)
def test_problems_of_drives_are_sentences(drive: DriveConfig, words: str) -> None:
    (problem,) = drive_problems((DISK, drive))

    assert words in problem
    assert problem.endswith(".")


def test_bus_of_a_slot_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="sata0"):
        _ = DriveConfig("sata0", DriveKind.DISK).bus


@pytest.mark.parametrize(
    ("boot", "rows"),
    [
        (BootConfig(order=(BootSource.FLOPPY, BootSource.CDROM)), ["boot order    floppy, cdrom"]),
        (BootConfig("/boot/linux"), []),
    ],
)
def test_boot_order_of_a_machine_with_firmware_is_shown(boot: BootConfig, rows: list[str]) -> None:
    config = VmConfig("pc", boot=boot)
    summary = MachineSummary("", "pc", PowerState.OFF, config, Path("/pc.vmwb"))

    shown = machine_text(summary).splitlines()

    assert [row for row in shown if row.startswith("boot")] == rows


def test_drives_are_told_as_json_and_as_text(raw: Path, qcow2: Path) -> None:
    config = MachineOptions(
        disk=(f"{qcow2},backing={raw},readonly",), cdrom=("empty",), boot="disk"
    ).apply(VmConfig("pc"))

    told = config_json(config)

    assert told["firmware"] == "seabios"
    assert told["boot"] == ["disk"]
    assert told["drives"] == [
        {
            "slot": "ide0",
            "kind": "disk",
            "path": str(qcow2),
            "format": "qcow2",
            "backing": [str(raw)],
            "read_only": True,
        },
        {
            "slot": "ide2",
            "kind": "cdrom",
            "path": None,
            "format": None,
            "backing": [],
            "read_only": False,
        },
    ]
    assert [drive_text(drive) for drive in config.drives] == [
        f"{qcow2} (disk, qcow2, read-only)",
        "cdrom, empty",
    ]
