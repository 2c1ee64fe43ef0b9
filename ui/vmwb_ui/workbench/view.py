"""The main window: library at the left, a tab per machine, menus, tool bar, status bar.

It renders what the presenters tell and hands every command to them. Closing it is a conversation:
machines can run on without it, so it asks, and ``closed`` tells when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QIcon, QKeySequence
from PySide6.QtWidgets import (
    QDockWidget,
    QLabel,
    QMainWindow,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QTabWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from vmwb import __version__
from vmwb.model.drives import DriveConfig
from vmwb.model.errors import BusyError, NotFoundError, TimedOutError, VmwbError
from vmwb.model.power import PowerState
from vmwb.resources import resource_path
from vmwb.services.types import MachineSummary
from vmwb_ui import texts
from vmwb_ui.actions import (
    ACTIONS,
    MACHINE_MENU,
    MENUS,
    NOT_IN_A_RUN,
    TOOLBAR,
    ActionSpec,
    Command,
    shown_in_slot,
    translated,
)
from vmwb_ui.dialogs import ask, outcome
from vmwb_ui.errors import error_text, notice_text
from vmwb_ui.library.model import LibraryModel, key_of
from vmwb_ui.library.view import LibraryPane
from vmwb_ui.look import ICON_SIZE, icon, state_icon
from vmwb_ui.machine.media import MediaMenu, choose_medium, removable
from vmwb_ui.machine.presenter import MachinePresenter
from vmwb_ui.machine.view import MachineTab
from vmwb_ui.workbench.banner import Banner
from vmwb_ui.workbench.full_screen import FullScreen
from vmwb_ui.workbench.presenter import POWER_COMMANDS, WorkbenchPresenter

SIZE: Final = QSize(1180, 760)
LIBRARY_WIDTH: Final = 220
# The one refusal of a change of media that the user can overrule.
TRAY_HELD: Final = "tray_held"
_Work = Callable[[str], Coroutine[Any, Any, None]]


class MainWindow(QMainWindow):
    """The workbench's window. ``run_only`` shows one run, of which nothing is kept."""

    closed = Signal()

    def __init__(self, presenter: WorkbenchPresenter, *, run_only: bool = False) -> None:
        super().__init__()
        self._presenter = presenter
        self._run_only = run_only
        self._hidden: frozenset[Command] = NOT_IN_A_RUN if run_only else frozenset()
        self._leaving = False
        self._first_list = True
        self._full_screen = FullScreen(self)
        self._wanted_first: str | None = None
        self.setObjectName("workbench")
        self.setWindowTitle(self.tr("VM Workbench"))
        self.setAccessibleName(self.windowTitle())
        self.setWindowIcon(QIcon(str(resource_path("icons/vmwb.svg"))))
        self.resize(SIZE)
        self.model = LibraryModel(self)
        self.actions_of: dict[Command, QAction] = {}
        self._make_actions()
        self._make_centre()
        self._make_library()
        self._make_menus()
        self._make_toolbar()
        self._make_status_bar()
        presenter.machines_changed.connect(self._machines_changed)
        presenter.failed.connect(self.banner.say)
        self._render()

    # ------------------------------------------------------------------ what it consists of

    def _make_actions(self) -> None:
        for spec in ACTIONS.values():
            action = QAction(icon(spec.icon), translated(spec.text), self)
            action.setObjectName(spec.command.value)
            action.setStatusTip(translated(spec.hint))
            action.setCheckable(spec.checkable)
            if spec.shortcut:
                action.setShortcut(QKeySequence(spec.shortcut))
            action.setVisible(spec.command not in self._hidden)
            action.triggered.connect(self._triggered)
            self.addAction(action)
            self.actions_of[spec.command] = action

    def _make_centre(self) -> None:
        centre = QWidget(self)
        centre.setAccessibleName(self.tr("Machines"))
        self.banner = Banner(centre)
        self.tabs = QTabWidget(centre)
        self.tabs.setObjectName("machine-tabs")
        self.tabs.setDocumentMode(True)
        self.tabs.setMovable(True)
        self.tabs.setTabsClosable(not self._run_only)
        self.tabs.setIconSize(QSize(ICON_SIZE, ICON_SIZE))
        self.tabs.setAccessibleName(self.tr("Open machines"))
        self.tabs.tabBar().setAccessibleName(self.tr("Open machines"))
        self.tabs.tabCloseRequested.connect(self._close_tab)
        self.tabs.currentChanged.connect(self._tab_changed)
        welcome = QLabel(self.tr("Choose a machine in the library, or create one."), centre)
        welcome.setAlignment(Qt.AlignmentFlag.AlignCenter)
        welcome.setEnabled(False)
        welcome.setAccessibleName(welcome.text())
        self._stack = QStackedWidget(centre)
        self._stack.addWidget(welcome)
        self._stack.addWidget(self.tabs)
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.banner)
        layout.addWidget(self._stack, 1)
        self.setCentralWidget(centre)

    def _make_library(self) -> None:
        self.library = LibraryPane(self.model, self)
        self.library.setAccessibleName(self.tr("Library"))
        self.library.opened.connect(self.open_machine)
        self.library.new_wanted.connect(self._new)
        self.library.menu_wanted.connect(self._machine_menu)
        self._dock = QDockWidget(self.tr("Library"), self)
        self._dock.setObjectName("library")
        self._dock.setAccessibleName(self.tr("Library"))
        self._dock.setWidget(self.library)
        # Without a title of its own: the search box on top says what it is.
        self._dock.setTitleBarWidget(QWidget(self._dock))
        self._dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._dock)
        self.resizeDocks([self._dock], [LIBRARY_WIDTH], Qt.Orientation.Horizontal)
        self._dock.setVisible(not self._run_only)
        shown = self.actions_of[Command.SHOW_LIBRARY]
        shown.setChecked(not self._run_only)

    def _make_menus(self) -> None:
        bar = self.menuBar()
        bar.setAccessibleName(self.tr("Menu bar"))
        self.media = MediaMenu(self.tr("&Media"), self)
        self.media.insert_wanted.connect(self._insert_image)
        self.media.folder_wanted.connect(self._insert_folder)
        self.media.eject_wanted.connect(self._eject)
        self.media.protection_wanted.connect(self._protect)
        for title, commands in MENUS:
            if commands is MENUS[-1][1]:
                bar.addMenu(self.media)
            menu = bar.addMenu(translated(title))
            menu.setAccessibleName(translated(title).replace("&", ""))
            self._fill(menu, commands)

    def _fill(self, menu: QMenu, commands: tuple[Command | None, ...]) -> None:
        for command in commands:
            if command is None:
                menu.addSeparator()
            else:
                menu.addAction(self.actions_of[command])

    def _make_toolbar(self) -> None:
        bar = QToolBar(self.tr("Tool bar"), self)
        bar.setObjectName("toolbar")
        bar.setAccessibleName(self.tr("Tool bar"))
        bar.setMovable(False)
        bar.setIconSize(QSize(ICON_SIZE, ICON_SIZE))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # Toggling the library is F9's business: a tool bar hidden by accident is hard to get back.
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self._buttons: dict[Command, QAction] = {}
        for slot in TOOLBAR:
            if slot is None:
                if self._buttons:
                    bar.addSeparator()
                continue
            for command in slot:
                if command in self._hidden:
                    continue
                source = self.actions_of[command]
                # A copy, because only one command of a place is shown at a time.
                button = QAction(source.icon(), source.text().replace("&", ""), bar)
                label = translated(ACTIONS[command].label or ACTIONS[command].text)
                button.setIconText(label.replace("&", "").rstrip(". "))
                button.setObjectName(command.value)
                button.setStatusTip(source.statusTip())
                button.triggered.connect(source.trigger)
                bar.addAction(button)
                bar.widgetForAction(button).setAccessibleName(button.text().rstrip(". "))
                self._buttons[command] = button
        self.addToolBar(bar)
        self._toolbar = bar

    def _make_status_bar(self) -> None:
        bar = self.statusBar()
        bar.setAccessibleName(self.tr("Status bar"))
        self.hint_label = self._status_label("hint", self.tr("How to reach the machine"))
        self.state_label = self._status_label("state", self.tr("State of the machine"))
        self.rate_label = self._status_label("rate", self.tr("Instructions a second"))
        self.cpu_label = self._status_label("cpu", self.tr("Load on the host's processor"))
        bar.addWidget(self.hint_label, 1)
        for label in (self.state_label, self.rate_label, self.cpu_label):
            bar.addPermanentWidget(label)

    def _status_label(self, name: str, accessible: str) -> QLabel:
        label = QLabel(self)
        label.setObjectName(name)
        label.setAccessibleName(accessible)
        return label

    # ------------------------------------------------------------------ machines and tabs

    @property
    def current(self) -> MachineTab | None:
        """The tab in front."""
        tab = self.tabs.currentWidget()
        return tab if isinstance(tab, MachineTab) else None

    @property
    def state(self) -> PowerState | None:
        """The power state of the machine in front."""
        tab = self.current
        return None if tab is None else tab.presenter.state

    def open_at_first(self, machine: str | None) -> None:
        """Say which machine (name or id) to open as soon as the library is known."""
        self._wanted_first = machine

    def open_machine(self, key: str) -> None:
        """Bring the tab of a machine to the front, or open one."""
        tab = self.tab_of(key)
        if tab is None:
            try:
                presenter = self._presenter.follow(key, self)
            except NotFoundError as error:
                self.banner.say(error_text(error))
                return
            tab = MachineTab(presenter, self.tabs)
            tab.wanted.connect(self._wanted)
            tab.hint_changed.connect(self._render)
            tab.failed.connect(self.banner.say)
            presenter.stats_changed.connect(self._render_status)
            presenter.summary_changed.connect(self._render)
            self.tabs.addTab(tab, state_icon(presenter.state), presenter.summary.name)
        self.tabs.setCurrentWidget(tab)
        self._render()

    def tab_of(self, key: str) -> MachineTab | None:
        """The tab of a machine."""
        return next((tab for tab in self._open_tabs() if tab.presenter.key == key), None)

    def _open_tabs(self) -> list[MachineTab]:
        widgets = (self.tabs.widget(index) for index in range(self.tabs.count()))
        return [widget for widget in widgets if isinstance(widget, MachineTab)]

    def _close_tab(self, index: int) -> None:
        tab = self.tabs.widget(index)
        if isinstance(tab, MachineTab):
            self.tabs.removeTab(index)
            tab.hide()
            self._presenter.tasks.spawn(self._drop(tab), "close tab")
            self._render()

    async def _drop(self, tab: MachineTab) -> None:
        await tab.presenter.close()
        tab.deleteLater()

    def _tab_changed(self) -> None:
        tab = self.current
        if tab is not None:
            self.library.choose(tab.presenter.key)
        self._render()

    def _machines_changed(self, machines: tuple[MachineSummary, ...]) -> None:
        self.model.set_machines(machines)
        known = {key_of(machine): machine for machine in machines}
        for tab in self._open_tabs():
            summary = known.get(tab.presenter.key)
            if summary is None:
                self._close_tab(self.tabs.indexOf(tab))
            else:
                tab.presenter.update(summary)
        if self._first_list:
            self._first_list = False
            self._open_first(machines)
        self._render()

    def _open_first(self, machines: tuple[MachineSummary, ...]) -> None:
        """Come back to the machines that run, and to the one that was asked for."""
        for machine in machines:
            if machine.state.has_worker or len(machines) == 1:
                self.open_machine(key_of(machine))
        wanted = self._wanted_first
        if wanted is None:
            return
        found = next((item for item in machines if wanted in {item.id, item.name}), None)
        if found is None:
            self.banner.say(
                self.tr("There is no machine {name} in the library.").format(name=wanted)
            )
        else:
            self.open_machine(key_of(found))

    # ------------------------------------------------------------------ rendering

    def _render(self) -> None:
        """Show everything that depends on the machine in front; cheap, and always the whole."""
        state = self.state
        if self._full_screen.active and (self.current is None or not self.current.shows_screen):
            self._full_screen.leave()
        self.actions_of[Command.FULL_SCREEN].setChecked(self._full_screen.active)
        self._stack.setCurrentIndex(1 if self.tabs.count() else 0)
        for command, action in self.actions_of.items():
            self._render_action(ACTIONS[command], action, state)
        for slot in TOOLBAR:
            shown = None if slot is None else shown_in_slot(slot, state, self._hidden)
            for command in slot or ():
                button = self._buttons.get(command)
                if button is None:
                    continue
                button.setVisible(command is shown)
                button.setEnabled(self.actions_of[command].isEnabled())
                button.setToolTip(self.actions_of[command].toolTip())
        for tab in self._open_tabs():
            index = self.tabs.indexOf(tab)
            self.tabs.setTabIcon(index, state_icon(tab.presenter.state))
            self.tabs.setTabText(index, tab.presenter.summary.name.replace("&", "&&"))
        tab = self.current
        self.media.render(None if tab is None else tab.presenter.summary.config, state)
        title = self.tr("VM Workbench")
        if self.current is not None:
            title = f"{self.current.presenter.summary.name} - {title}"
        self.setWindowTitle(title)
        self._render_status()

    def _render_action(self, spec: ActionSpec, action: QAction, state: PowerState | None) -> None:
        enabled = spec.enabled_when(state)
        action.setEnabled(enabled and spec.command not in self._hidden)
        hint = translated(spec.hint)
        if spec.shortcut:
            keys = QKeySequence(spec.shortcut).toString(QKeySequence.SequenceFormat.NativeText)
            hint = f"{hint} ({keys})"
        if not enabled:
            hint = f"{hint}\n{texts.not_now_text(state)}"
        action.setToolTip(hint)

    def _render_status(self) -> None:
        tab = self.current
        presenter = None if tab is None else tab.presenter
        stats = None if presenter is None else presenter.stats
        self.hint_label.setText("" if tab is None else tab.hint())
        self.state_label.setText("" if presenter is None else _status_text(presenter))
        self.rate_label.setText("" if stats is None else texts.rate_text(stats))
        self.cpu_label.setText(
            "" if stats is None or presenter is None else texts.cpu_text(presenter.host_cpu)
        )

    # ------------------------------------------------------------------ commands

    def _triggered(self) -> None:
        action = self.sender()
        if isinstance(action, QAction):
            self._wanted(action.objectName())

    def _wanted(self, name: str) -> None:
        command = Command(name)
        plain: dict[Command, Callable[[], None]] = {
            Command.NEW: self._new,
            Command.QUIT: self._quit,
            Command.ABOUT: self._about,
            Command.FIND: self._find,
            Command.SHOW_LIBRARY: self._toggle_library,
        }
        if command in plain:
            plain[command]()
            return
        tab = self.current
        if tab is None or not ACTIONS[command].enabled_when(tab.presenter.state):
            return
        if command is Command.CLOSE_TAB:
            self._close_tab(self.tabs.currentIndex())
        elif command is Command.GRAB:
            tab.give_keyboard()
        elif command is Command.FULL_SCREEN:
            self._toggle_full_screen(tab)
        elif command is Command.DISCARD:
            self._spawn(self._discard, tab)
        elif command in POWER_COMMANDS:
            self._presenter.tasks.spawn(self._power(command, tab.presenter.key), command)
        else:
            work: dict[Command, _Work] = {
                Command.COPY_SCREEN: self._copy_screen,
                Command.CTRL_ALT_DEL: self._presenter.ctrl_alt_del,
                Command.NMI: self._presenter.nmi,
                Command.LOG: self._show_log,
                Command.DELETE: self._delete,
            }
            self._spawn(work[command], tab)

    def _spawn(self, work: _Work, tab: MachineTab) -> None:
        self._presenter.tasks.spawn(work(tab.presenter.key), "command")

    def _machine_menu(self, key: str, place: QPoint) -> None:
        self.open_machine(key)
        menu = QMenu(self)
        menu.setAccessibleName(self.tr("Commands of the machine"))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._fill(menu, MACHINE_MENU)
        menu.addSeparator()
        menu.addMenu(self.media)
        menu.popup(place)

    def _toggle_library(self) -> None:
        self._dock.setVisible(self.actions_of[Command.SHOW_LIBRARY].isChecked())

    def _toggle_full_screen(self, tab: MachineTab) -> None:
        if self._full_screen.active:
            self._full_screen.leave()
        elif tab.shows_screen:
            bars = (self.menuBar(), self._toolbar, self.statusBar(), self.tabs.tabBar())
            self._full_screen.enter((*bars, self._dock, tab.pages.tabBar()))
            tab.give_keyboard()
        tab.screen_view.tell_way_out()
        self._render()

    def _find(self) -> None:
        self.actions_of[Command.SHOW_LIBRARY].setChecked(True)
        self._dock.show()
        self.library.search.setFocus()
        self.library.search.selectAll()

    def _quit(self) -> None:
        self.close()

    async def _power(self, command: Command, key: str) -> None:
        self.banner.clear()
        try:
            await self._presenter.power(command, key)
        except TimedOutError:
            if command is not Command.SHUT_DOWN:
                raise
            answer = await ask(
                self,
                self.tr("Shut Down Guest"),
                self.tr("The guest did not shut down within a minute. It runs on."),
                ((self.tr("Power Off"), QMessageBox.ButtonRole.DestructiveRole),),
            )
            if answer == 0:
                await self._presenter.power(Command.STOP, key)

    async def _discard(self, key: str) -> None:
        answer = await ask(
            self,
            self.tr("Discard Suspended State"),
            self.tr("The suspended state is thrown away, with all that was not saved in it."),
            ((self.tr("Discard"), QMessageBox.ButtonRole.DestructiveRole),),
        )
        if answer == 0:
            await self._presenter.power(Command.DISCARD, key)

    def _insert_image(self, slot: str) -> None:
        self._change_medium(slot, lambda tab, drive: self._insert(tab, drive, folder=False))

    def _insert_folder(self, slot: str) -> None:
        self._change_medium(slot, lambda tab, drive: self._insert(tab, drive, folder=True))

    def _eject(self, slot: str) -> None:
        self._change_medium(slot, lambda tab, drive: self._put(tab, drive, None))

    def _protect(self, slot: str) -> None:
        self._change_medium(slot, self._turn_protection)

    async def _turn_protection(self, tab: MachineTab, drive: DriveConfig) -> None:
        """Put the same floppy in again, with its notch open or closed."""
        if drive.image is not None:
            path = Path(drive.image.path)
            await self._put(tab, drive, path, read_only=not drive.read_only)

    def _change_medium(
        self,
        slot: str,
        work: Callable[[MachineTab, DriveConfig], Coroutine[Any, Any, None]],
    ) -> None:
        tab = self.current
        config = None if tab is None else tab.presenter.summary.config
        if tab is None or config is None:
            return
        drive = next((one for one in removable(config) if one.slot == slot), None)
        if drive is not None:
            self._presenter.tasks.spawn(work(tab, drive), "media")

    async def _insert(self, tab: MachineTab, drive: DriveConfig, *, folder: bool) -> None:
        path = await choose_medium(self, drive, folder=folder)
        if path is not None:
            await self._put(tab, drive, path)

    async def _put(
        self, tab: MachineTab, drive: DriveConfig, path: Path | None, *, read_only: bool = False
    ) -> None:
        """Change a medium; a guest that holds the tray is overruled if the user says so."""
        self.banner.clear()
        try:
            await self._presenter.change_medium(
                tab.presenter.key, drive.slot, path, read_only=read_only
            )
        except BusyError as error:
            if error.context.get("reason") != TRAY_HELD:
                raise
            answer = await ask(
                self,
                self.tr("Open the Drive"),
                self.tr("The guest has locked the drive: it may be reading or writing."),
                ((self.tr("Open It Anyway"), QMessageBox.ButtonRole.DestructiveRole),),
            )
            if answer == 0:
                await self._presenter.change_medium(tab.presenter.key, drive.slot, path, force=True)

    async def _copy_screen(self, key: str) -> None:
        text = await self._presenter.screen_text(key)
        if text is None:
            self.banner.say(self.tr("There is no text on the screen: it is in a graphics mode."))
        else:
            QGuiApplication.clipboard().setText(text)
            self.statusBar().showMessage(self.tr("The screen's text is on the clipboard."), 4000)

    async def _delete(self, key: str) -> None:
        plan = await self._presenter.deletion(key)
        size = self.locale().formattedDataSize(plan.bytes)
        answer = await ask(
            self,
            self.tr("Delete from Disk"),
            self.tr("Delete the machine {name} and all its files?").format(name=plan.name),
            ((self.tr("Delete"), QMessageBox.ButtonRole.DestructiveRole),),
            details=self.tr("{count} files, {size}, in {path}. This cannot be undone.").format(
                count=plan.files, size=size, path=plan.path
            ),
        )
        if answer == 0:
            await self._presenter.delete(key)

    async def _show_log(self, key: str) -> None:
        from vmwb_ui.machine.log_dialog import LogDialog

        summary = self._presenter.summary(key)
        dialog = LogDialog(key if summary is None else summary.name, self)

        async def refresh() -> None:
            dialog.show_text(await self._presenter.log(key))

        def again() -> None:
            self._presenter.tasks.spawn(refresh(), "log")

        dialog.refresh_wanted.connect(again)
        try:
            await refresh()
            await outcome(dialog)
        finally:
            dialog.deleteLater()

    def _new(self) -> None:
        self._presenter.tasks.spawn(self._ask_new(), "new machine")

    async def _ask_new(self) -> None:
        from vmwb_ui.library.new_machine import NewMachineDialog

        dialog = NewMachineDialog(self)

        async def create(config: Any) -> None:
            try:
                summary = await self._presenter.create(config)
            except VmwbError as error:
                dialog.show_problem(error_text(error))
                return
            dialog.accept()
            self.open_machine(key_of(summary))

        def submitted(config: Any) -> None:
            self._presenter.tasks.spawn(create(config), "create")

        dialog.submitted.connect(submitted)
        try:
            await outcome(dialog)
        finally:
            dialog.deleteLater()

    def _about(self) -> None:
        box = QMessageBox(
            QMessageBox.Icon.Information,
            self.tr("About VM Workbench"),
            self.tr("VM Workbench {version}").format(version=__version__),
            QMessageBox.StandardButton.Close,
            self,
        )
        box.setAccessibleName(box.windowTitle())
        box.setInformativeText(
            self.tr("Virtual machines with an emulator of their own. Apache License 2.0.")
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    # ------------------------------------------------------------------ leaving

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask what becomes of the machines; the answer closes the window later."""
        event.ignore()
        if not self._leaving:
            self._leaving = True
            if self._presenter.tasks.spawn(self._leave(), "leave") is None:
                self.closed.emit()

    async def let_go(self) -> None:
        """Leave all machines; they run on."""
        for tab in self._open_tabs():
            await tab.presenter.close()

    async def _leave(self) -> None:
        try:
            if await self._may_leave():
                self.hide()
                self.closed.emit()
        finally:
            self._leaving = False

    async def _may_leave(self) -> bool:
        running = self._presenter.running()
        if self._run_only:
            return await self._may_end_run() if running else True
        if not running:
            return True
        names = ", ".join(machine.name for machine in running)
        answer = await ask(
            self,
            self.tr("Close the Workbench"),
            self.tr("Machines are running: {names}.").format(names=names),
            (
                (self.tr("Run in Background"), QMessageBox.ButtonRole.AcceptRole),
                (self.tr("Power Off"), QMessageBox.ButtonRole.DestructiveRole),
            ),
            details=self.tr("In the background they run on; the window finds them again."),
        )
        if answer == 1:
            await self._presenter.power_off_all()
        return answer is not None

    async def _may_end_run(self) -> bool:
        answer = await ask(
            self,
            self.tr("End the Run"),
            self.tr("Nothing of this machine is kept when its window closes."),
            ((self.tr("End the Run"), QMessageBox.ButtonRole.DestructiveRole),),
        )
        return answer == 0


def _status_text(presenter: MachinePresenter) -> str:
    """The state, and what is wrong with a machine that runs all the same."""
    state, summary = texts.state_text(presenter.state), presenter.summary
    notice = notice_text(summary.problem_code) if summary.pid is not None else ""
    return f"{state}: {notice}" if notice else state
