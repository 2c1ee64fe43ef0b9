"""The soak of the desktop: Xfce boots from its disk here and in QEMU, then its menu is clicked.

Both sides boot a copy of the disk of desktop_disk.py with one processor, the same memory and the
same devices: a standard VGA, a virtio disk, tablet, random numbers and balloon. The desktop is
there when its panel is seen in the picture. CPU seconds are those of the whole process: our worker,
or QEMU with its translator. Then the menu of applications is clicked again and again, and closed by
Escape; a click lasts until a picture shows the menu. In the end nobody does anything, and the CPU
time of that is counted, too.

A limit that is missed, or a desktop that does not come, raises SoakError.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import debian_disk
import desktop_disk
from cpu_time import cpu_seconds

from vmwb.automation.script import Script, workbench
from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.config import VmConfig
from vmwb.model.drives import DriveBus, DriveConfig, DriveKind, ImageFile, free_slot
from vmwb.model.errors import VmwbError
from vmwb.services.api import Services
from vmwb.services.types import Place, StopKind

MACHINE = "desktop"
MEMORY_MIB = 1024
WIDTH, HEIGHT = 1024, 768
#: The panel is at the top; the button of the menu is at its left end, its middle is empty.
PANEL_LINES = 24
BUTTON_X, BUTTON_Y = 50, 12
#: Where the menu opens: its first entries.
MENU_X, MENU_Y, MENU_WIDTH, MENU_LINES = 8, 40, 90, 120
CLICKS = 20
BOOT_SECONDS = 1800.0
MENU_SECONDS = 60.0
#: The desktop is complete when its picture stands still for so long.
SETTLED_SECONDS = 20.0
IDLE_SECONDS = 30.0
#: How often the picture is looked at: while it boots, and after a click.
BOOT_LOOK_SECONDS = 1.0
MENU_LOOK_SECONDS = 0.002
#: CPU seconds of QEMU's process, times this, are the limit of ours.
MOST_CPU = 5.0
#: Seconds from a click to its menu, in the median.
MOST_CLICK = 1.0


class SoakError(Exception):
    """The desktop was too slow or did not come; the text says what."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a screen: rows of pixels without padding, in the order of whoever made it."""

    width: int
    height: int
    pixel_bytes: int
    pixels: bytes

    def part(self, x: int, y: int, width: int, height: int) -> list[bytes]:
        """Return the rows of a rectangle."""
        n = self.pixel_bytes
        starts = ((line * self.width + x) * n for line in range(y, y + height))
        return [self.pixels[start : start + width * n] for start in starts]


class Desk(Protocol):
    """A machine with a desktop, ours or QEMU's."""

    @property
    def pid(self) -> int:
        """The process whose CPU time counts."""
        ...

    async def picture(self) -> Picture:
        """Look at the screen."""
        ...

    async def point(self, x: int, y: int, *, down: bool) -> None:
        """Put the pointer on a pixel, with the left button down or up."""
        ...

    async def escape(self) -> None:
        """Press and release Escape."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one side; times in seconds, idleness in parts of one processor."""

    boot_cpu: float
    boot_wall: float
    clicks: tuple[float, ...]
    idle: float

    def __str__(self) -> str:
        return (
            f"panel after {self.boot_cpu:.1f} CPU seconds ({self.boot_wall:.0f} s), "
            f"menu {statistics.median(self.clicks) * 1000:.0f} ms after a click "
            f"({min(self.clicks) * 1000:.0f} to {max(self.clicks) * 1000:.0f}, "
            f"{len(self.clicks)} clicks), idle at {self.idle:.1%}"
        )


class OurDesk:
    """A machine of the workbench, driven as a user's script drives it."""

    def __init__(self, services: Services, reader: FrameReader, pid: int) -> None:
        self.pid = pid
        self._console = services.console
        self._script = Script(services, MACHINE)
        self._reader = reader

    async def picture(self) -> Picture:
        """Look at the framebuffer."""
        frame = self._reader.frame()
        return Picture(frame.info.width, frame.info.height, 4, frame.pixels)

    async def point(self, x: int, y: int, *, down: bool) -> None:
        """Put the pointer on a pixel."""
        place = Place(_scaled(x, WIDTH, 65_535), _scaled(y, HEIGHT, 65_535))
        await self._console.point(MACHINE, place, buttons=int(down))

    async def escape(self) -> None:
        """Press and release Escape."""
        await self._script.keys("esc")


