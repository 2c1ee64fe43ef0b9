"""The widget of a serial terminal: paints an ``Emulation``, turns keys into bytes.

Input leaves as a signal; output comes in through ``feed``. Shift+Page Up and the wheel scroll back,
the mouse selects, Ctrl+Shift+C and Ctrl+Shift+V copy and paste.
"""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from vmwb_ui.look import fixed_font
from vmwb_ui.serial.emulation import Char, Emulation

BACKGROUND: Final = QColor("#0d1117")
FOREGROUND: Final = QColor("#d8dee6")
SELECTION: Final = QColor("#2f6690")
MARGIN: Final = 4
_COLOURS: Final[dict[str, QColor]] = {
    "black": QColor("#2b3340"),
    "red": QColor("#e0645c"),
    "green": QColor("#6cc48b"),
    "brown": QColor("#d9b34a"),
    "blue": QColor("#6aa3e0"),
    "magenta": QColor("#c489d6"),
    "cyan": QColor("#5fc3c9"),
    "white": QColor("#d8dee6"),
    "brightblack": QColor("#6c7786"),
    "brightred": QColor("#ff8a82"),
    "brightgreen": QColor("#93e6b0"),
    "brightbrown": QColor("#f2d478"),
    "brightyellow": QColor("#f2d478"),
    "brightblue": QColor("#94c4fa"),
    "brightmagenta": QColor("#e3b0f2"),
    "brightcyan": QColor("#8ee6eb"),
    "brightwhite": QColor("#ffffff"),
}
_CURSOR_KEYS: Final = {
    Qt.Key.Key_Up: b"A",
    Qt.Key.Key_Down: b"B",
    Qt.Key.Key_Right: b"C",
    Qt.Key.Key_Left: b"D",
    Qt.Key.Key_Home: b"H",
    Qt.Key.Key_End: b"F",
}
# VT220 programmer reference, table 3-3 and following; function keys as xterm sends them.
_PLAIN_KEYS: Final = {
    Qt.Key.Key_Return: b"\r",
    Qt.Key.Key_Enter: b"\r",
    Qt.Key.Key_Backspace: b"\x7f",
    Qt.Key.Key_Tab: b"\t",
    Qt.Key.Key_Backtab: b"\x1b[Z",
    Qt.Key.Key_Escape: b"\x1b",
    Qt.Key.Key_Insert: b"\x1b[2~",
    Qt.Key.Key_Delete: b"\x1b[3~",
    Qt.Key.Key_PageUp: b"\x1b[5~",
    Qt.Key.Key_PageDown: b"\x1b[6~",
    Qt.Key.Key_F1: b"\x1bOP",
    Qt.Key.Key_F2: b"\x1bOQ",
    Qt.Key.Key_F3: b"\x1bOR",
    Qt.Key.Key_F4: b"\x1bOS",
    Qt.Key.Key_F5: b"\x1b[15~",
    Qt.Key.Key_F6: b"\x1b[17~",
    Qt.Key.Key_F7: b"\x1b[18~",
    Qt.Key.Key_F8: b"\x1b[19~",
    Qt.Key.Key_F9: b"\x1b[20~",
    Qt.Key.Key_F10: b"\x1b[21~",
    Qt.Key.Key_F11: b"\x1b[23~",
    Qt.Key.Key_F12: b"\x1b[24~",
}
_CTRL: Final = Qt.KeyboardModifier.ControlModifier
_SHIFT: Final = Qt.KeyboardModifier.ShiftModifier
_ALT: Final = Qt.KeyboardModifier.AltModifier


