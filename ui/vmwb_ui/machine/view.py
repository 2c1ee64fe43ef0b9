"""The tab of a machine: summary, screen and serial terminal as pages."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from vmwb.model.config import CONSOLE_PORT, DisplayKind
from vmwb_ui.actions import Command
from vmwb_ui.console.picture import Picture
from vmwb_ui.console.screen import ScreenView
from vmwb_ui.machine.presenter import MachinePresenter
from vmwb_ui.machine.summary import SummaryPage
from vmwb_ui.serial.terminal import TerminalView


class MachineTab(QWidget):
    """Renders a ``MachinePresenter``; commands of its buttons leave as ``wanted``."""

    wanted = Signal(str)
    hint_changed = Signal()
    failed = Signal(str)

    def __init__(self, presenter: MachinePresenter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        presenter.setParent(self)
        self.presenter = presenter
        self.setAccessibleName(presenter.summary.name)
        self.summary = SummaryPage(self)
        self.screen_view = ScreenView(self)
        self.terminals: dict[int, TerminalView] = {}
        self.pages = QTabWidget(self)
        self.pages.setDocumentMode(True)
        self.pages.setTabPosition(QTabWidget.TabPosition.South)
        self.pages.setAccessibleName(self.tr("Views of the machine"))
        self.pages.tabBar().setAccessibleName(self.tr("Views of the machine"))
        self.pages.addTab(self.summary, self.tr("Summary"))
        self.pages.addTab(self.screen_view, self.tr("Screen"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.pages)
        self.summary.wanted.connect(self.wanted)
        self.screen_view.key_moved.connect(presenter.press)
        self.screen_view.pointer_moved.connect(presenter.point)
        self.screen_view.grab_changed.connect(self._hint_changed)
        self.screen_view.failed.connect(self.failed)
        self.screen_view.full_screen_wanted.connect(self._full_screen)
        self.pages.currentChanged.connect(self._page_changed)
        presenter.summary_changed.connect(self.render_state)
        presenter.picture_changed.connect(self._picture_changed)
        presenter.pointer_changed.connect(self.screen_view.set_takes_places)
        presenter.serial_began.connect(self._serial_began)
        presenter.serial_received.connect(self._serial_received)
        presenter.failed.connect(self.failed)
        self._was_live = False
        self._picture_changed(presenter.picture)
        self.screen_view.set_takes_places(presenter.takes_places)
        self.render_state()

    def render_state(self) -> None:
        """Show the machine as it is; the page follows when it begins or ends to run."""
        presenter = self.presenter
        summary = presenter.summary
        self.summary.render(summary, presenter.log_tail)
        takes = presenter.takes_input
        self.screen_view.set_takes_input(takes)
        self._render_terminals(takes)
        live = summary.state.has_worker
        display = summary.config is None or summary.config.display is not DisplayKind.NONE
        self._enable_screen(live and display)
        if live and not self._was_live:
            page = self.screen_view if display else self.terminal or self.summary
            self.pages.setCurrentWidget(page)
            page.setFocus()
        elif self._was_live and not live:
            self.pages.setCurrentWidget(self.summary)
        self._was_live = live
        self.hint_changed.emit()

    def hint(self) -> str:
        """What the status bar says about the keyboard."""
        if self.screen_view.mouse_grabbed:
            return self.tr("To get keyboard and mouse back, press Ctrl+Alt")
        if self.screen_view.grabbed:
            return self.tr("To get the keyboard back, press Ctrl+Alt")
        if not self.presenter.takes_input:
            return ""
        if self.pages.currentWidget() is self.screen_view:
            return self.tr("To type into the machine, click its screen or press Ctrl+G")
        shown = self._shown_port()
        if shown == CONSOLE_PORT:
            return self.tr("What you type goes to the machine's console")
        if shown is not None:
            return self.tr("What you type goes to the machine's serial port")
        return ""

    @property
    def terminal(self) -> TerminalView | None:
        """The terminal of whoever runs the machine; ``None``: it has no port."""
        config = self.presenter.summary.config
        port = None if config is None else config.terminal_port
        return self.terminals.get(0 if port is None else port)

    def give_keyboard(self) -> None:
        """Give the keyboard to the machine's screen."""
        self.pages.setCurrentWidget(self.screen_view)
        self.screen_view.take_keyboard()

    @property
    def shows_screen(self) -> bool:
        """Whether the machine has a screen now; a crashed one has a last picture only."""
        return self._was_live and self.pages.isTabEnabled(self.pages.indexOf(self.screen_view))

    def _enable_screen(self, live: bool) -> None:
        kept = self.presenter.picture is not None
        self.pages.setTabEnabled(self.pages.indexOf(self.screen_view), live or kept)

    def _full_screen(self) -> None:
        self.wanted.emit(Command.FULL_SCREEN.value)

    def _render_terminals(self, takes_input: bool) -> None:
        """Have a page for each of the machine's ports."""
        for port in sorted(set(self.terminals) - set(self.presenter.ports)):
            gone = self.terminals.pop(port)
            self.pages.removeTab(self.pages.indexOf(gone))
            gone.deleteLater()
        for port in self.presenter.ports:
            if port not in self.terminals:
                terminal = TerminalView(self)
                terminal.typed.connect(partial(self.presenter.type_serial, port))
                self.terminals[port] = terminal
                self.pages.addTab(terminal, self._terminal_title(port))
            self.terminals[port].set_takes_input(takes_input)

    def _terminal_title(self, port: int) -> str:
        if port == CONSOLE_PORT:
            return self.tr("Console (hvc0)")
        if port == 0:
            return self.tr("Serial terminal")
        return self.tr("Serial terminal (COM{number})").format(number=port + 1)

    def _shown_port(self) -> int | None:
        shown = self.pages.currentWidget()
        return next((port for port, page in self.terminals.items() if page is shown), None)

    def _serial_began(self, port: int) -> None:
        if port in self.terminals:
            self.terminals[port].clear()

    def _serial_received(self, port: int, data: bytes) -> None:
        if port in self.terminals:
            self.terminals[port].feed(data)

    def _picture_changed(self, picture: Picture | None) -> None:
        self.screen_view.show_picture(picture)
        if picture is None and not self._was_live:
            self._enable_screen(False)

    def _hint_changed(self) -> None:
        self.hint_changed.emit()

    def _page_changed(self, index: int) -> None:
        page = self.pages.widget(index)
        if isinstance(page, TerminalView) and self.isVisible():
            page.setFocus()
        self.hint_changed.emit()
