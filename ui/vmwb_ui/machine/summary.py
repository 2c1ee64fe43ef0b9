"""The summary page of a machine: what can be done, its settings as text, why it crashed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from vmwb.model.power import PowerState
from vmwb.services.types import MachineSummary
from vmwb_ui import texts
from vmwb_ui.actions import ACTIONS, Command
from vmwb_ui.errors import problem_text
from vmwb_ui.look import fixed_font, icon

LOG_HEIGHT = 190


class SummaryPage(QScrollArea):
    """Renders one machine; ``wanted`` carries the ``Command`` of a button."""

    wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(self.tr("Summary"))
        page = QWidget(self)
        page.setAccessibleName(self.tr("Summary"))
        self._title = self._label("title")
        self._state = self._label("state")
        self._start = QPushButton(page)
        self._start.setObjectName("start")
        self._start.setAccessibleName(self.tr("Start this machine"))
        self._start.clicked.connect(self._start_clicked)
        self._command = Command.START
        self._crash = self._make_crash()
        self._heading = self._label("heading")
        self._heading.setText(self.tr("Settings"))
        self._form = QFormLayout()
        self._form.setHorizontalSpacing(24)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows: tuple[tuple[str, str], ...] = ()
        buttons = QHBoxLayout()
        buttons.addWidget(self._start)
        buttons.addStretch(1)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(28, 22, 28, 22)
        layout.setSpacing(10)
        layout.addWidget(self._title)
        layout.addWidget(self._state)
        layout.addLayout(buttons)
        layout.addWidget(self._crash)
        layout.addWidget(self._heading)
        layout.addLayout(self._form)
        layout.addStretch(1)
        self.setWidget(page)

    def render(self, summary: MachineSummary, log_tail: str) -> None:
        """Show a machine; the whole state each time."""
        self._title.setText(summary.name)
        self._title.setAccessibleName(summary.name)
        state = texts.state_text(summary.state)
        self._state.setText(self.tr("This machine is {state}.").format(state=state))
        self._state.setAccessibleName(self._state.text())
        self._render_start(summary.state)
        problem = ""
        if summary.problem is not None:
            problem = problem_text(summary.problem_code, summary.problem, summary.problem_facts)
        self._render_problem(problem, log_tail)
        rows = () if summary.config is None else texts.settings_rows(summary.config)
        rows += ((self.tr("Folder"), str(summary.path)),)
        if rows != self._rows:
            self._rows = rows
            self._render_rows()

    def _render_start(self, state: PowerState) -> None:
        choices = (Command.START, Command.RESUME, Command.UNPAUSE)
        possible = [command for command in choices if ACTIONS[command].enabled_when(state)]
        self._start.setVisible(bool(possible))
        if not possible:
            return
        self._command = possible[0]
        crashed = state is PowerState.CRASHED
        words = {
            Command.START: self.tr("Start again") if crashed else self.tr("Start this machine"),
            Command.RESUME: self.tr("Resume this machine"),
            Command.UNPAUSE: self.tr("Let it run on"),
        }
        self._start.setText(words[self._command])
        self._start.setAccessibleName(words[self._command])
        if self._start.icon().isNull():
            self._start.setIcon(icon("start"))

    def _render_problem(self, problem: str, log_tail: str) -> None:
        self._crash.setVisible(bool(problem))
        self._sentence.setText(problem)
        self._sentence.setAccessibleName(problem or self.tr("No problem"))
        self._log.setVisible(bool(log_tail))
        if self._log.toPlainText() != log_tail:
            self._log.setPlainText(log_tail)
            bar = self._log.verticalScrollBar()
            bar.setValue(bar.maximum())

    def _render_rows(self) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)
        for title, value in self._rows:
            name, text = QLabel(title, self), QLabel(value, self)
            text.setWordWrap(True)
            text.setTextFormat(Qt.TextFormat.PlainText)
            text.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse
                | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
            name.setAccessibleName(title)
            text.setAccessibleName(f"{title}: {value}")
            self._form.addRow(name, text)

    def _make_crash(self) -> QFrame:
        frame = QFrame(self)
        frame.setObjectName("crash")
        frame.setAccessibleName(self.tr("What went wrong"))
        self._sentence = self._label("sentence")
        self._sentence.setWordWrap(True)
        self._log = QPlainTextEdit(frame)
        self._log.setReadOnly(True)
        self._log.setFont(fixed_font())
        self._log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._log.setAccessibleName(self.tr("Last lines of the log"))
        self._log.setFixedHeight(LOG_HEIGHT)
        layout = QVBoxLayout(frame)
        layout.addWidget(self._sentence)
        layout.addWidget(self._log)
        return frame

    def _label(self, name: str) -> QLabel:
        label = QLabel(self)
        label.setObjectName(name)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setAccessibleName(name)
        return label

    def _start_clicked(self) -> None:
        self.wanted.emit(self._command.value)
