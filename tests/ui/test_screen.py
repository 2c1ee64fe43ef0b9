"""The screen widget: shared pixels on the widget, the grab by click, the hint."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from vmwb.ipc import framebuffer as fb
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.screen import ScreenView

# Without a screen there is no keyboard to take from other windows; Qt says so.
pytestmark = pytest.mark.qt_log_ignore("does not support grabbing the keyboard")

WIDTH, HEIGHT = 16, 8
PIXELS_AT = fb.HEADER_BYTES * 2


def colour(x: int, y: int) -> int:
    return (x * 15) << 16 | (y * 30) << 8 | 0x40


def shared_screen() -> int:
    """Return the descriptor of a framebuffer with a pattern in which every pixel differs."""
    descriptor = os.memfd_create("test-screen")
    memory = bytearray(fb.HEADER_BYTES * 3)
    fields = {
        "magic": fb.MAGIC,
        "version": fb.LAYOUT_VERSION,
        "pixel_format": fb.FORMAT_XRGB8888,
        "sequence": 2,
        "generation": 1,
        "width": WIDTH,
        "height": HEIGHT,
        "stride": WIDTH * 4,
        "buffer_count": 1,
        "buffer_offset": PIXELS_AT,
        "buffer_size": 4096,
        "text_offset": fb.HEADER_BYTES,
        "columns": 0,
        "rows": 0,
    }
    for name, value in fields.items():
        offset, size = fb.LAYOUT[name]
        struct.pack_into("<Q" if size == 8 else "<I", memory, offset, value)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            struct.pack_into("<I", memory, PIXELS_AT + (y * WIDTH + x) * 4, colour(x, y))
    os.write(descriptor, memory)
    return descriptor


@pytest.fixture
def view(qtbot: QtBot) -> Iterator[ScreenView]:
    descriptor = shared_screen()
    picture = Picture(fb.FrameReader(descriptor))
    os.close(descriptor)
    widget = ScreenView()
    qtbot.addWidget(widget)
    widget.resize(WIDTH * 4, HEIGHT * 6)
    widget.show_picture(picture)
    widget.set_takes_input(True)
    widget.show()
    qtbot.waitExposed(widget)
    yield widget
    widget.release_keyboard()
    widget.show_picture(None)
    picture.close()


def test_picture_is_drawn_pixel_by_pixel_in_a_whole_scale(view: ScreenView) -> None:
    shown = view.grab().toImage()
    place = view.target()

    assert (place.width(), place.height()) == (WIDTH * 4, HEIGHT * 4)
    assert {
        (x, y): shown.pixel(place.x() + x * 4 + 2, place.y() + y * 4 + 2) & 0xFFFFFF
        for y in range(HEIGHT)
        for x in range(WIDTH)
    } == {(x, y): colour(x, y) for y in range(HEIGHT) for x in range(WIDTH)}


def test_click_grabs_the_keyboard_and_says_how_to_leave(qtbot: QtBot, view: ScreenView) -> None:
    with qtbot.waitSignal(view.grab_changed):
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(5, 5))

    hint = view.findChild(type(view._hint), "grab")
    assert view.grabbed
    assert hint.isVisible()
    assert "Ctrl+Alt" in hint.text()


def test_machine_that_stops_gives_the_keyboard_back(qtbot: QtBot, view: ScreenView) -> None:
    view.take_keyboard()

    with qtbot.waitSignal(view.grab_changed):
        view.set_takes_input(False)

    assert not view.grabbed


def test_screen_without_a_picture_has_no_place_for_one(qtbot: QtBot, view: ScreenView) -> None:
    assert view.accessibleName()
    assert view.target().isValid()

    view.show_picture(None)

    assert not view.target().isValid()
