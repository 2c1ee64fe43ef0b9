"""What a worker costs beside its guest: time to start, memory, CPU while the guest idles.

Measured on the installed command and its real worker processes, in a library of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cpu_time import cpu_seconds
from peers import PeerError
from workload import MEMORY_MIB, Workload, command_line

from vmwb.app import build_services, default_paths

VMWB = Path(sys.executable).with_name("vmwb")
NAME = "bench"
STARTS = 9
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 5.0
BOOT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Footprint:
    """The figures, with the number of samples or seconds behind them."""

    starts: int
    command_ms: float
    spawn_ms: float
    memory_mib: float
    idle_s: float
    idle_percent: float


def measure(workload: Workload) -> Footprint:
    """Measure a worker. Raises PeerError when the machine does not do what it should."""
    with _library() as environment:
        files = ("--kernel", str(workload.kernel), "--initrd", str(workload.initrd))
        memory = ("--memory", f"{MEMORY_MIB}M")
        append = ("--append", command_line("idle"))
        _vmwb(environment, "create", NAME, *memory, *files, *append)
        command_ms = _command_starts(environment)
        spawn_ms = asyncio.run(_spawns(environment))
        _vmwb(environment, "start", NAME, "--headless")
        try:
            _vmwb(
                environment,
                *("wait", NAME, "--serial", "@IDLE start"),
                *("--timeout", str(BOOT_SECONDS)),
            )
            pid = int(json.loads(_vmwb(environment, "show", NAME, "--json"))["pid"])
            time.sleep(SETTLE_SECONDS)
            idle_percent = _idle(pid)
            memory_mib = memory_beside_ram(pid)
        finally:
            _vmwb(environment, "stop", NAME)
    return Footprint(STARTS, command_ms, spawn_ms, memory_mib, IDLE_SECONDS, idle_percent)


def memory_beside_ram(pid: int) -> float:
    """Return the process's proportional set size in MiB without the mapping of the guest's RAM.

    The RAM is the largest mapping of a memfd.
    """
    total_kib = ram_kib = ram_size = size = 0
    is_memfd = False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) .* (/memfd:)?", line):
            size = int(match[2], 16) - int(match[1], 16)
            is_memfd = "/memfd:" in line
        elif line.startswith("Pss:"):
            pss = int(line.split()[1])
            total_kib += pss
            if is_memfd and size > ram_size:
                ram_size, ram_kib = size, pss
    return (total_kib - ram_kib) / 1024


def _command_starts(environment: dict[str, str]) -> float:
    """Return the median of `vmwb start` as a command, in milliseconds."""
    samples: list[float] = []
    for _ in range(STARTS):
        started = time.perf_counter()
        _vmwb(environment, "start", NAME, "--headless")
        samples.append((time.perf_counter() - started) * 1000)
        _vmwb(environment, "stop", NAME)
    return statistics.median(samples)


async def _spawns(environment: dict[str, str]) -> float:
    """Return the median from the request to the worker's word that the guest runs, in ms.

    It is asked of the services in this process, so that the start of a command is no part of it.
    """
    paths = default_paths(environment)
    services = build_services(paths, environment=environment)
    samples: list[float] = []
    try:
        for _ in range(STARTS):
            started = time.perf_counter()
            await services.power.start(NAME)
            samples.append((time.perf_counter() - started) * 1000)
            await services.power.stop(NAME)
    finally:
        await services.close()
    return statistics.median(samples)


def _idle(pid: int) -> float:
    """Return the CPU of the whole worker in percent of one core over IDLE_SECONDS."""
    before = cpu_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / IDLE_SECONDS * 100


@contextmanager
def _library() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="vmwb-bench-") as home:
        runtime = Path(home) / "run"
        runtime.mkdir(mode=0o700)
        yield {**os.environ, "VMWB_LIBRARY": f"{home}/library", "XDG_RUNTIME_DIR": str(runtime)}


def _vmwb(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [VMWB, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PeerError(f"vmwb {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
