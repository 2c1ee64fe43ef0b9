"""The virtio console with a stock kernel: `console=hvc0`, alone and beside a serial port."""

from __future__ import annotations

import hashlib
from pathlib import Path

import guests
import initramfs
import pytest
from command import BOOT_SECONDS, Vmwb

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 3)]

#: Debian builds the driver and what it needs as modules.
MODULES = ("virtio_pci", "virtio_console")
#: The first process speaks through hvc0: it tells a checksum of what it is sent, or ends.
INIT = """#!/bin/busybox sh
busybox=/bin/busybox
$busybox mkdir -p /proc
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs dev /dev
for module in $($busybox cat /modules/order); do $busybox insmod /modules/$module; done
exec < /dev/hvc0 > /dev/hvc0 2>&1
$busybox stty -echo
echo "<0>spoken by the kernel" > /dev/kmsg
$busybox grep virtio /proc/interrupts
echo "ready for words"
while read word rest; do
    case $word in
        sum) printf %s "$rest" | $busybox md5sum ;;
        flood) $busybox seq 2000; echo "flood is over" ;;
        end) echo "this is the end"; $busybox poweroff -f ;;
    esac
done
"""
READY = "ready for words"


def machine(folder: Path, *options: str) -> list[str | Path]:
    """Return the options of a machine whose first process speaks through hvc0."""
    kernel = guests.kernel("cloud-amd64", "amd64")
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", guests.busybox("amd64").read_bytes()),
        *initramfs.modules(guests.kernel_modules(kernel, MODULES)),
        initramfs.program("init", INIT.encode()),
    ]
    image = folder / "console.cpio.gz"
    image.write_bytes(initramfs.archive(entries))
    return ["--kernel", kernel, "--initrd", image, "--virtio-console", "stdio", *options]


def test_console_is_the_terminal_of_a_machine_without_serial_ports(
    vmwb: Vmwb, tmp_path: Path
) -> None:
    options = machine(tmp_path, "--serial", "none", "--append", "console=hvc0")

    done = vmwb.run(
        "run", "--headless", *options, "--on-serial", f"{READY}=end\\n", seconds=BOOT_SECONDS
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    # The kernel's own messages come there too, and the driver has its interrupts by MSI-X.
    assert "spoken by the kernel" in done.stdout
    assert "PCI-MSI" in done.stdout
    assert "this is the end" in done.stdout


def test_console_stands_beside_the_serial_port_and_survives_a_suspend(
    vmwb: Vmwb, tmp_path: Path
) -> None:
    append = "console=ttyS0 console=hvc0"
    vmwb.ok("create", "both", *machine(tmp_path, "--append", append))
    vmwb.ok("start", "both", "--headless")
    vmwb.wait("both", "--serial", "Linux version", seconds=BOOT_SECONDS)
    vmwb.wait("both", "--serial", READY, "--serial-port", "hvc0", seconds=BOOT_SECONDS)

    # A line as long as a terminal takes, larger than what fits behind one buffer of the driver.
    words = "x" * 4000
    vmwb.ok("send", "both", f"sum {words}\n", "--port", "hvc0")
    checksum = hashlib.md5(words.encode(), usedforsecurity=False).hexdigest()
    vmwb.wait("both", "--serial", checksum, "--serial-port", "hvc0", seconds=60)
    vmwb.ok("send", "both", "flood\n", "--port", "hvc0")
    vmwb.wait("both", "--serial", "flood is over", "--serial-port", "hvc0", seconds=120)

    vmwb.ok("suspend", "both", seconds=120)
    vmwb.ok("resume", "both", seconds=120)
    vmwb.ok("send", "both", "end\n", "--port", "4")
    vmwb.wait("both", "--state", "off", seconds=60)
