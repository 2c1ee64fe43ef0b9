"""The widget of a machine's screen: draws the picture, takes the keyboard and the mouse.

It looks at the shared memory at the rate of the display it is on, and repaints when something was
published. It sends nothing itself: movements of keys and of the pointer leave as signals.

A guest that takes places of the pointer is told them whenever the pointer is over the picture. For
one that takes movements the mouse is grabbed together with the keyboard, and let go with it.
"""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QCursor,
    QFocusEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from vmwb.model.errors import ProtocolError
from vmwb.model.keyboard import KeyPress
from vmwb.services.types import Motion, Place
from vmwb_ui.console.grab import KeyboardGrab
from vmwb_ui.console.keymap import code_of
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.pointer import LEFT, MIDDLE, RIGHT, Step, Travel, Wheel, place_of
from vmwb_ui.errors import error_text

BACKGROUND: Final = QColor("#0d1117")
REFRESH_HZ_DEFAULT: Final = 60.0
REFRESH_HZ_MAX: Final = 120.0
# A screen on which nothing moves is looked at less often, until it moves again or a key is pressed.
IDLE_HZ: Final = 20.0
IDLE_LOOKS: Final = 60
# The hint is in front of the guest's picture, where desktops have their bars.
HINT_MS: Final = 4000
BUTTONS: Final = {
    Qt.MouseButton.LeftButton: LEFT,
    Qt.MouseButton.RightButton: RIGHT,
    Qt.MouseButton.MiddleButton: MIDDLE,
}


