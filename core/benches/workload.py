"""The workload of the benchmark: a static program of 20 kernels, and a RAM file system around it.

`guest/wl.c` runs natively and in the guest; `guest/init` is the guest's first process. Kernel and
busybox are Debian's.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import debian_guests
import initramfs

GUEST = Path(__file__).with_name("guest")
ARCHITECTURES = ("amd64", "i386")
KERNELS = (
    *("coremk", "dhry", "chase", "chase256k", "sha256", "nbody", "nbodyx87", "interp", "fib"),
    *("repmovs", "sse2int", "smc", "cold", "gzip9", "bzip2", "sortawk"),
    *("forkexec", "getppid", "fault", "pingpong"),
)
#: The kernel's options are the same for every peer. Without the first two, the peers would spend
#: their time on defences against faults of real processors, and on a layout that differs each time.
KERNEL_OPTIONS = "console=ttyS0 mitigations=off nokaslr tsc=reliable"
MEMORY_MIB = 512
_FLAGS = {
    "amd64": ("-O2", "-static"),
    "i386": ("-m32", "-O2", "-march=i686", "-msse2", "-mfpmath=sse", "-static"),
}


@dataclass(frozen=True, slots=True)
class Workload:
    """The files of one architecture."""

    architecture: str
    program: Path
    busybox: Path
    kernel: Path
    initrd: Path


def build(architecture: str, folder: Path) -> Workload:
    """Compile the program and pack the initial RAM file system into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"wl-{architecture}"
    source = str(GUEST / "wl.c")
    flags = _FLAGS[architecture]
    subprocess.run(["gcc", "-w", *flags, "-o", str(program), source, "-lm"], check=True)
    busybox = debian_guests.busybox(architecture)
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", busybox.read_bytes()),
        initramfs.program("wl", program.read_bytes()),
        initramfs.program("init", (GUEST / "init").read_bytes()),
    ]
    initrd = folder / f"wl-{architecture}.cpio.gz"
    initrd.write_bytes(initramfs.archive(entries))
    kernel = debian_guests.netboot(architecture).kernel
    return Workload(architecture, program, busybox, kernel, initrd)


def command_line(mode: str, kernels: tuple[str, ...] = ()) -> str:
    """Return the kernel's command line for `boot`, `all`, `some` or `idle` of guest/init."""
    chosen = f" wlargs={','.join(kernels)}" if kernels else ""
    return f"{KERNEL_OPTIONS} wl={mode}{chosen}"
