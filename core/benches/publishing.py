"""How soon a change on the screen is published, and what a screen costs on which nothing changes.

The guest of our own counts the keys that go down in the first dot of the screen. What is measured
is the way of a key as a script or the window sends it, from the call to the picture that shows it:
the guest's part in it, an interrupt and a few instructions, is small. Once the guest rests between
two keys, once it draws the rest of the screen all the time, so that pictures wait for each other.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cpu_time import cpu_seconds
from peers import PeerError
from workload import GUEST

from vmwb.automation.script import workbench
from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.config import VmConfig
from vmwb.model.drives import DriveBus, DriveConfig, DriveKind, ImageFile, free_slot
from vmwb.model.keyboard import KeyPress
from vmwb.services.api import Services
from vmwb.services.types import StopKind

NAME = "echo"
MEMORY_MIB = 16
SAMPLES = 300
IDLE_SECONDS = 20.0
BOOT_SECONDS = 120.0
KEY_SECONDS = 10.0
LOOK_SECONDS = 0.0001
#: Keys come at any moment between two pictures.
PAUSE_SECONDS = (0.001, 0.04)
_KEY, _SPACE = 0x1E, 0x39
_DISK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays from key to picture, in milliseconds."""

    median: float
    highest_of_99: float
    highest: float


@dataclass(frozen=True, slots=True)
class Publishing:
    """The figures, with the number of samples or seconds behind them."""

    samples: int
    resting: Delays
    drawing: Delays
    idle_s: float
    idle_percent: float


def measure() -> Publishing:
    """Measure the publishing of the screen. Raises PeerError."""
    with tempfile.TemporaryDirectory(prefix="vmwb-bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> Publishing:
    slot = free_slot((), DriveKind.DISK, DriveBus.IDE)
    drive = DriveConfig(slot, DriveKind.DISK, ImageFile(str(_disk(folder))))
    async with workbench(folder / "library") as services:
        await services.machines.create(VmConfig(NAME, memory_mib=MEMORY_MIB, drives=(drive,)))
        summary = await services.power.start(NAME)
        try:
            reader = await services.console.open_frame(NAME)
            if reader is None or summary.pid is None:
                raise PeerError("The machine has no screen.")
            with reader:
                await _until(lambda: reader.info().width == 1024, BOOT_SECONDS)
                resting = await _delays(services, reader)
                before = cpu_seconds(summary.pid)
                await asyncio.sleep(IDLE_SECONDS)
                idle = (cpu_seconds(summary.pid) - before) / IDLE_SECONDS * 100
                await _press(services, reader, _SPACE)
                drawing = await _delays(services, reader)
        finally:
            await services.power.stop(NAME, StopKind.HARD)
    return Publishing(SAMPLES, resting, drawing, IDLE_SECONDS, idle)


def _disk(folder: Path) -> Path:
    """Assemble the guest and give it a disk."""
    listing, image = folder / "echo.o", folder / "echo.img"
    place = ("-m", "elf_i386", "--oformat", "binary", "-Ttext", "0x7c00", "-e", "0x7c00")
    for command in (
        ("as", "--32", "-o", listing, GUEST / "echo.S"),
        ("ld", *place, "-o", image, listing),
    ):
        subprocess.run(command, check=True)
    with image.open("r+b") as file:
        file.truncate(_DISK_BYTES)
    return image


async def _delays(services: Services, reader: FrameReader) -> Delays:
    found = []
    for _ in range(SAMPLES):
        found.append(await _press(services, reader, _KEY) * 1000)
        await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
    found.sort()
    return Delays(found[len(found) // 2], found[len(found) * 99 // 100], found[-1])


async def _press(services: Services, reader: FrameReader, code: int) -> float:
    """Press and release a key; return the seconds until its picture."""

    def first_dot() -> bytes:
        offset = reader.info().offset
        return reader.buffer[offset : offset + 4]

    shown = first_dot()
    begun = time.perf_counter()
    down = asyncio.create_task(services.console.press(NAME, [KeyPress(code, down=True)]))
    await _until(lambda: first_dot() != shown, KEY_SECONDS)
    took = time.perf_counter() - begun
    await down
    await services.console.press(NAME, [KeyPress(code, down=False)])
    return took


async def _until(condition: Callable[[], bool], limit: float) -> None:
    """Look again and again. Raises PeerError."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise PeerError(f"The screen did not change within {limit:g} seconds.")
        # Who looks without a pause takes a processor from those who are measured.
        time.sleep(LOOK_SECONDS)  # noqa: ASYNC251 - shorter than the loop can wait
        await asyncio.sleep(0)


if __name__ == "__main__":
    print(measure())
