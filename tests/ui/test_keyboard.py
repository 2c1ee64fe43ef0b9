"""Keys: from the host to make codes, and who has the keyboard."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from vmwb.model.keyboard import KEY_NAMES, PAUSE, KeyPress
from vmwb_ui.console.grab import KeyboardGrab
from vmwb_ui.console.keymap import code_of

CTRL, ALT, INSERT, F2, A, ENTER = 0x1D, 0x38, 0xE052, 0x3C, 0x1E, 0x1C


@pytest.mark.parametrize(
    ("scan_code", "code"),
    [
        (9, KEY_NAMES["esc"]),
        (38, A),
        (36, KEY_NAMES["enter"]),
        (94, 0x56),
        (95, KEY_NAMES["f11"]),
        (104, KEY_NAMES["kp-enter"]),
        (105, KEY_NAMES["rctrl"]),
        (107, 0xE037),
        (108, KEY_NAMES["altgr"]),
        (111, KEY_NAMES["up"]),
        (118, INSERT),
        (119, KEY_NAMES["delete"]),
        (127, PAUSE),
        (133, KEY_NAMES["super"]),
        (135, KEY_NAMES["menu"]),
        (250, None),
    ],
)
def test_scan_code_of_xkb_gives_the_make_code(scan_code, code) -> None:
    assert code_of(scan_code, Qt.Key.Key_unknown) == code


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (Qt.Key.Key_A, A),
        (Qt.Key.Key_Exclam, 0x02),
        (Qt.Key.Key_F2, F2),
        (Qt.Key.Key_Pause, PAUSE),
        (Qt.Key.Key_Print, 0xE037),
        (Qt.Key.Key_Backtab, KEY_NAMES["tab"]),
        (Qt.Key.Key_Udiaeresis, None),
        (Qt.Key.Key_VolumeUp, None),
    ],
)
def test_key_without_scan_code_is_that_of_a_us_keyboard(key, code) -> None:
    assert code_of(0, key) == code


@pytest.fixture
def sent() -> list[tuple[int, bool]]:
    return []


@pytest.fixture
def grab(sent) -> KeyboardGrab:
    def send(press: KeyPress) -> None:
        sent.append((press.code, press.down))

    return KeyboardGrab(send)


def test_key_while_free_is_not_sent(grab, sent) -> None:
    grab.key(A, True)
    assert sent == []


def test_key_held_on_the_host_is_repeated_as_a_keyboard_does(grab, sent) -> None:
    grab.take()
    for down in (True, True, False):
        grab.key(A, down)
    assert sent == [(A, True), (A, True), (A, False)]


def test_pause_held_on_the_host_is_not_repeated(grab, sent) -> None:
    grab.take()
    for down in (True, True, True, False):
        grab.key(PAUSE, down)
    assert sent == [(PAUSE, True), (PAUSE, False)]


def test_ctrl_alt_let_go_releases_and_leaves_nothing_pressed(grab, sent) -> None:
    grab.take()
    grab.key(CTRL, True)
    grab.key(ALT, True)
    assert grab.grabbed
    grab.key(ALT, False)
    assert not grab.grabbed
    assert sent == [(CTRL, True), (ALT, True), (ALT, False), (CTRL, False)]


def test_ctrl_alt_with_another_key_stays_the_guests(grab, sent) -> None:
    grab.take()
    for code, down in ((CTRL, True), (ALT, True), (F2, True), (F2, False)):
        grab.key(code, down)
    grab.key(ALT, False)
    grab.key(CTRL, False)
    assert grab.grabbed
    assert (F2, True) in sent


def test_ctrl_alt_ins_becomes_ctrl_alt_del(grab, sent) -> None:
    grab.take()
    for code in (CTRL, ALT, INSERT):
        grab.key(code, True)
    grab.key(INSERT, False)
    delete = KEY_NAMES["delete"]
    assert sent[2:] == [(delete, True), (delete, False)]
    assert grab.grabbed


def test_ctrl_alt_enter_is_the_windows_and_the_grab_stays(sent) -> None:
    asked = []
    grab = KeyboardGrab(
        lambda press: sent.append((press.code, press.down)), lambda: asked.append("full screen")
    )
    grab.take()
    # Held for a while, Enter repeats.
    for code, down in ((CTRL, True), (ALT, True), (ENTER, True), (ENTER, True), (ENTER, False)):
        grab.key(code, down)
    grab.key(ALT, False)
    grab.key(CTRL, False)
    grab.key(ENTER, True)
    assert asked == ["full screen"]
    assert grab.grabbed
    assert sent == [(CTRL, True), (ALT, True), (ALT, False), (CTRL, False), (ENTER, True)]


def test_release_lets_every_key_up_last_first(grab, sent) -> None:
    grab.take()
    grab.key(CTRL, True)
    grab.key(A, True)
    sent.clear()
    grab.release()
    assert sent == [(A, False), (CTRL, False)]
    assert grab.held == ()
