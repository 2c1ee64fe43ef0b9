"""Turn the measurements of one benchmark into docs/benchmarks.md."""

from __future__ import annotations

import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from disks import LIMIT, Disks
from footprint import Footprint
from peers import QEMU_CPU, Measurement
from publishing import Delays, Publishing
from workload import KERNEL_OPTIONS, KERNELS, MEMORY_MIB


@dataclass(slots=True)
class Results:
    """All runs of one architecture, by peer: `native`, `qemu`, `vmwb`."""

    architecture: str
    boots: dict[str, list[Measurement]] = field(default_factory=dict)
    suites: dict[str, list[Measurement]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one kernel in CPU seconds; `equal` tells whether all checksums agree."""

    name: str
    native: float
    qemu: float
    vmwb: float
    equal: bool

    @property
    def ratio(self) -> float:
        """How many times QEMU's CPU seconds our engine needs."""
        return self.vmwb / self.qemu


def rows(results: Results) -> list[Row]:
    """Return the kernels that every peer ran, in the order of the workload."""
    found: list[Row] = []
    for name in KERNELS:
        runs = {
            peer: [one.kernels[name] for one in measured if name in one.kernels]
            for peer, measured in results.suites.items()
        }
        if not all(runs.get(peer) for peer in ("native", "qemu", "vmwb")):
            continue
        checksums = {run.checksum for measured in runs.values() for run in measured}
        median = {
            peer: statistics.median(run.seconds for run in measured)
            for peer, measured in runs.items()
        }
        equal = len(checksums) == 1
        found.append(Row(name, median["native"], median["qemu"], median["vmwb"], equal))
    return found


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return statistics.geometric_mean(values)


def document(
    all_results: Sequence[Results],
    disks: Disks | None,
    footprint: Footprint | None,
    publishing: Publishing | None,
    repeats: int,
) -> str:
    """Return the whole document."""
    parts = [_preamble(repeats)]
    for results in all_results:
        parts.append(_boot_section(results))
        parts.append(_kernel_section(results))
    if disks is not None:
        parts.append(_disk_section(disks))
    if footprint is not None:
        parts.append(_footprint_section(footprint))
    if publishing is not None:
        parts.append(_publishing_section(publishing))
    return "\n".join(parts)


def _preamble(repeats: int) -> str:
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return f"""# Benchmarks

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. Host: {_processor()}, Linux
{platform.release()}. Peer: {version}, with its translator (TCG) and `-cpu {QEMU_CPU}`; our
processor model is `x86-64-v1`.

All peers ran in turn in one go, {repeats} time(s); figures are medians of CPU seconds of the whole
process. Only the ratios travel to other machines: the host is shared, and differences under about
20 % mean nothing. Guest: one processor, {MEMORY_MIB} MiB, Debian 12's netboot kernel with
`{KERNEL_OPTIONS}`; the workload is `core/benches/guest/`.
"""


def _boot_section(results: Results) -> str:
    boots: Mapping[str, list[Measurement]] = results.boots
    if not all(boots.get(peer) for peer in ("qemu", "vmwb")):
        return ""
    lines = [
        f"## Boot, {results.architecture}\n",
        "| | QEMU | vmwb | ratio |",
        "|---|--:|--:|--:|",
    ]
    for title, part in (
        ("start to user space", "boot_seconds"),
        ("start to power-off", "total_seconds"),
    ):
        qemu, own = (
            statistics.median(getattr(one, part) for one in boots[peer])
            for peer in ("qemu", "vmwb")
        )
        lines.append(f"| {title} | {qemu:.2f} | {own:.2f} | **{own / qemu:.2f}** |")
    return "\n".join(lines) + "\n"


def _kernel_section(results: Results) -> str:
    table = rows(results)
    if not table:
        return ""
    lines = [
        f"## Kernels, {results.architecture}\n",
        "| kernel | native | QEMU | vmwb | ratio to QEMU | slowdown to native | checksums |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in table:
        slowdown = row.vmwb / row.native if row.native else 0.0
        lines.append(
            f"| {row.name} | {row.native:.3f} | {row.qemu:.3f} | {row.vmwb:.3f} "
            f"| **{row.ratio:.2f}** | {slowdown:.1f} | {'equal' if row.equal else '**DIFFER**'} |"
        )
    mean = geometric_mean([row.ratio for row in table])
    lines.append(f"| geometric mean of {len(table)} | | | | **{mean:.2f}** | | |")
    return "\n".join(lines) + "\n"


def _disk_section(disks: Disks) -> str:
    low, high = disks.load
    lines = [
        "## Disks, amd64\n",
        f"MiB a second of elapsed time, medians of {disks.passes} passes; the image is in the",
        f"host's cache. The host's load was {low:.1f} to {high:.1f} while these ran.\n",
        "| | QEMU | vmwb | ratio of throughput | at least | ratio of CPU seconds | data |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in disks.rows:
        lines.append(
            f"| {row.title} | {row.qemu:.0f} | {row.vmwb:.0f} | **{row.vmwb / row.qemu:.2f}** "
            f"| {LIMIT if row.limited else ''} | {row.cpu_ratio:.2f} "
            f"| {'equal' if row.equal else '**DIFFER**'} |"
        )
    return "\n".join(lines) + "\n"


def _footprint_section(footprint: Footprint) -> str:
    command = f"`vmwb start` as a command, median of {footprint.starts}"
    spawn = f"request to running guest, worker spawned, median of {footprint.starts}"
    idle = f"CPU of an idle guest at a shell, over {footprint.idle_s:.0f} s"
    rows = (
        (command, f"{footprint.command_ms:.0f} ms", "600 ms"),
        (spawn, f"{footprint.spawn_ms:.0f} ms", "150 ms"),
        (
            "worker's memory beside the guest's RAM (Pss), idle at a shell",
            f"{footprint.memory_mib:.1f} MiB",
            "60 MiB",
        ),
        (idle, f"{footprint.idle_percent:.2f} %", "2 %"),
    )
    lines = ["## Start, memory, idle", "", "| | measured | promised |", "|---|--:|--:|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _publishing_section(publishing: Publishing) -> str:
    """Return the section on the screen."""

    def row(title: str, delays: Delays) -> str:
        cells = (delays.median, delays.highest_of_99, delays.highest)
        return f"| {title} | {' | '.join(f'{cell:.1f} ms' for cell in cells)} |"

    return "\n".join(
        (
            "## Screen",
            "",
            "From a key, as a script sends it, to the published picture that shows what the guest",
            f"made of it, 1024 by 768 dots of 32 bits, {publishing.samples} keys. A change is to",
            "be published within 17 ms; the way of the key and what else the host does come to it.",
            "",
            "| the guest | median | 99 of 100 within | all within |",
            "|---|--:|--:|--:|",
            row("rests between two keys", publishing.resting),
            row("draws the whole screen all the time", publishing.drawing),
            "",
            f"A guest in graphics that rests: {publishing.idle_percent:.2f} % of one processor for",
            f"the whole worker, over {publishing.idle_s:.0f} s.",
            "",
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
