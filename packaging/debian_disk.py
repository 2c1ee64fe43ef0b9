"""Make a disk with Debian 12 on it: GRUB, ext4, a serial console, for machines that boot by a BIOS.

The system comes from Debian's packages by debootstrap; nothing of Debian is committed. The disk is
a raw image with one partition, made without loop devices and mounts: mke2fs fills the file system
from the folder, and GRUB's two images are put where a BIOS and each other look for them. A disk is
made once and kept in the cache of the guests; users of it copy it.

Needs the rights of root, because debootstrap runs the packages' scripts in their new root.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import debian_packages

SUITE = "bookworm"
SECTOR_BYTES = 512
PARTITION_SECTOR = 2048
#: Bump it when the disk is made in another way, so that older ones are made anew.
VERSION = 2
HOST_NAME = "disk"
ROOT_PASSWORD = "vmwb"  # noqa: S105 - of a guest that exists for tests
_KERNELS = {"amd64": "linux-image-amd64", "i386": "linux-image-686-pae"}
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "serial", "echo", "test")
_BOOT_CODE_BYTES = 440
_LINUX_TYPE = 0x83
#: Both consoles get the kernel's messages; a login waits on each.
_COMMAND_LINE = "root=UUID={uuid} ro console=tty0 console=ttyS0,115200 net.ifnames=0"
_UUID = "6c1d8a52-2f0e-4f7b-9c55-6f6d77626469"


class DiskError(Exception):
    """The disk could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What is on a disk beside the system."""

    #: Part of the name of the file in the cache; bump a number in it when the set-up changes.
    name: str
    disk_bytes: int
    #: Installed with what they depend on, and without what they recommend.
    packages: tuple[str, ...] = ()
    #: Called with the root of the finished system.
    set_up: Callable[[Path], None] | None = None


PLAIN = Variant("plain", 2 << 30)


def disk(architecture: str, variant: Variant = PLAIN, cache: Path | None = None) -> Path:
    """Return the image for `amd64` or `i386`.

    The first call fetches 250 MiB or more and takes minutes. Raises DiskError.
    """
    store = cache or debian_packages.default_cache()
    store.mkdir(parents=True, exist_ok=True)
    name = "-".join(
        ("debian-disk", architecture, f"v{VERSION}", *((variant.name,) if variant != PLAIN else ()))
    )
    image = store / f"{name}.img"
    with (store / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.is_file():
            with tempfile.TemporaryDirectory(dir=store, prefix="disk-") as scratch:
                made = _make(architecture, variant, Path(scratch))
                made.rename(image)
    return image


def copy(image: Path, target: Path) -> None:
    """Copy an image; what is not written stays a hole. Raises DiskError."""
    run(["cp", "--sparse=always", str(image), str(target)], "The disk could not be copied")


def _make(architecture: str, variant: Variant, scratch: Path) -> Path:
    root = scratch / "root"
    # With dbus the system listens to the power button.
    include = ("systemd-sysv", "dbus", "udev", "grub-pc-bin", "grub-common")
    run(
        [
            *("debootstrap", "--variant=minbase", f"--arch={architecture}"),
            f"--include={','.join((_KERNELS[architecture], 'initramfs-tools', *include))}",
            *(SUITE, str(root)),
        ],
        "Debian could not be installed into a folder",
    )
    _set_up(root)
    if variant.packages:
        # apt knows alternatives among dependencies, debootstrap does not.
        apt = ("chroot", str(root), "apt-get", "--quiet", "--yes", "--no-install-recommends")
        run([*apt, "install", *variant.packages], "Its packages could not be installed")
    if variant.set_up is not None:
        variant.set_up(root)
    image = scratch / "disk.img"
    with image.open("wb") as file:
        file.truncate(variant.disk_bytes)
        file.write(_partition_table(variant.disk_bytes))
    _install_grub(root, image)
    # What the packages of the boot loader brought is not needed on the disk.
    shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
    partition_kib = (variant.disk_bytes // SECTOR_BYTES - PARTITION_SECTOR) // 2
    run(
        [
            *("mke2fs", "-q", "-t", "ext4", "-U", _UUID, "-d", str(root)),
            *("-E", f"offset={PARTITION_SECTOR * SECTOR_BYTES},root_owner=0:0"),
            *(str(image), f"{partition_kib}k"),
        ],
        "The file system could not be made",
    )
    return image


def _set_up(root: Path) -> None:
    """Give the system a name, a password, its file system, and logins on both consoles."""
    (root / "etc" / "hostname").write_text(f"{HOST_NAME}\n")
    (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost {HOST_NAME}\n")
    (root / "etc" / "fstab").write_text(f"UUID={_UUID} / ext4 errors=remount-ro 0 1\n")
    run(
        ["chroot", str(root), "chpasswd"],
        "The password could not be set",
        f"root:{ROOT_PASSWORD}\n",
    )
    wanted = root / "etc" / "systemd" / "system" / "getty.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    login = wanted / "serial-getty@ttyS0.service"
    if not login.is_symlink():
        login.symlink_to("/lib/systemd/system/serial-getty@.service")


def _partition_table(disk_bytes: int) -> bytes:
    """A master boot record with one active partition up to the end."""
    sectors = disk_bytes // SECTOR_BYTES - PARTITION_SECTOR
    entry = struct.pack(
        "<B3sB3sII", 0x80, b"\xfe\xff\xff", _LINUX_TYPE, b"\xfe\xff\xff", PARTITION_SECTOR, sectors
    )
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def _install_grub(root: Path, image: Path) -> None:
    """Put GRUB's boot image into the first sector and its core image behind it.

    As built, the boot image reads the core image from the second sector, and the core image's first
    sector reads the rest from behind itself: that is where they are put.
    """
    folder = root / "usr" / "lib" / "grub" / "i386-pc"
    kernel = next((root / "boot").glob("vmlinuz-*")).name
    initrd = next((root / "boot").glob("initrd.img-*")).name
    command_line = _COMMAND_LINE.format(uuid=_UUID)
    grub = root / "boot" / "grub"
    grub.mkdir(exist_ok=True)
    (grub / "grub.cfg").write_text(
        "serial --unit=0 --speed=115200\n"
        "terminal_input console serial\n"
        "terminal_output console serial\n"
        "set timeout=1\n"
        "menuentry 'Debian' {\n"
        f"  linux /boot/{kernel} {command_line}\n"
        f"  initrd /boot/{initrd}\n"
        "}\n"
    )
    shutil.copytree(folder, grub / "i386-pc", dirs_exist_ok=True)
    core = Path("/core.img")
    run(
        [
            *("chroot", str(root), "grub-mkimage", "--format=i386-pc", f"--output={core}"),
            *("--prefix=(hd0,msdos1)/boot/grub", *_GRUB_MODULES),
        ],
        "GRUB's core image could not be made",
    )
    made = root / core.relative_to("/")
    if made.stat().st_size > (PARTITION_SECTOR - 1) * SECTOR_BYTES:
        raise DiskError("GRUB's core image does not fit before the partition.")
    with image.open("r+b") as file:
        file.write((folder / "boot.img").read_bytes()[:_BOOT_CODE_BYTES])
        file.seek(SECTOR_BYTES)
        file.write(made.read_bytes())
    made.unlink()


def run(command: list[str], what: str, text: str | None = None) -> None:
    """Run a command, with a text on its input. Raises DiskError, which begins with `what`."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, env=environment
        )
    except FileNotFoundError as error:
        raise DiskError(f"{what}: {command[0]} is not installed.") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise DiskError(f"{what}: {' / '.join(last)}")


if __name__ == "__main__":
    print(disk(sys.argv[1] if len(sys.argv) > 1 else "amd64"))
