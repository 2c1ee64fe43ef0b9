"""From a key of the host to the make code of scan-code set 1 that a PC keyboard would send.

The physical key decides, not the character on it: under X11 and Wayland Qt's native scan code is
the XKB key code, which is the Linux input code (``linux/input-event-codes.h``) plus 8. Where a
platform gives no scan code, Qt's key is looked up instead, as on a US keyboard.
"""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt

from vmwb.model.keyboard import CHARACTERS, KEY_NAMES

XKB_OFFSET: Final = 8
# Linux input codes 1 to 83 and 86 to 88 were numbered after set 1.
_SAME: Final = frozenset((*range(1, 84), 86, 87, 88))
# The others that a PC keyboard has; IBM PS/2 technical reference, "Keyboards", set 1.
_EVDEV: Final[dict[int, int]] = {
    89: 0x73,  # RO
    92: 0x79,  # Henkan
    93: 0x70,  # Katakana/Hiragana
    94: 0x7B,  # Muhenkan
    96: 0xE01C,  # keypad Enter
    97: 0xE01D,  # right Ctrl
    98: 0xE035,  # keypad /
    99: 0xE037,  # Print Screen
    100: 0xE038,  # right Alt
    102: 0xE047,  # Home
    103: 0xE048,  # Up
    104: 0xE049,  # Page Up
    105: 0xE04B,  # Left
    106: 0xE04D,  # Right
    107: 0xE04F,  # End
    108: 0xE050,  # Down
    109: 0xE051,  # Page Down
    110: 0xE052,  # Insert
    111: 0xE053,  # Delete
    113: 0xE020,  # mute
    114: 0xE02E,  # volume down
    115: 0xE030,  # volume up
    117: 0x59,  # keypad =
    119: KEY_NAMES["pause"],
    121: 0x7E,  # keypad comma
    124: 0x7D,  # Yen
    125: 0xE05B,  # left Super
    126: 0xE05C,  # right Super
    127: 0xE05D,  # Menu
}
_QT_KEYS: Final[dict[Qt.Key, int]] = {
    Qt.Key.Key_Escape: KEY_NAMES["esc"],
    Qt.Key.Key_Tab: KEY_NAMES["tab"],
    Qt.Key.Key_Backtab: KEY_NAMES["tab"],
    Qt.Key.Key_Backspace: KEY_NAMES["backspace"],
    Qt.Key.Key_Return: KEY_NAMES["enter"],
    Qt.Key.Key_Enter: KEY_NAMES["kp-enter"],
    Qt.Key.Key_Insert: KEY_NAMES["insert"],
    Qt.Key.Key_Delete: KEY_NAMES["delete"],
    Qt.Key.Key_Home: KEY_NAMES["home"],
    Qt.Key.Key_End: KEY_NAMES["end"],
    Qt.Key.Key_Left: KEY_NAMES["left"],
    Qt.Key.Key_Up: KEY_NAMES["up"],
    Qt.Key.Key_Right: KEY_NAMES["right"],
    Qt.Key.Key_Down: KEY_NAMES["down"],
    Qt.Key.Key_PageUp: KEY_NAMES["pageup"],
    Qt.Key.Key_PageDown: KEY_NAMES["pagedown"],
    Qt.Key.Key_Shift: KEY_NAMES["shift"],
    Qt.Key.Key_Control: KEY_NAMES["ctrl"],
    Qt.Key.Key_Meta: KEY_NAMES["super"],
    Qt.Key.Key_Alt: KEY_NAMES["alt"],
    Qt.Key.Key_AltGr: KEY_NAMES["altgr"],
    Qt.Key.Key_CapsLock: KEY_NAMES["capslock"],
    Qt.Key.Key_NumLock: KEY_NAMES["numlock"],
    Qt.Key.Key_ScrollLock: KEY_NAMES["scrolllock"],
    Qt.Key.Key_Menu: KEY_NAMES["menu"],
    Qt.Key.Key_Print: KEY_NAMES["print"],
    Qt.Key.Key_SysReq: KEY_NAMES["print"],
    Qt.Key.Key_Pause: KEY_NAMES["pause"],
    **{Qt.Key(Qt.Key.Key_F1.value + number): KEY_NAMES[f"f{number + 1}"] for number in range(12)},
}


def code_of_scan_code(native_scan_code: int) -> int | None:
    """The make code of an XKB key code; ``None`` when a PC keyboard has no such key."""
    evdev = native_scan_code - XKB_OFFSET
    return evdev if evdev in _SAME else _EVDEV.get(evdev)


def code_of_qt_key(key: int) -> int | None:
    """The make code of a Qt key on a US keyboard; ``None`` when there is none."""
    known = _QT_KEYS.get(key)  # type: ignore[call-overload] - Qt.Key is an int to Qt's events
    if known is not None:
        return known
    if not 0x20 <= key < 0x7F:
        return None
    found = CHARACTERS.get(chr(key).lower())
    return None if found is None else found[0]


def code_of(native_scan_code: int, key: int) -> int | None:
    """The make code of a key event: by its scan code, else by its key."""
    if native_scan_code > XKB_OFFSET:
        return code_of_scan_code(native_scan_code)
    return code_of_qt_key(key)
