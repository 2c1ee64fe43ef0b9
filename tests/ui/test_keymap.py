"""Keys of the host to make codes of set 1."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from vmwb_ui.console.keymap import code_of, code_of_qt_key, code_of_scan_code


@pytest.mark.parametrize(
    ("xkb", "code"),
    [
        (9, 0x01),  # Escape
        (24, 0x10),  # Q
        (36, 0x1C),  # Enter
        (37, 0x1D),  # left Ctrl
        (38, 0x1E),  # A
        (65, 0x39),  # space
        (67, 0x3B),  # F1
        (94, 0x56),  # the key between left Shift and Z
        (95, 0x57),  # F11
        (104, 0xE01C),  # keypad Enter
        (105, 0xE01D),  # right Ctrl
        (108, 0xE038),  # AltGr
        (111, 0xE048),  # Up
        (119, 0xE053),  # Delete
        (133, 0xE05B),  # left Super
    ],
)
def test_scan_code_gives_the_pc_key(xkb: int, code: int) -> None:
    assert code_of_scan_code(xkb) == code


def test_scan_code_no_two_keys_share_a_code() -> None:
    codes = [code for xkb in range(256) if (code := code_of_scan_code(xkb)) is not None]
    assert len(codes) == len(set(codes))
    assert len(codes) > 100


@pytest.mark.parametrize("xkb", [0, 8, 92, 250, 100_000])
def test_scan_code_that_no_pc_keyboard_has_gives_none(xkb: int) -> None:
    assert code_of_scan_code(xkb) is None


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (Qt.Key.Key_A, 0x1E),
        (Qt.Key.Key_Exclam, 0x02),
        (Qt.Key.Key_Return, 0x1C),
        (Qt.Key.Key_Backtab, 0x0F),
        (Qt.Key.Key_F12, 0x58),
        (Qt.Key.Key_Up, 0xE048),
        (Qt.Key.Key_MediaPlay, None),
        (Qt.Key.Key_Adiaeresis, None),
    ],
)
def test_qt_key_gives_the_key_of_a_us_keyboard(key: Qt.Key, code: int | None) -> None:
    assert code_of_qt_key(key.value) == code


def test_code_of_prefers_the_physical_key() -> None:
    # On a German keyboard the key at the place of Y gives Z.
    assert code_of(29, Qt.Key.Key_Z.value) == 0x15
    assert code_of(0, Qt.Key.Key_Z.value) == 0x2C
