"""How the soak of the desktop reads pictures."""

from __future__ import annotations

import pytest
from desktop_soak import HEIGHT, PANEL_LINES, WIDTH, Picture, shows_panel

BLACK, WALL, GREY, INK = b"\0\0\0", b"\x15\x22\x33", b"\xf6\xf5\xf4", b"\x20\x20\x20"
DESKTOP = WALL * (WIDTH * (HEIGHT - PANEL_LINES))
LETTERS = GREY * 8 + (INK + GREY) * 40
PANEL = (LETTERS + GREY * (WIDTH - 88)) * PANEL_LINES


@pytest.mark.parametrize("alpha", [b"", b"\0"])
def test_panel_above_a_wallpaper_is_seen_with_three_and_four_bytes_a_pixel(alpha: bytes) -> None:
    pixels = PANEL + DESKTOP
    if alpha:
        pixels = b"".join(pixels[at : at + 3] + alpha for at in range(0, len(pixels), 3))
    assert shows_panel(Picture(WIDTH, HEIGHT, 3 + len(alpha), pixels))


@pytest.mark.parametrize(
    "pixels",
    [
        BLACK * (WIDTH * HEIGHT),
        WALL * (WIDTH * HEIGHT),
        # A bar on which nothing stands yet.
        GREY * (WIDTH * PANEL_LINES) + DESKTOP,
        # Letters on a console: its middle is as black as what is below.
        ((INK + BLACK) * 40 + BLACK * (WIDTH - 80)) * PANEL_LINES
        + BLACK * (WIDTH * (HEIGHT - PANEL_LINES)),
    ],
    ids=["black", "wallpaper", "empty bar", "console"],
)
def test_picture_without_a_finished_panel_is_none(pixels: bytes) -> None:
    assert not shows_panel(Picture(WIDTH, HEIGHT, 3, pixels))


def test_picture_of_another_size_is_no_desktop() -> None:
    assert not shows_panel(Picture(720, 400, 3, GREY * (720 * 400)))


def test_part_gives_the_rows_of_a_rectangle() -> None:
    picture = Picture(4, 3, 1, b"abcdefghijkl")
    assert picture.part(1, 1, 2, 2) == [b"fg", b"jk"]
