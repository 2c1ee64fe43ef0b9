"""Keys of the host on their way to the guest, and the way out."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from vmwb.model.keyboard import KEY_NAMES, KeyPress
from vmwb_ui.console.grab import KeyboardGrab
from vmwb_ui.console.keymap import code_of, code_of_qt_key, code_of_scan_code

CTRL, ALT = KEY_NAMES["ctrl"], KEY_NAMES["alt"]
KEY_A = 0x1E


class Sent(list[KeyPress]):
    """What the guest was told."""


def grabbed() -> tuple[KeyboardGrab, Sent]:
    sent = Sent()
    grab = KeyboardGrab(sent.append)
    grab.take()
    return grab, sent


def test_key_without_the_grab_stays_with_the_host() -> None:
    sent = Sent()

    KeyboardGrab(sent.append).key(KEY_A, True)

    assert sent == []


def test_ctrl_alt_let_go_releases_and_lets_every_key_go_up() -> None:
    grab, sent = grabbed()

    grab.key(CTRL, True)
    grab.key(ALT, True)
    grab.key(ALT, False)

    assert not grab.grabbed
    assert grab.held == ()
    assert [press for press in sent if not press.down] == [
        KeyPress(ALT, False),
        KeyPress(CTRL, False),
    ]


def test_ctrl_alt_with_another_key_goes_to_the_guest() -> None:
    grab, _ = grabbed()

    for code in (CTRL, ALT, KEY_A):
        grab.key(code, True)
    for code in (KEY_A, ALT, CTRL):
        grab.key(code, False)

    assert grab.grabbed


def test_ctrl_alt_insert_is_ctrl_alt_delete_in_the_guest() -> None:
    grab, sent = grabbed()

    for code in (CTRL, ALT, KEY_NAMES["insert"]):
        grab.key(code, True)

    assert sent[-1] == KeyPress(KEY_NAMES["delete"], True)


def test_release_lets_keys_that_are_down_go_up() -> None:
    grab, sent = grabbed()
    grab.key(KEY_A, True)

    grab.release()

    assert sent == [KeyPress(KEY_A, True), KeyPress(KEY_A, False)]


@pytest.mark.parametrize(
    ("scan_code", "code"),
    [
        (38, KEY_A),
        (36, KEY_NAMES["enter"]),
        (37, CTRL),
        (111, KEY_NAMES["up"]),
        (119, KEY_NAMES["delete"]),
    ],
)
def test_xkb_key_code_is_the_make_code_of_the_same_key(scan_code: int, code: int) -> None:
    assert code_of_scan_code(scan_code) == code


def test_key_without_a_scan_code_is_found_by_its_name() -> None:
    assert code_of(0, Qt.Key.Key_F12) == KEY_NAMES["f12"]
    assert code_of_qt_key(Qt.Key.Key_A) == KEY_A


def test_key_that_no_pc_has_is_none() -> None:
    assert code_of(0, Qt.Key.Key_Launch9) is None