class ScreenView(QWidget):
    """Shows a ``Picture``, grabs keyboard and mouse. The picture stays its owner's."""

    key_moved = Signal(object)
    pointer_moved = Signal(object)
    grab_changed = Signal(bool)
    full_screen_wanted = Signal()
    failed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture: Picture | None = None
        self._takes_input = False
        self._idle_looks = 0
        self._grab = KeyboardGrab(self._send, self.full_screen_wanted.emit)
        self._takes_places = False
        self._travel: Travel | None = None
        self._buttons = 0
        self._place = Place(0, 0)
        self._wheel = Wheel()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self.setObjectName("screen")
        self.setAccessibleName(self.tr("Screen of the machine"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._hint = QLabel(self)
        self._hint.setObjectName("grab")
        self._hint.setAccessibleName(self.tr("Who has the keyboard"))
        self._hint.hide()
        self._hint_timer = QTimer(self)
        self._hint_timer.setSingleShot(True)
        self._hint_timer.setInterval(HINT_MS)
        self._hint_timer.timeout.connect(self._hint.hide)
        self.setMouseTracking(True)

    # ------------------------------------------------------------------ what is shown

    def show_picture(self, picture: Picture | None) -> None:
        """Show another picture, or none; the one before is let go of."""
        self._picture = picture
        if picture is None:
            self._timer.stop()
        elif self.isVisible():
            self._watch()
        self.look()
        self.update()

    def set_takes_input(self, takes: bool) -> None:
        """Say whether the machine can take keys now; if not, the keyboard is free."""
        self._takes_input = takes
        if not takes:
            self.release_keyboard()

    def set_takes_places(self, takes: bool) -> None:
        """Say whether the guest takes places of the pointer; the mouse is not grabbed then."""
        if takes != self._takes_places:
            self._takes_places = takes
            self._let_mouse_go()
            self._grab_told()

    def look(self) -> None:
        """Repaint if something new was published."""
        if self._picture is None:
            return
        try:
            if self._picture.refresh():
                self.update()
                self._hurry()
            else:
                self._idle_looks += 1
                if self._idle_looks == IDLE_LOOKS:
                    self._timer.setInterval(round(1000 / IDLE_HZ))
        except ProtocolError as error:
            self._picture = None
            self._timer.stop()
            self.update()
            self.failed.emit(error_text(error))

    def target(self) -> QRect:
        """Where the picture is drawn, in the widget's coordinates."""
        image = None if self._picture is None else self._picture.image
        if image is None:
            return QRect()
        ratio = self.devicePixelRatioF()
        width, height = self.width() * ratio, self.height() * ratio
        scale = min(width / image.width(), height / image.height())
        if scale >= 1:
            scale = float(int(scale))
        size = QSize(
            max(1, round(image.width() * scale / ratio)),
            max(1, round(image.height() * scale / ratio)),
        )
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(self.rect().center())
        return place

    # ------------------------------------------------------------------ the keyboard

    @property
    def grabbed(self) -> bool:
        """Whether the machine has the keyboard."""
        return self._grab.grabbed

    @property
    def mouse_grabbed(self) -> bool:
        """Whether the machine has the mouse for itself."""
        return self._travel is not None

    def take_keyboard(self) -> None:
        """Give the keyboard to the machine, if it can take keys, and the mouse if it has to be."""
        if not self._takes_input or (self._grab.grabbed and (self._takes_places or self._travel)):
            return
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self._grab.take()
        self.grabKeyboard()
        if not self._takes_places:
            self.grabMouse()
            at = QCursor.pos()
            self._travel = Travel(at.x(), at.y())
        self._grab_told()

    def tell_way_out(self) -> None:
        """Say again who has the keyboard and what ends that: the window has become another."""
        if self._grab.grabbed:
            self._grab_told()

    def release_keyboard(self) -> None:
        """Take the keyboard back; keys that are down go up in the machine."""
        if self._grab.grabbed:
            self._grab.release()
            self._let_go()

    def _let_go(self) -> None:
        self.releaseKeyboard()
        self._let_mouse_go()
        self._grab_told()

    def _let_mouse_go(self) -> None:
        if self._buttons:
            self._buttons = 0
            self._point(Motion(0, 0) if self._travel is not None else self._place)
        if self._travel is not None:
            self._travel = None
            self.releaseMouse()

    def _grab_told(self) -> None:
        if self._grab.grabbed:
            self.setCursor(Qt.CursorShape.BlankCursor)
        else:
            self.unsetCursor()
        hint = (
            self.tr("The machine has keyboard and mouse: Ctrl+Alt gives them back")
            if self._travel is not None
            else self.tr("The machine has the keyboard: Ctrl+Alt gives it back")
        )
        if self.window().isFullScreen():
            way_out = self.tr("Ctrl+Alt+Enter ends the full screen")
            hint = f"{hint}. {way_out}"
        self._hint.setText(hint)
        self._hint.setVisible(self._grab.grabbed)
        self._hint_timer.start()
        self._place_hint()
        self.grab_changed.emit(self._grab.grabbed)

    def _place_hint(self) -> None:
        self._hint.adjustSize()
        self._hint.move(max(0, (self.width() - self._hint.width()) // 2), 0)

    def _send(self, press: KeyPress) -> None:
        self._hurry()
        self.key_moved.emit(press)

    def _key(self, event: QKeyEvent, *, down: bool) -> None:
        if not self._grab.grabbed:
            event.ignore()
            return
        event.accept()
        if event.isAutoRepeat() and not down:
            # X11 repeats a key as release and press; a PC keyboard only repeats the press.
            return
        code = code_of(event.nativeScanCode(), event.key())
        if code is None:
            return
        self._grab.key(code, down)
        if not self._grab.grabbed:
            self._let_go()

    # ------------------------------------------------------------------ the pointer

    def _point(self, place: Place | Motion, wheel: int = 0) -> None:
        self._hurry()
        self.pointer_moved.emit(Step(place, wheel, self._buttons))

    def _place_at(self, event: QMouseEvent | QWheelEvent) -> Place:
        target, at = self.target(), event.position()
        self._place = place_of(
            at.x() - target.left(), at.y() - target.top(), target.width(), target.height()
        )
        return self._place

    def _travelled(self, at: QPoint, travel: Travel) -> None:
        motion = travel.moved(at.x(), at.y())
        if motion != Motion(0, 0):
            self._point(motion)
        middle = self.mapToGlobal(self.rect().center())
        away = at - middle
        if abs(away.x()) > self.width() // 4 or abs(away.y()) > self.height() // 4:
            QCursor.setPos(middle)
            # Where the host does not let programs move the cursor, it has not moved.
            if QCursor.pos() == middle:
                travel.jumped(middle.x(), middle.y())

    def _button(self, event: QMouseEvent, *, down: bool) -> None:
        bit = BUTTONS.get(event.button(), 0)
        buttons = self._buttons | bit if down else self._buttons & ~bit
        if buttons == self._buttons:
            return
        self._buttons = buttons
        self._point(Motion(0, 0) if self._travel is not None else self._place_at(event))

    @property
    def _points(self) -> bool:
        """Whether the pointer is the machine's now."""
        shown = self._picture is not None and self._picture.image is not None
        return self._takes_input and (self._travel is not None or (self._takes_places and shown))

    # ------------------------------------------------------------------ Qt's events

    def event(self, event: QEvent) -> bool:
        """Keep shortcuts of the window from taking keys that are the machine's."""
        if event.type() == QEvent.Type.ShortcutOverride and self._grab.grabbed:
            event.accept()
            return True
        return super().event(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Leave Tab to the machine while it has the keyboard."""
        return False if self._grab.grabbed else super().focusNextPrevChild(forward)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Send a key down."""
        self._key(event, down=True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Send a key up."""
        self._key(event, down=False)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Grab keyboard and mouse on a click; one that grabs the mouse is not the machine's."""
        ours = self._points
        self.take_keyboard()
        if ours:
            self._button(event, down=True)
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Press the button again: what two clicks mean is the guest's business."""
        self.mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let a button of the machine's go."""
        if self._points:
            self._button(event, down=False)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the machine's pointer."""
        if self._travel is not None:
            self._travelled(event.globalPosition().toPoint(), self._travel)
        elif self._points:
            self._point(self._place_at(event))
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn the machine's wheel."""
        if self._points:
            steps = self._wheel.turned(event.angleDelta().y())
            if steps:
                self._point(
                    Motion(0, 0) if self._travel is not None else self._place_at(event), steps
                )
        event.accept()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Let the keyboard go with the focus: nothing stays pressed in the machine."""
        self.release_keyboard()
        super().focusOutEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to look at the shared memory."""
        super().showEvent(event)
        if self._picture is not None:
            self._watch()
            self.look()

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop looking while nobody sees it."""
        self._timer.stop()
        self.release_keyboard()
        super().hideEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Let the keyboard go."""
        self.release_keyboard()
        super().closeEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the hint in the middle."""
        super().resizeEvent(event)
        self._place_hint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, sharp where it fits a whole number of times."""
        painter = QPainter(self)
        painter.fillRect(event.rect(), BACKGROUND)
        image = None if self._picture is None else self._picture.image
        if image is None:
            return
        target = self.target()
        shrunk = target.width() * self.devicePixelRatioF() < image.width()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrunk)
        painter.drawImage(QRectF(target), image, QRectF(image.rect()))

    def _watch(self) -> None:
        self._idle_looks = 0
        self._timer.start(self._interval_ms())

    def _hurry(self) -> None:
        if self._idle_looks >= IDLE_LOOKS:
            self._timer.setInterval(self._interval_ms())
        self._idle_looks = 0

    def _interval_ms(self) -> int:
        screen = self.screen()
        rate = screen.refreshRate() if screen is not None else REFRESH_HZ_DEFAULT
        hertz = min(REFRESH_HZ_MAX, rate) if rate >= 1 else REFRESH_HZ_DEFAULT
        return round(1000 / hertz)