class QemuDesk:
    """A QEMU, driven by its machine protocol."""

    def __init__(
        self, pid: int, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], folder: Path
    ) -> None:
        self.pid = pid
        self._reader, self._writer = stream
        self._file = folder / "screen.ppm"

    async def execute(self, command: str, **arguments: object) -> None:
        """Carry out a command. Raises SoakError."""
        self._writer.write(
            json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        )
        while line := await self._reader.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise SoakError(f"QEMU refused {command}: {answer['error']}")
            if "return" in answer:
                return
        raise SoakError("QEMU ended.")

    async def picture(self) -> Picture:
        """Have the screen written to a file, and read it."""
        await self.execute("screendump", filename=str(self._file))
        size, _, rest = self._file.read_bytes().removeprefix(b"P6\n").partition(b"\n")
        width, height = map(int, size.split())
        return Picture(width, height, 3, rest.partition(b"\n")[2])

    async def point(self, x: int, y: int, *, down: bool) -> None:
        """Put the pointer on a pixel."""
        places = (("x", _scaled(x, WIDTH, 32_767)), ("y", _scaled(y, HEIGHT, 32_767)))
        events: list[dict[str, object]] = [
            {"type": "abs", "data": {"axis": axis, "value": value}} for axis, value in places
        ]
        events.append({"type": "btn", "data": {"button": "left", "down": down}})
        await self.execute("input-send-event", events=events)

    async def escape(self) -> None:
        """Press and release Escape."""
        await self.execute("send-key", keys=[{"type": "qcode", "data": "esc"}])


def _scaled(at: int, pixels: int, most: int) -> int:
    return (2 * at + 1) * most // (2 * pixels)


