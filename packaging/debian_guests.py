"""Where the kernels and tools of the guests lie inside Debian's packages.

`make run`, the tests (through tests/guests.py) and the benchmark take them from here; nothing of
Debian is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import debian_packages

#: The package is of architecture "all", so that the lists of any architecture carry it.
_INSTALLER = "debian-installer-12-netboot-{architecture}"
SECTOR_BYTES = 512
#: What of a boot sector belongs to the FAT file system: from its OEM name to its label.
FAT_START, FAT_END = 3, 62
_MODULE_NEEDS = re.compile(rb"\0depends=([^\0]*)\0")
_IMAGES = "usr/lib/debian-installer/images/12/{architecture}/{face}/debian-installer/{architecture}"


@dataclass(frozen=True, slots=True)
class LinuxGuest:
    """A Linux that can be booted directly: a bzImage and its initial RAM file system."""

    kernel: Path
    initrd: Path


def netboot(architecture: str, cache: Path | None = None, face: str = "text") -> LinuxGuest:
    """Return the kernel and initrd of Debian 12's network installer for `amd64` or `i386`.

    Its face is `text`, or `gtk` for the graphical one.
    The package is about 100 MiB; the first call fetches it. Raises debian_packages.FetchError.
    """
    name = _INSTALLER.format(architecture=architecture)
    folder = debian_packages.fetch(name, "amd64", cache or debian_packages.default_cache())
    images = folder / _IMAGES.format(architecture=architecture, face=face)
    guest = LinuxGuest(images / "linux", images / "initrd.gz")
    for path in (guest.kernel, guest.initrd):
        if not path.is_file():
            raise debian_packages.FetchError(
                f"The package {name} does not carry {path.relative_to(folder)} any more."
            )
    return guest


def kernel(flavour: str, architecture: str, cache: Path | None = None) -> Path:
    """Return Debian 12's newest kernel of a flavour: `cloud-amd64`, `686-pae`, `rt-amd64` ...

    Raises debian_packages.FetchError.
    """
    store = cache or debian_packages.default_cache()
    pattern = rf"linux-image-[0-9].*-{re.escape(flavour)}"
    name = debian_packages.dependency(f"linux-image-{flavour}", architecture, pattern, store)
    folder = debian_packages.fetch(name, architecture, store)
    found = sorted((folder / "boot").glob("vmlinuz-*"))
    if not found:
        raise debian_packages.FetchError(f"The package {name} does not carry a kernel any more.")
    return found[0]


def modules(kernel_image: Path, names: Iterable[str]) -> list[Path]:
    """Return modules of a kernel that kernel() gave, each behind those that it needs.

    Modules say themselves what they need. Raises debian_packages.FetchError.
    """
    folder = kernel_image.parents[1] / "lib" / "modules"
    files = {_module_name(path.stem): path for path in folder.rglob("*.ko")}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in order:
            return
        if name not in files:
            raise debian_packages.FetchError(f"{kernel_image.name} has no module {name} any more.")
        needs = _MODULE_NEEDS.search(files[name].read_bytes())
        for needed in needs[1].decode().split(",") if needs and needs[1] else ():
            add(_module_name(needed))
        order[name] = files[name]

    for name in names:
        add(_module_name(name))
    return list(order.values())


def _module_name(text: str) -> str:
    # Files may have hyphens where the names of modules have underscores.
    return text.replace("-", "_")


def busybox(architecture: str, cache: Path | None = None) -> Path:
    """Return a static busybox for `amd64` or `i386`. Raises debian_packages.FetchError."""
    folder = debian_packages.fetch(
        "busybox-static", architecture, cache or debian_packages.default_cache()
    )
    path = folder / "bin" / "busybox"
    if not path.is_file():
        raise debian_packages.FetchError(
            "The package busybox-static does not carry bin/busybox any more."
        )
    return path


@dataclass(frozen=True, slots=True)
class GrubRescue:
    """GRUB's rescue media: a CD image and a floppy image."""

    cdrom: Path
    floppy: Path


def grub_rescue(cache: Path | None = None) -> GrubRescue:
    """Return the media of the package grub-rescue-pc. Raises debian_packages.FetchError."""
    folder = _files("grub-rescue-pc", "usr/lib/grub-rescue", cache)
    return GrubRescue(folder / "grub-rescue-cdrom.iso", folder / "grub-rescue-floppy.img")


def ipxe_cd(cache: Path | None = None) -> Path:
    """Return the CD image of the package ipxe. Raises debian_packages.FetchError."""
    return _files("ipxe", "usr/lib/ipxe", cache) / "ipxe.iso"


