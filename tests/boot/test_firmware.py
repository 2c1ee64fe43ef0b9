"""Machines that start with SeaBIOS: stock boot media from Debian's packages, to what they show."""

from __future__ import annotations

import json
from pathlib import Path

import guests
import pytest
from command import BOOT_SECONDS, Vmwb

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 2)]


def run_until(vmwb: Vmwb, text: str, *options: str | Path) -> str:
    """Run a machine until a text stands on its screen; return the screen then."""
    done = vmwb.run(
        *("run", "--headless", "--json", "--serial", "none", "--memory", "128M"),
        *("--until-screen", text, "--timeout", str(BOOT_SECONDS), *options),
        seconds=BOOT_SECONDS + 30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout)["screen"])


def test_grub_cd_reaches_its_menu_and_lists_the_disk(vmwb: Vmwb, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(8 << 20))

    screen = run_until(
        vmwb,
        "(hd0)",
        *("--cdrom", guests.grub_rescue().cdrom, "--disk", disk),
        *("--on-screen", "executed automatically=c", "--on-screen", "grub>=ls\n"),
    )

    assert "(cd" in screen


def test_grub_floppy_reaches_its_menu(vmwb: Vmwb) -> None:
    screen = run_until(vmwb, "Memtest86+", "--floppy", guests.grub_rescue().floppy)

    assert "GNU GRUB" in screen


def test_syslinux_floppy_shows_its_menu_and_starts_a_kernel(vmwb: Vmwb, tmp_path: Path) -> None:
    floppy = tmp_path / "floppy.img"
    entries = ("LABEL mem", "MENU LABEL Memory test", f"LINUX {guests.memtest().name}")
    other = ("LABEL disk", "MENU LABEL The first disk", "LOCALBOOT 0x80")
    configuration = ("DEFAULT menu.c32", "MENU TITLE A floppy of the tests", *entries, *other)
    guests.syslinux_floppy(floppy, "\n".join(configuration) + "\n", guests.memtest())

    menu = run_until(vmwb, "to edit options", "--floppy", floppy)
    run_until(vmwb, "Memtest86+", "--floppy", floppy, "--on-screen", "to edit options=\n")

    lines = [line.strip() for line in menu.splitlines() if line.strip()]
    blank = f"│{'':58}│"
    assert lines == [
        f"┌{'─' * 58}┐",
        f"│{'A floppy of the tests':^58}│",
        f"├{'─' * 58}┤",
        f"│ {'Memory test':57}│",
        f"│ {'The first disk':57}│",
        *[blank] * 10,
        f"└{'─' * 58}┘",
        "Press [Tab] to edit options",
    ]


def test_ipxe_says_that_there_is_no_card(vmwb: Vmwb) -> None:
    run_until(vmwb, "No more network devices", "--cdrom", guests.ipxe_cd())


@pytest.mark.parametrize("drive", ["none", "empty disk", "empty CD"])
def test_firmware_that_finds_nothing_to_boot_is_told_in_words(
    vmwb: Vmwb, tmp_path: Path, drive: str
) -> None:
    blank = tmp_path / "blank.img"
    blank.write_bytes(bytes(1 << 20))
    drives = {
        "none": ("--boot", "disk,cdrom,floppy"),
        "empty disk": ("--disk", str(blank)),
        "empty CD": ("--cdrom", "empty"),
    }
    machine = ("--serial", "none", "--memory", "64M", *drives[drive])

    done = vmwb.run(
        *("run", "--headless", "--timeout", str(BOOT_SECONDS), *machine),
        *("--until-screen", "No bootable device"),
        seconds=BOOT_SECONDS + 30,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No device that can boot was found." in done.stderr


def test_boot_order_decides(vmwb: Vmwb) -> None:
    media = ("--cdrom", guests.ipxe_cd(), "--floppy", guests.grub_rescue().floppy)

    assert "iPXE" in run_until(vmwb, "iPXE", *media, "--boot", "cdrom,floppy")
    assert "GRUB" in run_until(vmwb, "GNU GRUB", *media, "--boot", "floppy,cdrom")


def test_boot_menu_key_opens_the_menu(vmwb: Vmwb) -> None:
    screen = run_until(
        vmwb,
        "Select boot device",
        *("--cdrom", guests.ipxe_cd(), "--on-screen", "ESC for boot menu=\x1b"),
    )

    assert "DVD/CD" in screen


def test_suspended_in_its_boot_loader_resumes_there(vmwb: Vmwb) -> None:
    vmwb.ok(
        *("create", "grub", "--memory", "128M", "--serial", "none"),
        *("--cdrom", guests.grub_rescue().cdrom, "--floppy", "empty"),
    )
    vmwb.ok("start", "grub", "--headless")
    vmwb.wait("grub", "--screen", "executed automatically", seconds=BOOT_SECONDS)
    vmwb.ok("type", "grub", "c")
    vmwb.wait("grub", "--screen", "grub>", seconds=60)

    vmwb.ok("suspend", "grub")
    vmwb.ok("resume", "grub")

    assert "grub>" in vmwb.ok("text", "grub")
    vmwb.ok("type", "grub", "ls\n")
    vmwb.wait("grub", "--screen", "(cd", seconds=60)


def test_reset_begins_with_the_firmware_again(vmwb: Vmwb) -> None:
    vmwb.ok("create", "bare", "--memory", "64M", "--serial", "none")
    vmwb.ok("start", "bare", "--headless")
    vmwb.wait("bare", "--screen", "No bootable device", seconds=BOOT_SECONDS)
    shown = json.loads(vmwb.ok("show", "bare", "--json"))
    assert (shown["state"], shown["problem_code"]) == ("running", "no_boot_device")
    assert "No device that can boot was found." in vmwb.ok("list")

    vmwb.ok("reset", "bare")
    vmwb.wait("bare", "--screen", "ESC for boot menu", seconds=60)
    vmwb.wait("bare", "--screen", "No bootable device", seconds=BOOT_SECONDS)
