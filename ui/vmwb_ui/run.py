"""The window of ``vmwb run``: one machine of which nothing is kept, and whose end ends the window.

What ends the run, and what is answered on the way, is the run service's business; the window looks
at the machine beside it, through services of its own that know this machine alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass

from vmwb.model.errors import ExitCode, VmwbError
from vmwb.services.api import Services
from vmwb.services.types import RunEnd, RunRequest
from vmwb_ui.workbench.presenter import WorkbenchPresenter
from vmwb_ui.workbench.view import MainWindow


@dataclass(slots=True)
class _Shown:
    """The window of a run, once its machine has begun."""

    window: MainWindow
    presenter: WorkbenchPresenter


async def show_run(services: Services, request: RunRequest) -> int:
    """Run a machine in a window; give the exit code of the command.

    Closing the window is a way out, not a failure, as Ctrl-] is on a terminal.
    """
    interrupt = asyncio.Event()
    shown: list[_Shown] = []

    def opened(of_run: Services) -> None:
        presenter = WorkbenchPresenter(of_run)
        window = MainWindow(presenter, run_only=True)
        window.closed.connect(interrupt.set)
        window.show()
        presenter.start()
        shown.append(_Shown(window, presenter))

    try:
        result = await services.runs.run(request, opened=opened, interrupt=interrupt)
    except VmwbError as error:
        print(error.sentence, file=sys.stderr)
        return int(error.exit_code)
    finally:
        for item in shown:
            with contextlib.suppress(RuntimeError):  # Qt may have deleted it with the application
                await item.window.let_go()
                item.window.hide()
            await item.presenter.close()
            item.window.deleteLater()
    if result.sentence:
        print(result.sentence, file=sys.stderr)
    if result.ended_by is RunEnd.INTERRUPTED and interrupt.is_set():
        return int(ExitCode.OK)
    return result.exit_code
