"""Terminal emulation of a serial port: pyte with a bounded history. No Qt in here.

The guest is hostile: control strings that never end, cells that collect combining characters and
answers without end are all cut short here, because pyte bounds none of them.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyte
from pyte.screens import Char

COLUMNS_MIN: Final = 80
ROWS_MIN: Final = 4
COLUMNS_MAX: Final = 500
ROWS_MAX: Final = 300
HISTORY_LINES: Final = 2_000
CONTROL_STRING_MAX_BYTES: Final = 4_096
ANSWERS_MAX_BYTES: Final = 4_096
_APPLICATION_CURSOR_KEYS: Final = 1 << 5  # DECCKM, VT220 reference manual, chapter 4
_BRACKETED_PASTE: Final = 2004 << 5
Line = Mapping[int, Char]


class _Screen(pyte.Screen):  # type: ignore[misc] - pyte has no types
    """A screen that keeps what scrolls off its top, and collects its answers."""

    def __init__(self, columns: int, lines: int) -> None:
        self.history: deque[Line] = deque(maxlen=HISTORY_LINES)
        self.scrolled = 0
        self.answers = bytearray()
        super().__init__(columns, lines)

    def index(self) -> None:
        top, bottom = self.margins or (0, self.lines - 1)
        if top == 0 and self.cursor.y == bottom:
            self.history.append(dict(self.buffer[0]))
            self.scrolled += 1
        super().index()

    def draw(self, data: str) -> None:
        if not data.isascii():
            data = "".join(item for item in data if not unicodedata.combining(item))
        super().draw(data)

    def write_process_input(self, data: str) -> None:
        if len(self.answers) < ANSWERS_MAX_BYTES:
            self.answers += data.encode()

    def set_title(self, param: str) -> None:
        """Do nothing: the guest does not name our windows."""

    def set_icon_name(self, param: str) -> None:
        """Do nothing, as for the title."""


class _Listener:
    """What pyte's parser talks to: the screen, with its mishaps caught.

    pyte raises whatever comes up for sequences that it did not foresee (``ESC [ 9 J``), and its
    parser does not survive that. Such a sequence does nothing instead.
    """

    def __init__(self, screen: _Screen) -> None:
        self._screen = screen

    def __getattr__(self, name: str) -> object:
        method = getattr(self._screen, name)
        if not callable(method):
            return method

        def guarded(*values: object, **named: object) -> None:
            with contextlib.suppress(
                ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError
            ):
                method(*values, **named)

        return guarded


class Emulation:
    """A terminal's state. ``answer`` is called with what the guest asked the terminal for."""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._screen = _Screen(COLUMNS_MIN, 24)
        self._stream: Any = pyte.ByteStream(_Listener(self._screen))
        self._string_bytes = 0
        self._tail = b""

    @property
    def columns(self) -> int:
        """Cells in a row."""
        return int(self._screen.columns)

    @property
    def rows(self) -> int:
        """Rows on the screen, without the history."""
        return int(self._screen.lines)

    @property
    def total(self) -> int:
        """Rows of history and screen together."""
        return len(self._screen.history) + self.rows

    @property
    def scrolled(self) -> int:
        """How many rows ever went into the history; grows by what was fed."""
        return self._screen.scrolled

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row (counted with the history) and column of the cursor; ``None`` when hidden."""
        cursor = self._screen.cursor
        if cursor.hidden:
            return None
        return len(self._screen.history) + cursor.y, min(cursor.x, self.columns - 1)

    def feed(self, data: bytes) -> None:
        """Take output of the guest."""
        self._bound_strings(data)
        self._stream.feed(data)
        if self._screen.answers:
            answers = bytes(self._screen.answers)
            self._screen.answers.clear()
            self._answer(answers)

    def resize(self, columns: int, rows: int) -> None:
        """Give the screen another size, within bounds; the history keeps its rows."""
        columns = max(COLUMNS_MIN, min(columns, COLUMNS_MAX))
        rows = max(ROWS_MIN, min(rows, ROWS_MAX))
        if (columns, rows) == (self.columns, self.rows):
            return
        screen = self._screen
        # pyte drops rows at the top of a screen that shrinks; they belong into the history, and
        # come back from there when it grows.
        lost = max(0, screen.cursor.y + 1 - rows)
        back = max(0, min(rows - self.rows, len(screen.history)))
        for row in range(lost):
            screen.history.append(dict(screen.buffer[row]))
            screen.scrolled += 1
        kept = {row: dict(screen.buffer[row]) for row in range(lost, min(self.rows, lost + rows))}
        screen.buffer.clear()
        screen.lines, screen.columns = rows, columns
        for row in reversed(range(back)):
            screen.buffer[row].update(screen.history.pop())
        screen.scrolled -= back
        for row, cells in kept.items():
            if row - lost + back < rows:
                screen.buffer[row - lost + back].update(cells)
        screen.set_margins()
        screen.cursor.y += back - lost
        screen.cursor.x = min(screen.cursor.x, columns - 1)
        screen.tabstops = set(range(8, columns, 8))

    def clear(self) -> None:
        """Forget everything: another run begins."""
        self._screen.reset()
        self._screen.history.clear()
        self._stream = pyte.ByteStream(_Listener(self._screen))
        self._string_bytes = 0
        self._tail = b""

    def line(self, row: int) -> list[Char]:
        """The cells of a row, counted with the history."""
        kept = len(self._screen.history)
        cells = self._screen.history[row] if row < kept else self._screen.buffer[row - kept]
        blank = self._screen.default_char
        return [cells.get(column, blank) for column in range(self.columns)]

    def text(self, first: tuple[int, int], last: tuple[int, int]) -> str:
        """Text from one cell (row, column) up to another, without it; rows end stripped."""
        parts = []
        for row in range(first[0], min(last[0], self.total - 1) + 1):
            begin = first[1] if row == first[0] else 0
            end = last[1] if row == last[0] else self.columns
            parts.append("".join(cell.data for cell in self.line(row)[begin:end]).rstrip())
        return "\n".join(parts)

    def key_prefix(self) -> bytes:
        """What begins the sequence of a cursor key in the mode that the guest chose."""
        return b"\x1bO" if _APPLICATION_CURSOR_KEYS in self._screen.mode else b"\x1b["

    def pasted(self, text: str) -> bytes:
        """The bytes that a pasted text becomes; control characters are no text."""
        plain = text.replace("\r\n", "\n").replace("\n", "\r")
        data = "".join(item for item in plain if item in "\r\t" or item.isprintable()).encode()
        if _BRACKETED_PASTE in self._screen.mode:
            return b"\x1b[200~" + data + b"\x1b[201~"
        return data

    def _bound_strings(self, data: bytes) -> None:
        """Leave a control string (OSC, DCS, PM, APC) that goes on for ever."""
        seen = self._tail + data
        begun = max(seen.rfind(item) for item in (b"\x1b]", b"\x1bP", b"\x1b^", b"\x1b_"))
        ended = max(seen.rfind(item) for item in (b"\x07", b"\x1b\\", b"\x9c"))
        self._tail = seen[-1:]
        if begun > ended:
            self._string_bytes = len(seen) - begun
        elif ended >= 0:
            self._string_bytes = 0
        elif self._string_bytes:
            self._string_bytes += len(data)
        if self._string_bytes > CONTROL_STRING_MAX_BYTES:
            self._string_bytes = 0
            self._stream = pyte.ByteStream(_Listener(self._screen))