class TerminalView(QAbstractScrollArea):
    """A terminal. ``typed`` carries bytes for the guest's serial port."""

    typed = Signal(bytes)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("terminal")
        self.setAccessibleName(self.tr("Serial terminal"))
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.verticalScrollBar().setAccessibleName(self.tr("Scroll through the output"))
        self.horizontalScrollBar().setAccessibleName(self.tr("Scroll sideways"))
        self.viewport().setCursor(Qt.CursorShape.IBeamCursor)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.emulation = Emulation(self._answer)
        self._takes_input = False
        self._at_end = True
        self._anchor: tuple[int, int] | None = None
        self._selected: tuple[tuple[int, int], tuple[int, int]] | None = None
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(16)
        self._refresh.timeout.connect(self._show_new)
        self.setFont(fixed_font())
        self._measure()
        self.verticalScrollBar().valueChanged.connect(self._scrolled)

    # ------------------------------------------------------------------ in and out

    def feed(self, data: bytes) -> None:
        """Take output of the guest; it is painted at most once per refresh of the display."""
        before = self.emulation.total
        scrolled = self.emulation.scrolled
        self.emulation.feed(data)
        # A full history loses its first rows: what is selected moves up with the text.
        lost = (self.emulation.scrolled - scrolled) - (self.emulation.total - before)
        if lost > 0:
            self._clear_selection()
        if not self._refresh.isActive():
            self._refresh.start()

    def clear(self) -> None:
        """Begin anew: another run."""
        self.emulation.clear()
        self._clear_selection()
        self._at_end = True
        self._show_new()

    def set_takes_input(self, takes: bool) -> None:
        """Say whether the port can take input now."""
        self._takes_input = takes
        self.viewport().update()

    def selected_text(self) -> str:
        """The selected text, or nothing."""
        return "" if self._selected is None else self.emulation.text(*self._selected)

    def _answer(self, data: bytes) -> None:
        if self._takes_input:
            self.typed.emit(data)

    def _type(self, data: bytes) -> None:
        if not self._takes_input or not data:
            return
        self._clear_selection()
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())
        self.typed.emit(data)

    # ------------------------------------------------------------------ Qt's events

    def event(self, event: QEvent) -> bool:
        """Keep Ctrl with a letter, and Tab, for the guest: a terminal needs them."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            if self._takes_input and plain in {_CTRL, Qt.KeyboardModifier.NoModifier, _SHIFT}:
                event.accept()
                return True
        return super().event(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Leave Tab to the guest while it can take it."""
        return False if self._takes_input else super().focusNextPrevChild(forward)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Turn a key into bytes, or scroll, copy and paste."""
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        key = event.key()
        if modifiers == _CTRL | _SHIFT and key == Qt.Key.Key_C:
            self._copy()
        elif modifiers == _CTRL | _SHIFT and key == Qt.Key.Key_V:
            self._paste()
        elif modifiers == _SHIFT and key in {Qt.Key.Key_PageUp, Qt.Key.Key_PageDown}:
            bar = self.verticalScrollBar()
            step = bar.pageStep() if key == Qt.Key.Key_PageDown else -bar.pageStep()
            bar.setValue(bar.value() + step)
        else:
            data = self._bytes_of(event, modifiers)
            if data is None:
                event.ignore()
                return
            self._type(data)
        event.accept()

    def _bytes_of(self, event: QKeyEvent, modifiers: Qt.KeyboardModifier) -> bytes | None:
        key = event.key()
        if key in _CURSOR_KEYS:
            return self.emulation.key_prefix() + _CURSOR_KEYS[key]  # type: ignore[index]
        if key in _PLAIN_KEYS:
            return _PLAIN_KEYS[key]  # type: ignore[index]
        if modifiers == _CTRL and 0x40 <= key <= 0x5F:
            return bytes([key & 0x1F])
        text = event.text()
        if not text:
            return None
        return (b"\x1b" if modifiers & _ALT else b"") + text.encode()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a selection."""
        if event.button() is Qt.MouseButton.LeftButton:
            self._clear_selection()
            self._anchor = self._cell_at(event.position())
        elif event.button() is Qt.MouseButton.MiddleButton:
            self._paste(selection=True)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Extend the selection."""
        if self._anchor is not None:
            here = self._cell_at(event.position())
            first, last = sorted((self._anchor, here))
            self._selected = (first, last) if first != last else None
            self.viewport().update()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """End the selection."""
        self._anchor = None

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit rows and columns to the widget."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Measure anew with another font."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange and hasattr(self, "emulation"):
            self._measure()
            self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the rows that can be seen."""
        painter = QPainter(self.viewport())
        painter.fillRect(event.rect(), BACKGROUND)
        painter.setFont(self.font())
        painter.translate(MARGIN - self.horizontalScrollBar().value(), MARGIN)
        first = self.verticalScrollBar().value()
        for row in range(first, min(first + self.emulation.rows, self.emulation.total)):
            self._paint_row(painter, row, (row - first) * self._cell_height)
        self._paint_cursor(painter, first)

    # ------------------------------------------------------------------ painting

    def _paint_row(self, painter: QPainter, row: int, top: float) -> None:
        cells = self.emulation.line(row)
        begin = 0
        while begin < len(cells):
            end = begin + 1
            look = cells[begin][1:]
            selected = self._is_selected(row, begin)
            # Only ASCII is sure to be as wide as its cell: anything else is painted cell by cell.
            if cells[begin].data.isascii():
                while (
                    end < len(cells)
                    and cells[end][1:] == look
                    and cells[end].data.isascii()
                    and self._is_selected(row, end) == selected
                ):
                    end += 1
            self._paint_run(painter, cells[begin:end], begin, top, selected)
            begin = end

    def _paint_run(
        self, painter: QPainter, cells: list[Char], column: int, top: float, selected: bool
    ) -> None:
        cell = cells[0]
        front, back = _colour(cell.fg, cell.bold, FOREGROUND), _colour(cell.bg, False, BACKGROUND)
        if cell.reverse:
            front, back = back, front
        if selected:
            back = SELECTION
        left, width = column * self._cell_width, len(cells) * self._cell_width
        if back is not BACKGROUND:
            painter.fillRect(QRectF(left, top, width, self._cell_height), back)
        text = "".join(item.data for item in cells)
        if text.strip():
            painter.setFont(self._bold if cell.bold else self.font())
            painter.setPen(front)
            painter.drawText(QPointF(left, top + self._ascent), text)
        if cell.underscore:
            y = top + self._ascent + 1.5
            painter.setPen(front)
            painter.drawLine(QPointF(left, y), QPointF(left + width, y))

    def _paint_cursor(self, painter: QPainter, first: int) -> None:
        cursor = self.emulation.cursor
        if cursor is None or not self._takes_input:
            return
        place = QRectF(
            cursor[1] * self._cell_width,
            (cursor[0] - first) * self._cell_height,
            self._cell_width,
            self._cell_height,
        )
        if self.hasFocus():
            painter.fillRect(place, FOREGROUND)
            painter.setPen(BACKGROUND)
            character = self.emulation.line(cursor[0])[cursor[1]].data
            painter.drawText(QPointF(place.left(), place.top() + self._ascent), character)
        else:
            painter.setPen(FOREGROUND)
            painter.drawRect(place.adjusted(0.5, 0.5, -0.5, -0.5))

    # ------------------------------------------------------------------ inside

    def _measure(self) -> None:
        metrics = QFontMetricsF(self.font())
        self._cell_width = metrics.horizontalAdvance("M")
        self._cell_height = float(round(metrics.height()))
        self._ascent = metrics.ascent()
        self._bold = QFont(self.font())
        self._bold.setBold(True)

    def _fit(self) -> None:
        size = self.viewport().size()
        self.emulation.resize(
            int((size.width() - 2 * MARGIN) / self._cell_width),
            int((size.height() - 2 * MARGIN) / self._cell_height),
        )
        self._clear_selection()
        self._show_new()

    def _show_new(self) -> None:
        bar = self.verticalScrollBar()
        at_end = self._at_end
        bar.setPageStep(self.emulation.rows)
        bar.setRange(0, self.emulation.total - self.emulation.rows)
        if at_end:
            bar.setValue(bar.maximum())
        needed = round(self.emulation.columns * self._cell_width) + 2 * MARGIN
        self.horizontalScrollBar().setRange(0, max(0, needed - self.viewport().width()))
        self.horizontalScrollBar().setPageStep(self.viewport().width())
        self.viewport().update()

    def _scrolled(self, value: int) -> None:
        self._at_end = value == self.verticalScrollBar().maximum()
        self.viewport().update()

    def _cell_at(self, position: QPointF) -> tuple[int, int]:
        x = position.x() - MARGIN + self.horizontalScrollBar().value()
        row = int((position.y() - MARGIN) // self._cell_height) + self.verticalScrollBar().value()
        column = round(x / self._cell_width)
        return (
            max(0, min(row, self.emulation.total - 1)),
            max(0, min(column, self.emulation.columns)),
        )

    def _is_selected(self, row: int, column: int) -> bool:
        return self._selected is not None and self._selected[0] <= (row, column) < self._selected[1]

    def _clear_selection(self) -> None:
        if self._selected is not None:
            self._selected = None
            self.viewport().update()

    def _copy(self) -> None:
        if text := self.selected_text():
            QGuiApplication.clipboard().setText(text)

    def _paste(self, *, selection: bool = False) -> None:
        clipboard = QGuiApplication.clipboard()
        mode = clipboard.Mode.Selection if selection else clipboard.Mode.Clipboard
        self._type(self.emulation.pasted(clipboard.text(mode)))


def _colour(name: str, bold: bool, default: QColor) -> QColor:
    """Pyte names 16 colours and gives the others as six hexadecimal digits."""
    if name == "default":
        return default
    if bold and f"bright{name}" in _COLOURS:
        return _COLOURS[f"bright{name}"]
    known = _COLOURS.get(name)
    if known is not None:
        return known
    colour = QColor(f"#{name}")
    return colour if colour.isValid() else default
