"""Keys of a PC keyboard: names, US layout, and the make codes of scan-code set 1.

Codes follow the IBM PC/AT Technical Reference, keyboard section; extended keys carry their prefix
in the high byte (``0xE048`` is the up arrow). Pure data and pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vmwb.model.errors import UsageError

SHIFT: Final = 0x2A
# The only make code that begins with E1h; its break is sent at once, and it is never repeated.
PAUSE: Final = 0xE11D
_ROWS: Final = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
)
# Characters of the US layout: code and whether shift is held.
CHARACTERS: Final[dict[str, tuple[int, bool]]] = {
    **{
        character: (first + offset, shifted)
        for first, plain, upper in _ROWS
        for row, shifted in ((plain, False), (upper, True))
        for offset, character in enumerate(row)
    },
    " ": (0x39, False),
    "\n": (0x1C, False),
    "\r": (0x1C, False),
    "\t": (0x0F, False),
    "\b": (0x0E, False),
    "\x1b": (0x01, False),
}
MODIFIERS: Final[dict[str, int]] = {
    "ctrl": 0x1D,
    "shift": SHIFT,
    "alt": 0x38,
    "altgr": 0xE038,
    "super": 0xE05B,
    "rctrl": 0xE01D,
    "rshift": 0x36,
}
KEY_NAMES: Final[dict[str, int]] = {
    **MODIFIERS,
    "esc": 0x01,
    "escape": 0x01,
    "backspace": 0x0E,
    "tab": 0x0F,
    "enter": 0x1C,
    "return": 0x1C,
    "space": 0x39,
    "minus": 0x0C,
    "capslock": 0x3A,
    "numlock": 0x45,
    "scrolllock": 0x46,
    **{f"f{number}": 0x3A + number for number in range(1, 11)},
    "f11": 0x57,
    "f12": 0x58,
    "sysrq": 0x54,
    "print": 0xE037,
    "pause": PAUSE,
    "home": 0xE047,
    "up": 0xE048,
    "pageup": 0xE049,
    "left": 0xE04B,
    "right": 0xE04D,
    "end": 0xE04F,
    "down": 0xE050,
    "pagedown": 0xE051,
    "insert": 0xE052,
    "delete": 0xE053,
    "del": 0xE053,
    "menu": 0xE05D,
    "kp-enter": 0xE01C,
    "kp-slash": 0xE035,
}
TEXT_MAX_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True)
class KeyPress:
    """One movement of one key: its make code of set 1, and whether it goes down."""

    code: int
    down: bool


def combination(text: str) -> tuple[KeyPress, ...]:
    """Presses of one combination such as ``ctrl-alt-del``, ``f10``, ``a``, ``shift-a`` or ``-``.

    All keys go down in order and up in reverse.

    Raises:
        UsageError: a key of that name does not exist.
    """
    codes: list[int] = []
    for part in _parts(text):
        codes.extend(_codes_of(part, text))
    down = [KeyPress(code, True) for code in codes]
    return (*down, *(KeyPress(code, False) for code in reversed(codes)))


def combinations(texts: Iterable[str]) -> tuple[KeyPress, ...]:
    """Presses of several combinations, one after the other."""
    return tuple(press for text in texts for press in combination(text))


def text_presses(text: str) -> tuple[KeyPress, ...]:
    """Presses that type a text on a US keyboard.

    Raises:
        UsageError: a character is not on a US keyboard, or there are more than 4,096.
    """
    if len(text) > TEXT_MAX_CHARACTERS:
        raise UsageError(
            f"At most {TEXT_MAX_CHARACTERS} characters can be typed at once: split the text."
        )
    presses: list[KeyPress] = []
    for character in text:
        found = CHARACTERS.get(character)
        if found is None:
            raise UsageError(
                f"The character {character!r} is not on a US keyboard: send it through the serial "
                "port instead.",
                {"character": character},
            )
        code, shifted = found
        if shifted:
            presses.append(KeyPress(SHIFT, True))
        presses += (KeyPress(code, True), KeyPress(code, False))
        if shifted:
            presses.append(KeyPress(SHIFT, False))
    return tuple(presses)


def answer_presses(text: str) -> tuple[KeyPress, ...]:
    """Presses of an answer: words that name a key or combination are pressed, others are typed.

    ``root enter`` types root and presses enter. A text without any key's name is typed as it is.

    Raises:
        UsageError: a character is not on a US keyboard.
    """
    words = text.split(" ")
    if not any(_is_key(word) for word in words):
        return text_presses(text)
    presses: list[KeyPress] = []
    for word in words:
        presses += combination(word) if _is_key(word) else text_presses(word)
    return tuple(presses)


def _is_key(word: str) -> bool:
    """Tell whether a word names keys; a single character or plain word is text."""
    parts = _parts(word)
    named = [part for part in parts if part in KEY_NAMES]
    return bool(named) and all(part in KEY_NAMES or part in CHARACTERS for part in parts)


def _parts(text: str) -> list[str]:
    """Split at dashes, but keep names that have one (``kp-enter``) and the dash key itself."""
    if text in CHARACTERS:
        return [text]
    parts: list[str] = []
    pieces = text.lower().split("-")
    index = 0
    while index < len(pieces):
        joined = "-".join(pieces[index : index + 2])
        if joined in KEY_NAMES and index + 1 < len(pieces):
            parts.append(joined)
            index += 2
        elif pieces[index] == "" and index + 1 == len(pieces) - 1 and pieces[index + 1] == "":
            parts.append("-")
            index += 2
        else:
            parts.append(pieces[index])
            index += 1
    return parts


def _codes_of(part: str, whole: str) -> list[int]:
    if part in KEY_NAMES:
        return [KEY_NAMES[part]]
    if part in CHARACTERS:
        code, shifted = CHARACTERS[part]
        return [SHIFT, code] if shifted else [code]
    raise UsageError(
        f"There is no key {part!r} in {whole!r}: write keys such as enter, f10, ctrl-alt-del or a.",
        {"key": part},
    )
