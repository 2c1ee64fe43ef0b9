"""A window over fake services, and waiting for what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ui.fake_services import FakeWorld

from vmwb_ui.main import close_window
from vmwb_ui.workbench.presenter import WorkbenchPresenter
from vmwb_ui.workbench.view import MainWindow


class Workbench:
    """A window over fake services, closed by ``async with``."""

    def __init__(self, world: FakeWorld, *, run_only: bool = False) -> None:
        self.world = world
        self.presenter = WorkbenchPresenter(world.services())
        self.window = MainWindow(self.presenter, run_only=run_only)

    async def __aenter__(self) -> Workbench:
        self.window.show()
        self.presenter.start()
        await until(lambda: self.presenter.machines is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await close_window(self.window, self.presenter)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds; the test's deadline ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - widgets cannot be awaited
        await asyncio.sleep(0.002)
