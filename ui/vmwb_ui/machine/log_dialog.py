"""The dialog with the last lines of a machine's log."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from vmwb_ui.look import fixed_font


class LogDialog(QDialog):
    """Shows a text; ``refresh_wanted`` asks for a newer one."""

    refresh_wanted = Signal()

    def __init__(self, machine: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("log")
        self.setWindowTitle(self.tr("Log of {machine}").format(machine=machine))
        self.setAccessibleName(self.windowTitle())
        self.resize(820, 480)
        self._text = QPlainTextEdit(self)
        self._text.setReadOnly(True)
        self._text.setFont(fixed_font())
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.setAccessibleName(self.windowTitle())
        buttons = QDialogButtonBox(self)
        refresh = buttons.addButton(self.tr("Refresh"), QDialogButtonBox.ButtonRole.ActionRole)
        close = buttons.addButton(QDialogButtonBox.StandardButton.Close)
        for button in (refresh, close):
            button.setAccessibleName(button.text().replace("&", ""))
        refresh.clicked.connect(self.refresh_wanted)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self._text)
        layout.addWidget(buttons)

    def show_text(self, text: str) -> None:
        """Show the log's end."""
        self._text.setPlainText(text or self.tr("The log is empty."))
        bar = self._text.verticalScrollBar()
        bar.setValue(bar.maximum())
