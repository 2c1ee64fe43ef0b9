"""The peers of the benchmark, and how one run of a peer is measured.

A peer is a command that boots a kernel with its serial port on standard output. CPU seconds are
those of the whole process, read from its CPU-time clock when a marker of the workload arrives, and
from its resource usage in the end. A guest's own clock is never asked. Natively the
program's is: several kernels do their work in child processes, whose CPU time the parent's clock
does not show.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cpu_time import cpu_seconds
from workload import MEMORY_MIB, Workload, command_line

ROOT = Path(__file__).resolve().parents[2]
VMWB_RUN = ROOT / "core" / "target" / "release" / "vmwb-run"
#: The baseline of x86-64, in QEMU's words: nothing that our x86-64-v1 does not announce.
QEMU_CPU = "qemu64,-svm"
_BEGIN = re.compile(rb"@B (\w+)")
_END = re.compile(rb"@E (\w+) s=([0-9.]+) tsc=\d+ chk=([0-9a-f]+)")


class PeerError(Exception):
    """A run ended otherwise than it should; the text has the last lines of its output."""


@dataclass(frozen=True, slots=True)
class KernelRun:
    """One kernel: CPU and elapsed seconds between its markers, and its checksum."""

    seconds: float
    elapsed: float
    checksum: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of the guest; `slot` is `virtio` or `ide` with a number, `format` raw or qcow2."""

    slot: str
    image: Path
    format: str = "raw"


@dataclass(slots=True)
class Measurement:
    """What one run gave: CPU seconds to user space and in all, and each kernel."""

    boot_seconds: float = 0.0
    total_seconds: float = 0.0
    kernels: dict[str, KernelRun] = field(default_factory=dict)


def qemu(workload: Workload, append: str, disks: Sequence[Disk] = ()) -> list[str]:
    """Return the command of Debian's QEMU with its translator."""
    drives: list[str] = []
    for disk in disks:
        number = int(disk.slot.removeprefix("virtio").removeprefix("ide"))
        place = f"ide-hd,bus=ide.{number // 2},unit={number % 2}"
        device = "virtio-blk-pci" if disk.slot.startswith("virtio") else place
        drives += ["-drive", f"file={disk.image},format={disk.format},if=none,id={disk.slot}"]
        drives += ["-device", f"{device},drive={disk.slot}"]
    return [
        *("qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-cpu", QEMU_CPU),
        *("-m", str(MEMORY_MIB), "-nodefaults", "-no-reboot", "-display", "none", "-vga", "std"),
        *("-serial", "stdio", "-kernel", str(workload.kernel), "-initrd", str(workload.initrd)),
        *("-append", append, *drives),
    ]


def vmwb(workload: Workload, append: str, disks: Sequence[Disk] = ()) -> list[str]:
    """Return the command of our engine without Python around it."""
    drives: list[str] = []
    for disk in disks:
        suffix = "" if disk.format == "raw" else f",{disk.format}"
        drives += ["--drive", f"{disk.slot}={disk.image}{suffix}"]
    return [
        *(str(VMWB_RUN), "--memory", f"{MEMORY_MIB}M", "--kernel", str(workload.kernel)),
        *("--initrd", str(workload.initrd), "--append", append, *drives),
    ]


PEERS = {"qemu": qemu, "vmwb": vmwb}


def run(
    peer: str, workload: Workload, mode: str, kernels: tuple[str, ...], limit_s: float
) -> Measurement:
    """Boot the workload in a peer and measure it. Raises PeerError."""
    return follow(peer, PEERS[peer](workload, command_line(mode, kernels)), limit_s)


def follow(peer: str, command: Sequence[str], limit_s: float) -> Measurement:
    """Run the command of a peer and measure it. Raises PeerError."""
    result, output = _measure(command, dict(os.environ), limit_s)
    if b"@END all" not in output:
        tail = output[-1500:].decode(errors="replace")
        raise PeerError(f"{peer} did not reach the end of the workload:\n{tail}")
    return result


def run_native(workload: Workload, kernels: tuple[str, ...], scratch: Path) -> Measurement:
    """Run the kernels on the host. Raises PeerError."""
    environment = {**os.environ, "BB": str(workload.busybox), "WLTMP": str(scratch)}
    command = [str(workload.program), *(kernels or ("all",))]
    result, output = _measure(command, environment, 600.0, native=True)
    if b"@D done" not in output:
        raise PeerError(
            f"the native run did not finish:\n{output[-1500:].decode(errors='replace')}"
        )
    return result


def _measure(
    command: Sequence[str], environment: dict[str, str], limit_s: float, *, native: bool = False
) -> tuple[Measurement, bytes]:
    """Run a command and read the clock at each marker; return the measurement and the output."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    )
    watchdog = threading.Timer(limit_s, process.kill)
    watchdog.start()
    result, output = Measurement(), bytearray()
    assert process.stdout is not None
    try:
        _follow(process.pid, process.stdout.fileno(), result, output, native=native)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # it has been waited for; what it printed tells how it went
    finally:
        watchdog.cancel()
        process.stdout.close()
    result.total_seconds = usage.ru_utime + usage.ru_stime
    return result, bytes(output)


def _follow(pid: int, stream: int, result: Measurement, output: bytearray, *, native: bool) -> None:
    """Read the output to its end and note the clock when markers come."""
    seen = 0
    begun: dict[bytes, tuple[float, float]] = {}
    while chunk := os.read(stream, 65536):
        now, moment = cpu_seconds(pid), time.monotonic()
        output += chunk
        while (end := output.find(b"\n", seen)) >= 0:
            line = bytes(output[seen:end])
            seen = end + 1
            if b"@BOOT userspace" in line and not result.boot_seconds:
                result.boot_seconds = now
            elif match := _BEGIN.search(line):
                begun[match[1]] = (now, moment)
            elif (match := _END.search(line)) and match[1] in begun:
                begin, began = begun.pop(match[1])
                spent = float(match[2]) if native else now - begin
                run = KernelRun(spent, moment - began, match[3].decode())
                result.kernels[match[1].decode()] = run
