"""A window with nothing in it but one machine's screen, on the whole screen of the host."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMainWindow, QWidget


class FullScreen:
    """Puts away what is beside the screen, and brings it back as it was."""

    def __init__(self, window: QMainWindow) -> None:
        self._window = window
        self._hidden: list[QWidget] = []
        self._state = Qt.WindowState.WindowNoState
        self.active = False

    def enter(self, beside: Sequence[QWidget]) -> None:
        """Hide the widgets and fill the host's screen."""
        self.active = True
        self._state = self._window.windowState()
        self._hidden = [widget for widget in beside if not widget.isHidden()]
        for widget in self._hidden:
            widget.hide()
        self._window.setWindowState(self._state | Qt.WindowState.WindowFullScreen)

    def leave(self) -> None:
        """Be the window again that it was; idempotent."""
        if not self.active:
            return
        self.active = False
        self._window.setWindowState(self._state)
        for widget in self._hidden:
            widget.show()
        self._hidden.clear()
