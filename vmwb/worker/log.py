"""The worker's log: lines on standard error, which is the bundle's log file."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

LINE_MAX: Final = 2000
_STANDARD_ERROR: Final = 2
CORE_LINES_MAX: Final = 20_000


class Log:
    """Writes lines with time and level. Lines of the core are bounded: a guest can cause them."""

    def __init__(self) -> None:
        self._core_lines = 0

    def write(self, level: str, message: str) -> None:
        """Write one line; line breaks and other control characters become spaces."""
        clean = "".join(letter if letter.isprintable() else " " for letter in message[:LINE_MAX])
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = f"{now} {level:5} {clean}\n".encode(errors="replace")
        # Straight to the descriptor, and without a word when the disk is full: a machine runs on
        # without its log.
        with contextlib.suppress(OSError):
            os.write(_STANDARD_ERROR, line)

    def core(self, level: str, message: str) -> None:
        """Write a line of the core, up to a bound per power-on."""
        self._core_lines += 1
        if self._core_lines <= CORE_LINES_MAX:
            self.write(level, message)
        elif self._core_lines == CORE_LINES_MAX + 1:
            self.write("warn", "The core says more than is kept: further lines are left out.")
