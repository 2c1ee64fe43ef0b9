"""How the workbench looks: palette, style sheet, icons in the palette's colours, state dots."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from PySide6.QtCore import QByteArray, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication

from vmwb.model.power import PowerState
from vmwb.resources import resource_path

ICON_SIZE: Final = 20
_TINT: Final = re.compile(r"currentColor")
_LIGHT: Final[dict[QPalette.ColorRole, str]] = {
    QPalette.ColorRole.Window: "#f3f5f8",
    QPalette.ColorRole.WindowText: "#1c2430",
    QPalette.ColorRole.Base: "#ffffff",
    QPalette.ColorRole.AlternateBase: "#eef1f5",
    QPalette.ColorRole.Text: "#1c2430",
    QPalette.ColorRole.Button: "#e8ecf1",
    QPalette.ColorRole.ButtonText: "#1c2430",
    QPalette.ColorRole.Highlight: "#2f6690",
    QPalette.ColorRole.HighlightedText: "#ffffff",
    QPalette.ColorRole.PlaceholderText: "#6c7786",
    QPalette.ColorRole.ToolTipBase: "#23395b",
    QPalette.ColorRole.ToolTipText: "#ffffff",
    QPalette.ColorRole.Link: "#2f6690",
}
_DARK: Final[dict[QPalette.ColorRole, str]] = {
    QPalette.ColorRole.Window: "#1d232c",
    QPalette.ColorRole.WindowText: "#e3e8ef",
    QPalette.ColorRole.Base: "#151a21",
    QPalette.ColorRole.AlternateBase: "#1a2029",
    QPalette.ColorRole.Text: "#e3e8ef",
    QPalette.ColorRole.Button: "#2a323e",
    QPalette.ColorRole.ButtonText: "#e3e8ef",
    QPalette.ColorRole.Highlight: "#3a7ca5",
    QPalette.ColorRole.HighlightedText: "#ffffff",
    QPalette.ColorRole.PlaceholderText: "#8a95a5",
    QPalette.ColorRole.ToolTipBase: "#2a323e",
    QPalette.ColorRole.ToolTipText: "#e3e8ef",
    QPalette.ColorRole.Link: "#7fb7d9",
}
_DISABLED: Final = {False: "#9aa3af", True: "#66707e"}
_STATE_COLOURS: Final[dict[PowerState, str]] = {
    PowerState.OFF: "#9aa3af",
    PowerState.RUNNING: "#2e9e5b",
    PowerState.PAUSED: "#d99a1c",
    PowerState.SUSPENDED: "#3a7ca5",
    PowerState.CRASHED: "#c8413b",
}
_TRANSIENT_COLOUR: Final = "#7ab8a0"


def apply_look(app: QApplication) -> None:
    """Give the application its style, palette and style sheet."""
    app.setStyle("Fusion")
    dark = app.styleHints().colorScheme() is Qt.ColorScheme.Dark
    app.setPalette(palette(dark=dark))
    sheet = files("vmwb_ui") / "themes" / "workbench.qss"
    app.setStyleSheet(sheet.read_text(encoding="utf-8"))


def palette(*, dark: bool) -> QPalette:
    """The colours of the workbench for a light or dark desktop."""
    made = QPalette()
    for role, colour in (_DARK if dark else _LIGHT).items():
        made.setColor(role, QColor(colour))
    for role in (
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
    ):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DISABLED[dark]))
    return made


def fixed_font() -> QFont:
    """The font of terminals and logs."""
    return QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)


def icon(name: str) -> QIcon:
    """An icon of ours, in the colours of the application's palette; greyed when disabled."""
    if not name:
        return QIcon()
    colours = QApplication.palette()
    made = QIcon()
    for mode, group in (
        (QIcon.Mode.Normal, QPalette.ColorGroup.Active),
        (QIcon.Mode.Disabled, QPalette.ColorGroup.Disabled),
    ):
        colour = colours.color(group, QPalette.ColorRole.ButtonText)
        for scale in (1, 2):
            pixmap = _rendered(name, colour.name(), scale)
            made.addPixmap(pixmap if mode is QIcon.Mode.Normal else _faded(pixmap), mode)
    return made


def state_icon(state: PowerState) -> QIcon:
    """A screen with a dot in the colour of a power state."""
    colours = QApplication.palette()
    plain = colours.color(QPalette.ColorRole.Text).name()
    return _state_icon(state, plain, colours.color(QPalette.ColorRole.HighlightedText).name())


def state_colour(state: PowerState) -> QColor:
    """The colour of a power state."""
    return QColor(_STATE_COLOURS.get(state, _TRANSIENT_COLOUR))


@cache
def _state_icon(state: PowerState, plain: str, selected: str) -> QIcon:
    made = QIcon()
    for colour, mode in ((plain, QIcon.Mode.Normal), (selected, QIcon.Mode.Selected)):
        for scale in (1, 2):
            pixmap = QPixmap(_rendered("machine", colour, scale))
            painter = QPainter(pixmap)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(state_colour(state))
            painter.drawEllipse(QPointF(ICON_SIZE * 0.76, ICON_SIZE * 0.72), 4.6, 4.6)
            painter.end()
            made.addPixmap(pixmap, mode)
    return made


def _faded(source: QPixmap) -> QPixmap:
    """What belongs to a button that cannot be pressed, also if an icon has own colours."""
    made = QPixmap(source.size())
    made.setDevicePixelRatio(source.devicePixelRatio())
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setOpacity(0.4)
    painter.drawPixmap(0, 0, source)
    painter.end()
    return made


@cache
def _rendered(name: str, colour: str, scale: int) -> QPixmap:
    """Draw one of our SVG files; ``currentColor`` in it stands for the palette's."""
    from PySide6.QtSvg import QSvgRenderer

    source = _TINT.sub(colour, resource_path(f"icons/{name}.svg").read_text(encoding="utf-8"))
    renderer = QSvgRenderer(QByteArray(source.encode()))
    pixmap = QPixmap(QSize(ICON_SIZE, ICON_SIZE) * scale)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(pixmap.rect()))
    painter.end()
    pixmap.setDevicePixelRatio(scale)
    return pixmap
