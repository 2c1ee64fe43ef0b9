"""Multiboot kernels from Debian's packages: Mach and Xen, booted directly and by GRUB 0.97."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import guests
import initramfs
import pytest
from command import BOOT_SECONDS, Vmwb

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 2)]

#: How Mach ends when the one module that it is given is no program.
NO_PROGRAM = "Cannot load user executable module"
#: The first process of Xen's first guest: it tells on what it runs, and switches the machine off.
GUEST_INIT = b"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
echo "runs on $(/bin/busybox cat /sys/hypervisor/type), processors: $(/bin/busybox nproc)"
/bin/busybox poweroff -f
"""
MENU = """timeout 0
title Mach
root (fd0)
kernel /boot/mach.gz console=com0
module /boot/module ext2fs $(task-create)
"""


def unpacked(folder: Path, kernel: Path) -> Path:
    """Unpack a kernel into a folder."""
    path = folder / "kernel"
    path.write_bytes(gzip.decompress(kernel.read_bytes()))
    return path


def run_until(vmwb: Vmwb, text: str, *options: str | Path) -> str:
    """Run a machine until a text comes from its serial port; return what came until then."""
    done = vmwb.run(
        *("run", "--headless", "--until-serial", text, "--timeout", str(BOOT_SECONDS), *options),
        seconds=BOOT_SECONDS + 30,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def test_mach_booted_directly_finds_its_modules_and_no_system(vmwb: Vmwb, tmp_path: Path) -> None:
    module = tmp_path / "module"
    module.write_text("this is no program\n")
    kernel = unpacked(tmp_path, guests.gnumach())

    told = run_until(
        vmwb,
        NO_PROGRAM,
        *("--memory", "64M", "--kernel", kernel, "--append", "console=com0"),
        *("--module", f"{module},$(task-create) first", "--module", f"{module},second"),
    )

    assert "module 0: module $(task-create) first" in told
    assert "2 multiboot modules" in told


def test_grub_legacy_floppy_starts_mach_which_drives_every_disk(vmwb: Vmwb, tmp_path: Path) -> None:
    module, kernel, disk = tmp_path / "module", tmp_path / "mach.gz", tmp_path / "disk.img"
    module.write_text("this is no program\n")
    kernel.write_bytes(guests.gnumach().read_bytes())
    disk.write_bytes(bytes(8 << 20))
    floppy = tmp_path / "floppy.img"
    guests.grub_legacy_floppy(floppy, MENU, kernel, module)

    told = run_until(
        vmwb,
        NO_PROGRAM,
        *("--memory", "64M", "--floppy", floppy, "--disk", disk, "--cdrom", "empty"),
        *("--boot", "floppy"),
    )

    # Its drivers are those of Linux 2.0.
    assert "hd0: VMWB DISK, 8MB" in told
    assert "ATAPI CDROM drive" in told
    assert "fd0 is 1.44M" in told
    assert "module 0: /boot/module ext2fs $(task-create)" in told


def test_grub_legacy_command_line_knows_the_drives(vmwb: Vmwb, tmp_path: Path) -> None:
    floppy, disk = tmp_path / "floppy.img", tmp_path / "disk.img"
    disk.write_bytes(bytes(64 << 20))
    module = tmp_path / "module"
    module.write_text("a file on the floppy\n")
    guests.grub_legacy_floppy(floppy, "timeout 60\ntitle Nothing\nhalt\n", module)

    done = vmwb.run(
        *("run", "--headless", "--json", "--serial", "none", "--memory", "64M"),
        *("--floppy", floppy, "--disk", disk, "--boot", "floppy"),
        *("--on-screen", "Nothing=c", "--on-screen", "grub>=geometry (hd0)\n"),
        *("--on-screen", "131072, LBA=cat (fd0)/boot/module\n"),
        *("--until-screen", "a file on the floppy", "--timeout", str(BOOT_SECONDS)),
        seconds=BOOT_SECONDS + 30,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "C/H/S = 129/16/63" in json.loads(done.stdout)["screen"]


@pytest.mark.parametrize("processors", [2, 4])
def test_xen_starts_every_processor(vmwb: Vmwb, tmp_path: Path, processors: int) -> None:
    module = tmp_path / "module"
    module.write_text("this is no kernel\n")

    told = run_until(
        vmwb,
        f"Brought up {processors} CPUs",
        *("--memory", "256M", "--cpus", str(processors), "--module", module),
        *("--kernel", unpacked(tmp_path, guests.xen()), "--append", "console=com1 noreboot"),
    )

    assert "ENABLING IO-APIC IRQs" in told


def test_xen_runs_debian_as_its_first_guest_and_switches_off(vmwb: Vmwb, tmp_path: Path) -> None:
    image = tmp_path / "guest.cpio.gz"
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", guests.busybox("amd64").read_bytes()),
        initramfs.program("init", GUEST_INIT),
    ]
    image.write_bytes(initramfs.archive(entries))

    done = vmwb.run(
        *("run", "--headless", "--memory", "768M", "--cpus", "2"),
        *("--kernel", unpacked(tmp_path, guests.xen()), "--append", "console=com1 dom0_mem=384M"),
        *("--module", f"{guests.linux('amd64').kernel},console=hvc0", "--module", image),
        *("--timeout", str(BOOT_SECONDS)),
        seconds=BOOT_SECONDS + 30,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "runs on xen, processors: 2" in done.stdout
