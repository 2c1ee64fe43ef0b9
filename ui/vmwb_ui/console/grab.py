"""Who has the keyboard: the host or the guest. Pure logic; the widget feeds it.

::

    free --take()--> grabbed --Ctrl+Alt let go, release(), focus lost--> free

While grabbed all keys go to the guest. Ctrl and Alt pressed together with nothing between, then let
go, give the keyboard back; with another key between they are the guest's (Ctrl+Alt+F2).
Ctrl+Alt+Ins becomes Ctrl+Alt+Del, and Ctrl+Alt+Enter is the window's: full screen. Whatever is down
when the grab ends goes up in the guest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmwb.model.keyboard import KEY_NAMES, PAUSE, KeyPress

CTRL: Final = frozenset({KEY_NAMES["ctrl"], KEY_NAMES["rctrl"]})
ALT: Final = frozenset({KEY_NAMES["alt"], KEY_NAMES["altgr"]})
ENTER: Final = frozenset({KEY_NAMES["enter"], KEY_NAMES["kp-enter"]})


def _nothing() -> None:
    pass


class KeyboardGrab:
    """The grab of one screen. ``send`` takes each key movement for the guest, in order.

    ``full_screen`` is called when Ctrl+Alt+Enter was pressed, of which the guest gets no Enter.
    """

    def __init__(
        self, send: Callable[[KeyPress], None], full_screen: Callable[[], None] = _nothing
    ) -> None:
        self._send = send
        self._full_screen = full_screen
        self._grabbed = False
        # Host code -> the code that the guest was told, in the order of pressing.
        self._held: dict[int, int] = {}
        self._leaving = False
        # The key of the window's chord, as long as it is down.
        self._kept: int | None = None

    @property
    def grabbed(self) -> bool:
        """Whether keys go to the guest."""
        return self._grabbed

    @property
    def held(self) -> tuple[int, ...]:
        """Codes that are down in the guest."""
        return tuple(self._held.values())

    def take(self) -> None:
        """Give the keyboard to the guest."""
        self._grabbed = True

    def release(self) -> None:
        """Take the keyboard back; every key that is down goes up, last first."""
        self._grabbed = False
        self._leaving = False
        self._kept = None
        for code in reversed(self._held.values()):
            self._send(KeyPress(code, False))
        self._held.clear()

    def key(self, code: int, down: bool) -> None:
        """Move a key of the host. Ignored while the keyboard is free.

        A key that is down already and goes down again is the host's typematic repeat; a PC
        keyboard repeats the make code, so the guest is told again; but for Pause, which it does not
        repeat.
        """
        if not self._grabbed:
            return
        if down:
            self._press(code)
        elif code == self._kept:
            self._kept = None
        elif code in self._held:
            if self._leaving and code in CTRL | ALT:
                self.release()
                return
            self._send(KeyPress(self._held.pop(code), False))

    def _press(self, code: int) -> None:
        if code == self._kept:
            return
        if self._leaving and code in ENTER:
            self._leaving = False
            self._kept = code
            self._full_screen()
            return
        repeated = code in self._held
        if repeated and code == PAUSE:
            return
        if not repeated:
            self._held[code] = self._told(code)
        self._send(KeyPress(self._held[code], True))
        if not repeated:
            down = set(self._held)
            self._leaving = bool(down & CTRL) and bool(down & ALT) and down <= CTRL | ALT

    def _told(self, code: int) -> int:
        down = set(self._held)
        if code == KEY_NAMES["insert"] and down & CTRL and down & ALT:
            return KEY_NAMES["delete"]
        return code
