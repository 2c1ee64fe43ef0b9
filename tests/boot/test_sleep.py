"""A stock kernel sleeps in its RAM (ACPI S3), and goes on, disks and all, by whatever wakes it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import guests
import initramfs
import pytest
from command import BOOT_SECONDS, Vmwb

from vmwb.automation.script import Script, workbench
from vmwb.model.events import SleepEvent
from vmwb.model.power import PowerState

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 3)]

#: Sleeps when it is told to, with the clock's alarm so many seconds later (0: none); says that it
#: woke.
INIT = b"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox dmesg -n 1
/bin/busybox mount -t devtmpfs dev /dev
while read module; do /bin/busybox insmod /modules/$module; done < /modules/order
until [ -b /dev/sda ] && [ -b /dev/vda ]; do :; done
echo "states: $(/bin/busybox cat /sys/power/mem_sleep)"
while read alarm; do
  [ $alarm = off ] && /bin/busybox poweroff -f
  echo 0 > /sys/class/rtc/rtc0/wakealarm
  [ $alarm = 0 ] || echo +$alarm > /sys/class/rtc/rtc0/wakealarm
  echo mem > /sys/power/state && woke="$(/bin/busybox nproc) processors, alarm $alarm"
  echo 3 > /proc/sys/vm/drop_caches
  echo "woke: $woke, $(/bin/busybox cat /dev/sda /dev/vda | /bin/busybox md5sum)"
done
"""
MODULES = ["ata_piix", "sd_mod", "virtio_pci", "virtio_blk"]
DISK = bytes(n * n >> 4 & 0xFF for n in range(1 << 18))
#: What both disks give, read one after the other.
READ = hashlib.md5(DISK * 2, usedforsecurity=False).hexdigest()


def machine(folder: Path) -> list[str]:
    """Return the options of a machine of two processors and two disks that sleeps at a word."""
    kernel = guests.kernel("cloud-amd64", "amd64")
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", guests.busybox("amd64").read_bytes()),
        initramfs.program("init", INIT),
        *initramfs.modules(guests.kernel_modules(kernel, MODULES)),
    ]
    image = folder / "sleeping.cpio.gz"
    image.write_bytes(initramfs.archive(entries))
    options = ["--kernel", str(kernel), "--initrd", str(image), "--append", "console=ttyS0"]
    for bus in ("ide", "virtio"):
        disk = folder / f"{bus}.img"
        disk.write_bytes(DISK)
        options += ["--disk", f"{disk},bus={bus}"]
    return [*options, "--firmware", "seabios", "--cpus", "2", "--memory", "256M"]


async def test_guest_sleeps_and_is_woken_by_key_clock_and_power_button(
    vmwb: Vmwb, tmp_path: Path
) -> None:
    vmwb.ok("create", "deb", *machine(tmp_path))

    async with workbench(vmwb.library, vmwb.environment) as services:
        guest = Script(services, "deb")

        async def problem() -> str | None:
            return (await services.machines.show("deb")).problem_code

        async def sleeps() -> None:
            await guest.send("0\n")
            async for told in services.watch.events("deb", follow=True):
                if isinstance(told.event, SleepEvent) and await problem() == "asleep":
                    return

        async def wakes(alarm: int) -> None:
            woke = f"woke: 2 processors, alarm {alarm}, {READ}"
            await guest.expect(woke, timeout_s=BOOT_SECONDS, only_new=True)
            assert await problem() is None

        await guest.start()
        await guest.expect("[deep]", timeout_s=BOOT_SECONDS)
        await sleeps()
        await services.power.suspend("deb")
        await services.power.resume("deb")
        assert await problem() == "asleep"
        await guest.keys("space")
        await wakes(0)

        await guest.send("1\n")
        await wakes(1)

        await sleeps()
        stopped = asyncio.create_task(guest.stop())  # the power button
        await wakes(0)
        await guest.send("off\n")
        assert (await stopped).state is PowerState.OFF