def memtest(cache: Path | None = None, width: str = "ia32") -> Path:
    """Return memtest86+ of this width, ``ia32`` or ``x64``, which has the form of a kernel.

    Raises debian_packages.FetchError.
    """
    return _files("memtest86+", "boot", cache) / f"memtest86+{width}.bin"


def gnumach(cache: Path | None = None) -> Path:
    """Return the Mach kernel of GNU for i386, compressed as its package has it.

    It is an ELF file with a multiboot header. Raises debian_packages.FetchError.
    """
    name = "gnumach-image-1.8-486"
    return _one(name, "i386", "boot/gnumach-*.gz", cache)


def xen(cache: Path | None = None) -> Path:
    """Return the Xen hypervisor, compressed as its package has it: an ELF file for multiboot.

    Raises debian_packages.FetchError.
    """
    store = cache or debian_packages.default_cache()
    pattern = r"xen-hypervisor-[0-9.]+-amd64"
    name = debian_packages.dependency("xen-system-amd64", "amd64", pattern, store)
    return _one(name, "amd64", "boot/xen-*.gz", cache)


def make_grub_legacy_floppy(
    image: Path, menu: Path, files: Iterable[Path] = (), cache: Path | None = None
) -> None:
    """Make a 1.44M floppy that GRUB 0.97 boots, with a menu, and more files in its folder boot.

    Its second stage lies in reserved sectors in front of the file system, where the first one
    looks for it when nothing else has been installed.
    Raises debian_packages.FetchError, and subprocess.CalledProcessError when a tool fails.
    """
    stages = _files("grub-legacy", "usr/lib/grub/x86_64-pc", cache)
    stage1, stage2 = ((stages / name).read_bytes() for name in ("stage1", "stage2"))
    reserved = 1 + -(-len(stage2) // SECTOR_BYTES)
    tools = _files("mtools", "usr/bin", cache)
    environment = os.environ | {"MTOOLSRC": os.devnull}
    drive = ["-i", str(image)]
    for command in (
        ["mformat", "-C", "-f", "1440", "-R", str(reserved), *drive, "::"],
        ["mmd", *drive, "::/boot", "::/boot/grub"],
        ["mcopy", *drive, str(menu), "::/boot/grub/menu.lst"],
        ["mcopy", *drive, *map(str, files), "::/boot"],
    ):
        program, *arguments = command
        run = [str(tools / program), *arguments]
        subprocess.run(run, env=environment, check=True, capture_output=True)
    with image.open("r+b") as floppy:
        sector = floppy.read(SECTOR_BYTES)
        floppy.seek(0)
        floppy.write(stage1[:FAT_START] + sector[FAT_START:FAT_END] + stage1[FAT_END:])
        floppy.write(stage2)


def make_syslinux_floppy(
    image: Path, configuration: Path, files: Iterable[Path] = (), cache: Path | None = None
) -> None:
    """Make a 1.44M floppy that SYSLINUX boots, with its menu, a configuration and more files.

    The tools are those of Debian's packages, run from where they are unpacked.
    Raises debian_packages.FetchError, and subprocess.CalledProcessError when a tool fails.
    """
    tools = _files("mtools", "usr/bin", cache)
    installer = _files("syslinux", "usr/bin", cache) / "syslinux"
    modules = _files("syslinux-common", "usr/lib/syslinux/modules/bios", cache)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)]),
        "MTOOLSRC": os.devnull,
    }
    copy = [str(tools / "mcopy"), "-i", str(image)]
    menu = [str(modules / name) for name in ("menu.c32", "libutil.c32")]
    for command in (
        [str(tools / "mformat"), "-C", "-f", "1440", "-i", str(image), "::"],
        [*copy, str(configuration), "::/syslinux.cfg"],
        [*copy, *menu, *map(str, files), "::/"],
        [str(installer), "--install", str(image)],
    ):
        subprocess.run(command, env=environment, check=True, capture_output=True)


def _one(package: str, architecture: str, pattern: str, cache: Path | None) -> Path:
    store = cache or debian_packages.default_cache()
    found = sorted(debian_packages.fetch(package, architecture, store).glob(pattern))
    if not found:
        raise debian_packages.FetchError(
            f"The package {package} does not carry {pattern} any more."
        )
    return found[0]


def _files(package: str, folder: str, cache: Path | None) -> Path:
    store = cache or debian_packages.default_cache()
    path = debian_packages.fetch(package, "amd64", store) / folder
    if not path.is_dir():
        raise debian_packages.FetchError(f"The package {package} does not carry {folder} any more.")
    return path
