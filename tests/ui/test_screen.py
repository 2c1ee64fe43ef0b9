"""The screen's widget: its pixels, its refresh, its grab."""

from __future__ import annotations

import os

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtTest import QTest
from ui.fake_services import FakeScreen

from vmwb.ipc.framebuffer import FrameReader
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.screen import BACKGROUND, ScreenView

BARS = (0xFFFFFF, 0xFFFF00, 0x00FFFF, 0x00FF00, 0xFF00FF, 0xFF0000, 0x0000FF, 0x000000)


def bars(x: int, y: int) -> int:
    return BARS[x // 128]


@pytest.fixture
def screen():
    made = FakeScreen()
    yield made
    os.close(made.handle)


@pytest.fixture
def picture(screen):
    made = Picture(FrameReader(screen.handle))
    yield made
    made.close()


@pytest.fixture
def view(look, qtbot, picture):
    widget = ScreenView()
    qtbot.addWidget(widget)
    widget.resize(1100, 800)
    widget.show()
    widget.show_picture(picture)
    widget.set_takes_input(True)
    yield widget
    widget.show_picture(None)


def colour_at(view: ScreenView, x: int, y: int) -> int:
    return view.grab().toImage().pixelColor(x, y).rgb() & 0xFFFFFF


def test_picture_of_1024x768_is_drawn_pixel_by_pixel(view, screen) -> None:
    screen.paint(1024, 768, bars)
    view.look()
    target = view.target()
    assert (target.width(), target.height()) == (1024, 768)
    image = view.grab().toImage()
    for index, colour in enumerate(BARS):
        for x, y in ((index * 128, 0), (index * 128 + 127, 767)):
            pixel = image.pixelColor(target.left() + x, target.top() + y)
            assert pixel.rgb() & 0xFFFFFF == colour


def test_small_picture_is_scaled_a_whole_number_of_times(view, screen) -> None:
    screen.paint(320, 200, lambda *_: 0x112233)
    view.look()
    assert (view.target().width(), view.target().height()) == (960, 600)
    assert colour_at(view, 550, 400) == 0x112233
    assert colour_at(view, 2, 2) == BACKGROUND.rgb() & 0xFFFFFF


def test_picture_in_the_middle_of_being_published_is_shown_later(picture, screen) -> None:
    assert picture.refresh()
    shown = picture.info
    screen.write("sequence", screen.sequence + 1)
    assert not picture.refresh()
    assert picture.info is shown
    screen.paint(320, 200, lambda *_: 0)
    assert picture.refresh()


def test_large_picture_keeps_its_aspect(view, screen) -> None:
    screen.paint(1024, 768, bars)
    view.resize(512, 768)
    view.look()
    assert (view.target().width(), view.target().height()) == (512, 384)


def test_picture_of_2560x1600_fits_a_smaller_widget(view, screen) -> None:
    screen.paint(2560, 1600, lambda x, _: 0xFFFFFF if x < 1280 else 0)
    view.look()
    target = view.target()
    assert (target.width(), target.height()) == (1100, 688)
    assert colour_at(view, 500, 400) == 0xFFFFFF
    assert colour_at(view, 600, 400) == 0
    view.resize(2560, 1600)
    assert (view.target().width(), view.target().height()) == (2560, 1600)


def test_refresh_without_anything_published_tells_nothing_new(picture, screen) -> None:
    assert picture.refresh()
    assert not picture.refresh()
    screen.paint(64, 32, lambda *_: 0xABCDEF)
    assert picture.refresh()


def test_picture_is_no_copy(picture, screen) -> None:
    picture.refresh()
    os.pwrite(screen.handle, b"\x56\x34\x12\x00", 8192)
    assert picture.image.pixel(0, 0) & 0xFFFFFF == 0x123456


def test_header_that_lies_is_a_sentence(view, screen, qtbot) -> None:
    screen.write("buffer_offset", 1 << 40)
    with qtbot.waitSignal(view.failed):
        screen.write("sequence", 100)
        view.look()
    assert view.target().isEmpty()


def test_click_takes_the_keyboard_and_ctrl_alt_gives_it_back(view, qtbot) -> None:
    pressed = []
    view.key_moved.connect(pressed.append)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton)
    assert view.grabbed
    assert view.findChild(object, "grab").isVisible()
    QTest.keyClick(view, Qt.Key.Key_A)
    QTest.keyPress(view, Qt.Key.Key_Control)
    QTest.keyPress(view, Qt.Key.Key_Alt, Qt.KeyboardModifier.ControlModifier)
    QTest.keyRelease(view, Qt.Key.Key_Alt, Qt.KeyboardModifier.ControlModifier)
    assert not view.grabbed
    assert not view.findChild(object, "grab").isVisible()
    assert [(press.code, press.down) for press in pressed[:2]] == [(0x1E, True), (0x1E, False)]


def test_hint_at_the_keyboard_leaves_the_picture_after_a_while(view, qtbot) -> None:
    hint = view.findChild(object, "grab")
    view._hint_timer.setInterval(1)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not hint.isVisible())
    assert view.grabbed
    view.release_keyboard()
    view.take_keyboard()
    assert hint.isVisible()


def test_lost_focus_lets_all_keys_up(view, qtbot) -> None:
    pressed = []
    view.key_moved.connect(pressed.append)
    view.take_keyboard()
    QTest.keyPress(view, Qt.Key.Key_Shift)
    view.focusOutEvent(QFocusEvent(QEvent.Type.FocusOut))
    assert not view.grabbed
    assert [press.down for press in pressed] == [True, False]


def test_machine_that_takes_no_input_is_not_given_the_keyboard(view, qtbot) -> None:
    view.set_takes_input(False)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPointF(5, 5).toPoint())
    assert not view.grabbed


def test_tab_goes_to_the_machine_while_grabbed(view) -> None:
    pressed = []
    view.key_moved.connect(pressed.append)
    view.take_keyboard()
    QTest.keyClick(view, Qt.Key.Key_Tab)
    assert [press.code for press in pressed] == [0x0F, 0x0F]
