"""Entry point of the front end: the application, its loop, its services and its window.

``vmwb`` finds ``main`` through the entry point group ``vmwb.frontends``. This is the only module
of the front end that wires anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

from vmwb.app import FrontendRequest, build_services
from vmwb.services.api import Services
from vmwb_ui.look import apply_look
from vmwb_ui.workbench.presenter import WorkbenchPresenter
from vmwb_ui.workbench.view import MainWindow

TRANSLATIONS: Final = Path(__file__).resolve().parent / "translations"


def main(request: FrontendRequest) -> int:
    """Show the window until the user closes it; give the exit code."""
    from qasync import QEventLoop

    app = make_application()
    with asyncio.Runner(loop_factory=lambda: QEventLoop(app)) as runner:
        return runner.run(session(request))


def make_application() -> QApplication:
    """Make the application with its look and language; one that exists already is taken."""
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("vmwb")
    app.setApplicationDisplayName("VM Workbench")
    app.setDesktopFileName("vmwb")
    app.setQuitOnLastWindowClosed(False)
    install_language(app, QLocale())
    apply_look(app)
    return app


def install_language(app: QApplication, locale: QLocale) -> bool:
    """Load our texts and Qt's own for a language; tell whether ours were there."""
    folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    qt = QTranslator(app)
    if qt.load(locale, "qtbase", "_", folder):
        app.installTranslator(qt)
    ours = QTranslator(app)
    found = ours.load(locale, "vmwb", "_", str(TRANSLATIONS))
    if found:
        app.installTranslator(ours)
    return found


class _Signals:
    """Ends the window in good order, without questions, when the process is told to end."""

    def __init__(self, task: asyncio.Task[int]) -> None:
        self.number: int | None = None
        self._task = task
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._told, number)

    def _told(self, number: int) -> None:
        self.number = number
        self._task.cancel()

    def close(self) -> None:
        """Give the signals back."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.remove_signal_handler(number)


async def session(request: FrontendRequest) -> int:
    """Show the library's window, or one run, and return when it is closed."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine of the runner is a task"
    stopping = _Signals(task)
    services = build_services(request.paths)
    try:
        if request.run is not None:
            from vmwb_ui.run import show_run

            return await show_run(services, request.run)
        return await show_library(services, request.machine)
    except asyncio.CancelledError:
        if stopping.number is None:
            raise
        return 128 + stopping.number
    finally:
        await services.close()
        stopping.close()


async def show_library(services: Services, machine: str | None) -> int:
    """Show the window of a library until it is closed."""
    presenter = WorkbenchPresenter(services)
    window = MainWindow(presenter)
    window.open_at_first(machine)
    gone = asyncio.Event()
    window.closed.connect(gone.set)
    window.show()
    presenter.start()
    try:
        await gone.wait()
    finally:
        await close_window(window, presenter)
    return 0


async def close_window(window: MainWindow, presenter: WorkbenchPresenter) -> None:
    """Take a window down; its machines run on."""
    with contextlib.suppress(RuntimeError):  # Qt may have deleted it with the application
        await window.let_go()
        window.hide()
    await presenter.close()
    window.deleteLater()
