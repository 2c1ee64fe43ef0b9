"""Debian's graphical installer by SeaBIOS: its first screen, then its keyboard and its pointer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import guests
import pytest
from command import BOOT_SECONDS, Vmwb

from vmwb.automation.script import Script, workbench
from vmwb.ipc.framebuffer import Frame, FrameReader
from vmwb.services.types import Place

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 2)]

WIDTH, HEIGHT = 1024, 768
#: The list of languages, with English selected: the mean colours of 32 times 24 parts of the
#: screen, two hexadecimal digits each for red, green and blue.
LANGUAGES = Path(__file__).with_name("installer_languages.txt")
COLUMNS, ROWS = 32, 24
#: A part may differ by this much, of 255, and this many may differ by more: another version of the
#: installer may have other words.
TOLERANCE, PARTS = 24, 24
#: Beside the words, and from the first to the last row of the list.
PROBE_X, LIST_FROM, LIST_UNTIL = 600, 175, 700
ESPERANTO_Y, FINNISH_Y = 462, 507
ANSWER_SECONDS = 60


def coarse(frame: Frame) -> list[int]:
    """Return the mean colours of the parts of a picture, row by row, red, green and blue."""
    planes = [frame.pixels[channel::4] for channel in (2, 1, 0)]
    wide, high = WIDTH // COLUMNS, HEIGHT // ROWS
    means = []
    for top in range(0, HEIGHT, high):
        for left in range(0, WIDTH, wide):
            for plane in planes:
                starts = range(top * WIDTH + left, (top + high) * WIDTH + left, WIDTH)
                total = sum(sum(plane[start : start + wide]) for start in starts)
                means.append(total // (wide * high))
    return means


def shows(frame: Frame, means: list[int]) -> bool:
    """Whether a picture is that one, coarsely."""
    if (frame.info.width, frame.info.height) != (WIDTH, HEIGHT):
        return False
    far = [abs(a - b) > TOLERANCE for a, b in zip(coarse(frame), means, strict=True)]
    return sum(any(far[part : part + 3]) for part in range(0, len(far), 3)) <= PARTS


def is_selected(frame: Frame, y: int) -> bool:
    """Whether the list's bar, which is green on white, is at this height and at no other."""
    green = set()
    for line in range(LIST_FROM, LIST_UNTIL):
        blue_green_red = frame.pixels[(line * WIDTH + PROBE_X) * 4 :][:3]
        if blue_green_red[1] > blue_green_red[2] + 50:
            green.add(line)
    return y in green and all(abs(line - y) < 24 for line in green)


async def until(reader: FrameReader, condition: Callable[[Frame], bool], seconds: float) -> None:
    """Look at the screen now and then, until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition(reader.frame()):  # noqa: ASYNC110 - a picture cannot be awaited
            await asyncio.sleep(0.5)


async def test_graphical_installer_shows_languages_and_takes_keys_and_pointer(vmwb: Vmwb) -> None:
    guest = guests.graphical_installer()
    vmwb.ok(
        *("create", "gtk", "--memory", "1G", "--serial", "none", "--firmware", "seabios"),
        *("--kernel", guest.kernel, "--initrd", guest.initrd, "--append", "vga=791 quiet"),
    )
    expected = list(bytes.fromhex(LANGUAGES.read_text()))

    async with workbench(vmwb.library, vmwb.environment) as services:
        installer = Script(services, "gtk")
        await installer.start()
        reader = await services.console.open_frame("gtk")
        assert reader is not None
        with reader:
            await until(reader, lambda frame: shows(frame, expected), BOOT_SECONDS)

            await installer.keys("down")
            await until(reader, lambda frame: is_selected(frame, ESPERANTO_Y), ANSWER_SECONDS)

            finnish = Place(100 * 65_535 // WIDTH, FINNISH_Y * 65_535 // HEIGHT)
            for buttons in (0, 1, 0):
                await services.console.point("gtk", finnish, buttons=buttons)
            await until(reader, lambda frame: is_selected(frame, FINNISH_Y), ANSWER_SECONDS)
