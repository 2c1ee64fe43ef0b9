"""The soak of several processors: stress-ng in a Debian that has two, and in one that has four.

A copy of the disk of debian_disk.py with stress-ng on it boots from virtio. Then the guest

1. counts its processors, twice: nproc and /proc/cpuinfo say what the machine has;
2. runs each stressor as many times at once as it has processors, and verifies what they compute;
3. takes all processors but the first off line and back again, while they are busy.

All the while it keeps the time-stamp counter as its clock, and its kernel reports no stall, lockup
or fault. The first thing that is not as it must be raises SoakError.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import debian_disk
from cpu_time import cpu_seconds
from disk_soak import MACHINE, SoakError, Terminal, defined, power_off

from vmwb.model.errors import VmwbError

ARCHITECTURES = ("amd64", "i386")
PROCESSORS = (2, 4)
BUS = "virtio"
STRESS = debian_disk.Variant("stress1", debian_disk.PLAIN.disk_bytes, ("stress-ng",))
#: What needs processors to agree: locks, order of memory, each other's page tables and interrupts,
#: clocks, signals, and the scheduler that moves work from one to another.
STRESSORS = (
    *("vm", "mmap", "mremap", "timer", "clock", "sigfd", "rseq"),
    *("cpu", "matrix", "atomic", "peterson", "dekker", "lockbus", "mcontend", "cache"),
    *("mutex", "futex", "sem", "sem-sysv", "membarrier", "tlb-shootdown"),
    *("switch", "yield", "affinity", "pipe", "fork"),
)
#: On i386 rseq of stress-ng 0.15.06 counts nothing, on hardware as little as here.
_NOT_THERE = {"i386": {"rseq"}}
#: Through its 256 MiB the first would not come once in its time; the others have as much.
_BYTES = "4M"
_OPTIONS = {name: f"--{name}-bytes {_BYTES}" for name in ("vm", "mmap", "mremap")}
#: A thread registers once with the kernel; the C library would do so before the stressor does.
_SETTINGS = {"rseq": "GLIBC_TUNABLES=glibc.pthread.rseq=0 "}
STRESSOR_SECONDS = 3
HOTPLUG_ROUNDS = 5
CLOCK = "tsc"
_SYSTEM = "/sys/devices/system"
_ASK = (
    "echo processors=$(nproc) listed=$(grep -c ^processor /proc/cpuinfo) "
    f"clock=$(cat {_SYSTEM}/clocksource/clocksource0/current_clocksource)"
)
_SEEN = re.compile(r"processors=(\d+) listed=(\d+) clock=([\w-]+)")
_FIRST_MESSAGE = "Linux version"
_COMPLAINT = re.compile(r"\bstall|lockup|unstable|BUG:|WARNING:")


def check_processors(answer: str, expected: int) -> None:
    """Compare what the guest says of its processors and its clock with what it must be.

    Raises SoakError.
    """
    seen = _SEEN.search(answer)
    if seen is None:
        raise SoakError(f"The guest does not tell its processors, but: {answer[-500:]}")
    counts, clock = (int(seen[1]), int(seen[2])), seen[3]
    if counts != (expected, expected):
        raise SoakError(
            f"Of {expected} processors nproc sees {counts[0]} and /proc/cpuinfo {counts[1]}."
        )
    if clock != CLOCK:
        raise SoakError(f"The guest's clock is {clock}, no longer {CLOCK}.")


def operations(answer: str, stressor: str) -> int:
    """Return how many operations a stressor counts in the brief metrics of stress-ng.

    One that was skipped has no line there. Raises SoakError if it did nothing.
    """
    found = re.search(
        rf"^stress-ng: \w+: +\[\d+\] {re.escape(stressor)} +(\d+) ", answer, re.MULTILINE
    )
    if found is None or found[1] == "0":
        raise SoakError(f"The stressor {stressor} did nothing: {answer[-500:].strip()}")
    return int(found[1])


def check_messages(messages: str) -> None:
    """Look through the kernel's messages. Raises SoakError with the first that tells of a fault.

    They must be there from the first on.
    """
    if _FIRST_MESSAGE not in messages:
        raise SoakError("The first of the kernel's messages are lost.")
    for line in messages.splitlines():
        if _COMPLAINT.search(line):
            raise SoakError(f"The guest's kernel says: {line.strip()}")


async def soak(architecture: str, cpus: int, folder: Path) -> str:
    """Run one machine with files in the folder, and return a sentence with what was measured.

    Raises SoakError, DiskError, or an error of the services.
    """
    made = await asyncio.to_thread(debian_disk.disk, architecture, STRESS)
    image = folder / "disk.img"
    await asyncio.to_thread(debian_disk.copy, made, image)
    what = f"{architecture} on {cpus} processors"
    stressors = [s for s in STRESSORS if s not in _NOT_THERE.get(architecture, ())]
    begun = time.monotonic()
    async with defined(image, BUS, folder, cpus) as services:
        summary = await services.power.start(MACHINE)
        terminal = await Terminal.open(services)
        try:
            boot = await terminal.log_in()
            check_processors(await terminal.command(_ASK), cpus)
            for stressor in stressors:
                count = await _stress(terminal, stressor, cpus)
                print(f"{what}: {stressor}: {count} operations", flush=True)
            await _plug(terminal, cpus)
            print(f"{what}: {HOTPLUG_ROUNDS} times off line and back", flush=True)
            check_messages(await terminal.command("dmesg"))
            used = 0.0 if summary.pid is None else cpu_seconds(summary.pid)
            await power_off(services, terminal)
        finally:
            terminal.close()
    return (
        f"{what}: a shell in {boot:.0f} s, {len(stressors)} stressors verified, processors "
        f"{HOTPLUG_ROUNDS} times off line and back under load, clock {CLOCK}, no complaint of the "
        f"kernel, {time.monotonic() - begun:.0f} s, {used:.0f} CPU seconds"
    )


async def _stress(terminal: Terminal, stressor: str, cpus: int) -> int:
    """Run one stressor on each processor; return what it counted. Raises SoakError."""
    how = f"--verify --metrics-brief --timeout {STRESSOR_SECONDS} {_OPTIONS.get(stressor, '')}"
    line = f"{_SETTINGS.get(stressor, '')}stress-ng {how} --{stressor} {cpus} 2>&1"
    answer = await terminal.command(line)
    return operations(answer, stressor)


async def _plug(terminal: Terminal, cpus: int) -> None:
    """Take processors off line and back while all are busy. Raises SoakError."""
    others = range(1, cpus)
    await terminal.command(f"stress-ng --quiet --cpu {cpus} --timeout 0 & load=$!")
    for _ in range(HOTPLUG_ROUNDS):
        for on, left in ((0, 1), (1, cpus)):
            for number in others:
                await terminal.command(f"echo {on} > {_SYSTEM}/cpu/cpu{number}/online")
            check_processors(await terminal.command(_ASK), left)
    await terminal.command("kill $load; wait $load; true")


def main(arguments: Sequence[str]) -> int:
    """Run the machines that were asked for and tell what was measured; 1 if one failed."""
    parser = argparse.ArgumentParser(description="Stress guests with several processors.")
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append")
    parser.add_argument("--cpus", type=int, choices=PROCESSORS, action="append")
    options = parser.parse_args(arguments)
    for architecture in options.architecture or ARCHITECTURES:
        for cpus in options.cpus or PROCESSORS:
            with tempfile.TemporaryDirectory(prefix="vmwb-") as folder:
                try:
                    told = asyncio.run(soak(architecture, cpus, Path(folder)))
                except (SoakError, debian_disk.DiskError, VmwbError) as error:
                    print(f"{architecture} on {cpus} processors: {error}", file=sys.stderr)
                    return 1
            print(told, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
