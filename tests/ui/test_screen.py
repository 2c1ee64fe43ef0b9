"""The screen widget: its pixels are the framebuffer's, and the keyboard can always come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_services import TestPattern
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QFocusEvent, QImage, QKeyEvent
from pytestqt.qtbot import QtBot

from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.keyboard import KEY_NAMES, KeyPress
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.screen import BACKGROUND, ScreenView

CTRL, ALT, INSERT, DELETE = (KEY_NAMES[name] for name in ("ctrl", "alt", "insert", "delete"))
XKB = {CTRL: 37, ALT: 64, INSERT: 118, 0x1E: 38, 0x3C: 68}


@pytest.fixture
def picture(pattern: TestPattern) -> Iterator[Picture]:
    made = Picture(FrameReader(pattern.handle))
    yield made
    made.close()


@pytest.fixture
def view(qtbot: QtBot, picture: Picture) -> Iterator[ScreenView]:
    made = ScreenView()
    qtbot.addWidget(made)
    made.resize(1024, 768)
    made.show()
    made.set_takes_input(True)
    made.show_picture(picture)
    yield made
    made.show_picture(None)


@pytest.fixture
def sent(view: ScreenView) -> list[KeyPress]:
    presses: list[KeyPress] = []
    view.key_moved.connect(presses.append)
    return presses


def key(view: ScreenView, code: int, *, down: bool, repeat: bool = False) -> None:
    kind = QEvent.Type.KeyPress if down else QEvent.Type.KeyRelease
    none = Qt.KeyboardModifier.NoModifier
    view.event(QKeyEvent(kind, 0, none, XKB[code], 0, 0, "", repeat))


def grabbed_image(view: ScreenView) -> QImage:
    return view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)


def rgb(image: QImage, x: int, y: int) -> int:
    return image.pixel(x, y) & 0xFFFFFF


def test_paint_at_full_size_every_pixel_is_the_framebuffers(
    view: ScreenView, pattern: TestPattern
) -> None:
    image = grabbed_image(view)
    assert (image.width(), image.height()) == (pattern.width, pattern.height)
    expected = [pattern.colour(x) for x in range(pattern.width)]
    for y in (0, 383, 767):
        assert [rgb(image, x, y) for x in range(pattern.width)] == expected


def test_paint_in_a_wide_widget_keeps_the_aspect(view: ScreenView, pattern: TestPattern) -> None:
    view.resize(1224, 768)
    target = view.target()
    assert (target.width(), target.height(), target.x()) == (1024, 768, 100)
    image = grabbed_image(view)
    assert rgb(image, 99, 300) == BACKGROUND.rgb() & 0xFFFFFF
    assert rgb(image, 100, 300) == pattern.colour(0)


def test_paint_in_a_large_widget_scales_by_whole_numbers(view: ScreenView) -> None:
    view.resize(2500, 1700)
    assert (view.target().width(), view.target().height()) == (2048, 1536)


def test_look_after_a_new_picture_shows_it(view: ScreenView, pattern: TestPattern) -> None:
    pattern.fill(0x123456)
    pattern.set("sequence", 4)
    view.look()
    assert rgb(grabbed_image(view), 10, 10) == 0x123456


def test_refresh_of_an_unchanged_picture_tells_nothing_new(picture: Picture) -> None:
    assert picture.refresh()
    assert not picture.refresh()


def test_look_at_a_header_that_lies_fails_with_a_sentence(
    view: ScreenView, pattern: TestPattern
) -> None:
    told: list[str] = []
    view.failed.connect(told.append)
    pattern.set("height", 1600)
    pattern.set("sequence", 4)
    view.look()
    assert told == ["The shared screen's header points outside its memory."]
    assert rgb(grabbed_image(view), 500, 300) == BACKGROUND.rgb() & 0xFFFFFF


def test_click_grabs_and_the_hint_says_the_way_out(view: ScreenView, qtbot: QtBot) -> None:
    hint = view.findChild(object, "grab")
    assert not hint.isVisible()
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton)
    assert view.grabbed
    assert hint.isVisible()
    assert "Ctrl+Alt" in hint.text()
    view.release_keyboard()
    assert not hint.isVisible()


def test_key_without_grab_reaches_no_guest(view: ScreenView, sent: list[KeyPress]) -> None:
    key(view, 0x1E, down=True)
    assert sent == []


def test_ctrl_alt_let_go_releases_and_leaves_no_key_down(
    view: ScreenView, sent: list[KeyPress]
) -> None:
    view.take_keyboard()
    key(view, CTRL, down=True)
    key(view, ALT, down=True)
    assert view.grabbed
    key(view, ALT, down=False)
    assert not view.grabbed
    assert sent == [
        *(KeyPress(CTRL, True), KeyPress(ALT, True)),
        *(KeyPress(ALT, False), KeyPress(CTRL, False)),
    ]


def test_ctrl_alt_with_another_key_belongs_to_the_guest(
    view: ScreenView, sent: list[KeyPress]
) -> None:
    f2 = KEY_NAMES["f2"]
    view.take_keyboard()
    for code, down in ((CTRL, True), (ALT, True), (f2, True), (f2, False), (ALT, False)):
        key(view, code, down=down)
    assert view.grabbed
    assert KeyPress(f2, True) in sent
    view.release_keyboard()


def test_ctrl_alt_insert_presses_delete(view: ScreenView, sent: list[KeyPress]) -> None:
    view.take_keyboard()
    for code in (CTRL, ALT, INSERT):
        key(view, code, down=True)
    key(view, INSERT, down=False)
    assert sent[2:] == [KeyPress(DELETE, True), KeyPress(DELETE, False)]
    view.release_keyboard()


def test_focus_lost_lets_every_key_up(view: ScreenView, sent: list[KeyPress]) -> None:
    view.take_keyboard()
    key(view, 0x1E, down=True)
    view.focusOutEvent(QFocusEvent(QEvent.Type.FocusOut))
    assert not view.grabbed
    assert sent == [KeyPress(0x1E, True), KeyPress(0x1E, False)]


def test_repeat_of_the_host_is_the_make_code_again(view: ScreenView, sent: list[KeyPress]) -> None:
    view.take_keyboard()
    key(view, 0x1E, down=True)
    key(view, 0x1E, down=False, repeat=True)
    key(view, 0x1E, down=True, repeat=True)
    assert sent == [KeyPress(0x1E, True), KeyPress(0x1E, True)]
    view.release_keyboard()


def test_machine_that_takes_no_input_gets_no_keyboard(view: ScreenView) -> None:
    view.take_keyboard()
    view.set_takes_input(False)
    assert not view.grabbed
    view.take_keyboard()
    assert not view.grabbed
