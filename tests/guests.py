"""The guests of the tests: Debian's kernels from Debian's packages, and one of our own from source.

The only place from which tests take a guest. Nothing here is skipped when it cannot be had: a
missing guest fails the test with the sentence that says why.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import debian_guests
from debian_guests import GrubRescue, LinuxGuest

__all__ = [
    "HELLO_TEXT",
    "DebugGuest",
    "GrubRescue",
    "LinuxGuest",
    "busybox",
    "debug",
    "gnumach",
    "graphical_installer",
    "grub_legacy_floppy",
    "grub_rescue",
    "hello",
    "ipxe_cd",
    "kernel",
    "linux",
    "memtest",
    "modules",
    "services",
    "sixteen",
    "syslinux_floppy",
    "xen",
]

#: What our own guest writes to the first serial port before it powers off.
HELLO_TEXT = "hello from the guest"
#: Bytes of a track of a 1.44M floppy: what the 16-bit programs load of themselves.
TRACK_BYTES = 18 * 512
_SOURCES = Path(__file__).with_name("guest")


@cache
def linux(architecture: str) -> LinuxGuest:
    """Return the Debian 12 kernel and installer initrd for `amd64` or `i386`."""
    return debian_guests.netboot(architecture)


@cache
def graphical_installer() -> LinuxGuest:
    """Return the Debian 12 kernel and the graphical installer's initrd for `amd64`."""
    return debian_guests.netboot("amd64", face="gtk")


@cache
def kernel(flavour: str, architecture: str) -> Path:
    """Return another stock kernel: `cloud-amd64` for `amd64`, `686-pae` for `i386`."""
    return debian_guests.kernel(flavour, architecture)


def kernel_modules(kernel_image: Path, names: Iterable[str]) -> list[Path]:
    """Return modules of a kernel's package, each behind those that it needs."""
    return debian_guests.modules(kernel_image, names)


@cache
def busybox(architecture: str) -> Path:
    """Return a static busybox for `amd64` or `i386`."""
    return debian_guests.busybox(architecture)


@cache
def grub_rescue() -> GrubRescue:
    """Return GRUB's rescue media."""
    return debian_guests.grub_rescue()


@cache
def ipxe_cd() -> Path:
    """Return iPXE's CD, which begins with ISOLINUX."""
    return debian_guests.ipxe_cd()


@cache
def memtest() -> Path:
    """Return memtest86+, which has the form of a kernel."""
    return debian_guests.memtest()


@cache
def gnumach() -> Path:
    """Return the Mach kernel of GNU, compressed."""
    return debian_guests.gnumach()


@cache
def xen() -> Path:
    """Return the Xen hypervisor, compressed."""
    return debian_guests.xen()


def grub_legacy_floppy(image: Path, menu: str, *files: Path) -> None:
    """Make a floppy that GRUB 0.97 boots, with a menu, and these files in its folder boot."""
    text = image.with_suffix(".lst")
    text.write_text(menu, encoding="ascii")
    debian_guests.make_grub_legacy_floppy(image, text, files)


def syslinux_floppy(image: Path, configuration: str, *files: Path) -> None:
    """Make a floppy that SYSLINUX boots, with its menu, this configuration and more files."""
    text = image.with_suffix(".cfg")
    text.write_text(configuration, encoding="ascii")
    debian_guests.make_syslinux_floppy(image, text, files)


@cache
def hello() -> Path:
    """Assemble the guest of our own and return its image, which has the form of a bzImage.

    It is made anew for each test process, in a folder that this process keeps until it ends.
    """
    return _plain_image("hello", "0")


@cache
def modules() -> Path:
    """Assemble the multiboot kernel of our own that tells what its loader gave it."""
    return _plain_image("modules", "0x100000")


@cache
def services() -> Path:
    """Assemble the multiboot kernel of our own that asks a BIOS in real mode."""
    return _plain_image("services", "0x100000")


def _plain_image(name: str, address: str) -> Path:
    """Assemble a 32-bit program to run at an address, without the wrapping of an ELF file."""
    folder = Path(_SCRATCH.name)
    listing, image = folder / f"{name}.o", folder / name
    source = ["as", "--32", "-o", str(listing), str(_SOURCES / f"{name}.S")]
    flags = ["-m", "elf_i386", "--oformat", "binary", "-Ttext", address, "-e", address]
    for command in (source, ["ld", *flags, "-o", str(image), str(listing)]):
        subprocess.run(command, check=True, capture_output=True)
    image.chmod(0o444)  # all tests of the process share it
    return image


@cache
def sixteen(program: str) -> bytes:
    """Assemble a 16-bit program of ours that boots from a floppy, and return its sectors."""
    source = _SOURCES / f"{program}.S"
    listing, image = (Path(_SCRATCH.name) / f"{program}{suffix}" for suffix in (".o", ".img"))
    for command in (
        ["as", "--32", "-I", str(source.parent), "-o", str(listing), str(source)],
        [
            *("ld", "-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7c00", "-e", "0x7c00"),
            *("-o", str(image), str(listing)),
        ],
    ):
        subprocess.run(command, check=True, capture_output=True)
    sectors = image.read_bytes()
    assert len(sectors) <= TRACK_BYTES, f"{program} has {len(sectors)} bytes"
    return sectors


@dataclass(frozen=True, slots=True)
class DebugGuest:
    """A guest that counts for ever: its image, and the addresses of its labels."""

    image: Path
    labels: dict[str, int]

    @property
    def real_loop(self) -> int:
        """Linear address of the loop in real mode, which runs as a copy at 0800:0000."""
        return 0x8000 + self.labels["real_loop"] - self.labels["real_code"]


@cache
def debug(*, wide: bool) -> DebugGuest:
    """Assemble the guest for debuggers: entered in 64-bit mode if `wide`, else in 32-bit mode."""
    name = Path(_SCRATCH.name) / f"debug{64 if wide else 32}"
    source = _SOURCES / "debug.S"
    listing, program = name.with_suffix(".o"), name.with_suffix(".elf")
    define = ["--defsym", "WIDE=1"] if wide else []
    place = ["-m", "elf_x86_64", "-Ttext", "0xffc00", "-e", "0"]
    for command in (
        ["as", "--64", *define, "-o", str(listing), str(source)],
        ["ld", *place, "-o", str(program), str(listing)],
        ["ld", *place, "--oformat", "binary", "-o", str(name), str(listing)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    symbols = subprocess.run(["nm", str(program)], check=True, capture_output=True, text=True)
    rows = [line.split() for line in symbols.stdout.splitlines()]
    return DebugGuest(name, {row[2]: int(row[0], 16) for row in rows if len(row) == 3})


_SCRATCH = tempfile.TemporaryDirectory(prefix="vmwb-guest-")