def shows_panel(picture: Picture) -> bool:
    """Whether the desktop has drawn its panel: a bar of one colour, with something at its left."""
    if (picture.width, picture.height) != (WIDTH, HEIGHT):
        return False
    middle = picture.part(WIDTH // 2, 4, WIDTH // 8, PANEL_LINES - 8)
    colour = middle[0][: picture.pixel_bytes]
    left = picture.part(2, 4, 2 * BUTTON_X, PANEL_LINES - 8)
    below = picture.part(WIDTH // 2, 3 * PANEL_LINES, 1, 1)[0]
    return (
        any(colour[:3])
        and colour != below
        and all(row == colour * (WIDTH // 8) for row in middle)
        and sum(row != colour * (2 * BUTTON_X) for row in left) > PANEL_LINES // 4
    )


async def until(
    condition: Callable[[Picture], bool], desk: Desk, every: float, limit: float, what: str
) -> float:
    """Look at the screen until it shows what is waited for; return the seconds that it took.

    Raises SoakError.
    """
    begun = time.monotonic()
    while not condition(await desk.picture()):
        if time.monotonic() - begun > limit:
            raise SoakError(f"{what} did not come within {limit:g} seconds.")
        await asyncio.sleep(every)
    return time.monotonic() - begun


async def measure(desk: Desk, clicks: int) -> Measured:
    """Boot to the panel, click, do nothing. Raises SoakError."""
    boot_wall = await until(shows_panel, desk, BOOT_LOOK_SECONDS, BOOT_SECONDS, "The panel")
    boot_cpu = cpu_seconds(desk.pid)
    print(f"  panel after {boot_cpu:.1f} CPU seconds, {boot_wall:.0f} s", flush=True)
    await _settle(desk)
    took = tuple([await _click(desk) for _ in range(clicks)])
    await _settle(desk)
    before = cpu_seconds(desk.pid)
    await asyncio.sleep(IDLE_SECONDS)
    idle = (cpu_seconds(desk.pid) - before) / IDLE_SECONDS
    return Measured(boot_cpu, boot_wall, took, idle)


async def _settle(desk: Desk) -> None:
    """Wait until nothing changes below the panel, which has a clock. Raises SoakError."""
    last: list[bytes] = []
    since = time.monotonic()

    def stands_still(picture: Picture) -> bool:
        nonlocal last, since
        shown = picture.part(0, PANEL_LINES + 2, WIDTH, HEIGHT - PANEL_LINES - 2)
        if shown != last:
            last, since = shown, time.monotonic()
        return time.monotonic() - since > SETTLED_SECONDS

    await until(stands_still, desk, BOOT_LOOK_SECONDS, BOOT_SECONDS, "Rest")


async def _click(desk: Desk) -> float:
    """Click at the menu and close it; return the seconds until it was seen.

    Between clicks the pointer is elsewhere: over the button it would bring up a help text.
    """

    def menu(picture: Picture) -> list[bytes]:
        return picture.part(MENU_X, MENU_Y, MENU_WIDTH, MENU_LINES)

    closed = menu(await desk.picture())

    def is_open(picture: Picture) -> bool:
        return all(a != b for a, b in zip(menu(picture), closed, strict=True))

    begun = time.monotonic()
    await desk.point(BUTTON_X, BUTTON_Y, down=True)
    await desk.point(BUTTON_X, BUTTON_Y, down=False)
    await until(is_open, desk, MENU_LOOK_SECONDS, MENU_SECONDS, "The menu")
    took = time.monotonic() - begun
    await asyncio.sleep(0.5)
    await desk.escape()
    await desk.point(WIDTH // 2, HEIGHT // 2, down=False)
    await until(lambda shown: menu(shown) == closed, desk, 0.1, MENU_SECONDS, "The menu's end")
    await asyncio.sleep(0.5)
    return took


@contextlib.asynccontextmanager
async def ours(image: Path, folder: Path) -> AsyncIterator[Desk]:
    """Start the disk in the workbench, and stop it in the end."""
    slot = free_slot((), DriveKind.DISK, DriveBus.VIRTIO)
    drive = DriveConfig(slot, DriveKind.DISK, ImageFile(str(image)))
    async with workbench(folder / "library") as services:
        await services.machines.create(VmConfig(MACHINE, memory_mib=MEMORY_MIB, drives=(drive,)))
        summary = await services.power.start(MACHINE)
        try:
            reader = await services.console.open_frame(MACHINE)
            if reader is None or summary.pid is None:
                raise SoakError("The machine has no screen.")
            with reader:
                yield OurDesk(services, reader, summary.pid)
        finally:
            if (await services.machines.show(MACHINE)).pid is not None:
                await services.power.stop(MACHINE, StopKind.HARD)


@contextlib.asynccontextmanager
async def qemu(image: Path, folder: Path) -> AsyncIterator[Desk]:
    """Start the disk in QEMU with its translator, and end it."""
    door = folder / "qmp"
    command = (
        *("qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-cpu", "qemu64,-svm"),
        *("-m", str(MEMORY_MIB), "-nodefaults", "-display", "none", "-serial", "null"),
        *("-device", f"VGA,edid=on,xres={WIDTH},yres={HEIGHT}"),
        *("-drive", f"file={image},format=raw,if=virtio,discard=unmap"),
        *("-device", "virtio-tablet-pci", "-device", "virtio-rng-pci"),
        *("-device", "virtio-balloon-pci", "-qmp", f"unix:{door},server=on,wait=off"),
    )
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(30):
            while not door.exists():  # noqa: ASYNC110 - QEMU does not say when it listens
                await asyncio.sleep(0.05)
            stream = await asyncio.open_unix_connection(door)
        desk = QemuDesk(process.pid, stream, folder)
        await desk.execute("qmp_capabilities")
        yield desk
        stream[1].close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def soak(folder: Path, clicks: int) -> str:
    """Measure both sides, one after the other; return a sentence. Raises SoakError or DiskError."""
    made = await asyncio.to_thread(desktop_disk.disk)
    found = {}
    for name, side in (("QEMU", qemu), ("ours", ours)):
        print(f"{name}:", flush=True)
        image = folder / "disk.img"
        await asyncio.to_thread(debian_disk.copy, made, image)
        async with side(image, folder) as desk:
            found[name] = await measure(desk, clicks)
        print(f"  {found[name]}", flush=True)
    ratio = found["ours"].boot_cpu / found["QEMU"].boot_cpu
    told = f"{ratio:.2f} times QEMU's CPU seconds; ours: {found['ours']}; QEMU: {found['QEMU']}"
    if ratio > MOST_CPU:
        raise SoakError(f"The desktop took more than {MOST_CPU:g} times QEMU's time: {told}")
    if statistics.median(found["ours"].clicks) > MOST_CLICK:
        raise SoakError(f"The menu took more than {MOST_CLICK:g} s to open: {told}")
    return told


def main(arguments: Sequence[str]) -> int:
    """Run it and tell what was measured; 1 if it failed."""
    parser = argparse.ArgumentParser(description="Boot a desktop, and click at it.")
    parser.add_argument("--clicks", type=int, default=CLICKS)
    options = parser.parse_args(arguments)
    if shutil.which("qemu-system-x86_64") is None:
        print("The package qemu-system-x86 is not installed.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="vmwb-") as folder:
        try:
            told = asyncio.run(soak(Path(folder), options.clicks))
        except (SoakError, debian_disk.DiskError, VmwbError) as error:
            print(f"The desktop: {error}", file=sys.stderr)
            return 1
    print(f"The desktop: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
