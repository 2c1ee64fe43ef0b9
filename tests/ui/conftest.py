"""Fixtures of the window's tests: a loop of Qt's, and a window over fake services."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
from leaks import no_leaks

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent))

from fake_services import FakeServices, TestPattern
from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from vmwb_ui.look import apply_look
from vmwb_ui.main import close_window
from vmwb_ui.workbench.presenter import WorkbenchPresenter
from vmwb_ui.workbench.view import MainWindow

__all__ = ["no_leaks"]
WAIT_SECONDS = 10.0


class Stage:
    """A shown window over fake services. ``until`` waits for what the window should show."""

    def __init__(self, fake: FakeServices) -> None:
        self.fake = fake
        self.presenter = WorkbenchPresenter(fake.services)
        self.window = MainWindow(self.presenter)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not true():  # noqa: ASYNC110 - any condition of a widget, nothing that tells
                await asyncio.sleep(0.005)

    async def open(self, name: str) -> None:
        self.window.show()
        self.presenter.start()
        await self.until(lambda: self.presenter.machines is not None)
        self.window.open_machine(self.fake.find(name).id)

    async def close(self) -> None:
        await close_window(self.window, self.presenter)
        await self.fake.close()


Play = Callable[[Stage], Coroutine[None, None, None]]


@pytest.fixture
def in_window(qapp: QApplication) -> Callable[..., None]:
    """Give a function that plays a coroutine on a stage with the named machines."""
    QLocale.setDefault(QLocale.c())
    apply_look(qapp)

    async def on_stage(play: Play, names: tuple[str, ...]) -> None:
        stage = Stage(FakeServices(*names))
        try:
            await play(stage)
        finally:
            await stage.close()

    def run(play: Play, *names: str) -> None:
        with asyncio.Runner(loop_factory=lambda: QEventLoop(qapp)) as runner:
            runner.run(on_stage(play, names or ("deb",)))

    return run


@pytest.fixture
def pattern() -> Iterator[TestPattern]:
    made = TestPattern()
    yield made
    made.close()
