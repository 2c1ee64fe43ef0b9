"""What the tests of the front end share: a Qt loop, fake services, waiting without sleeping."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop
from ui.fake_services import FakeWorld
from ui.support import Workbench

from vmwb_ui.look import apply_look

SECONDS = 20.0
# What the offscreen platform says of itself; everything else that Qt warns of fails a test.
OFFSCREEN = r"^This plugin does not support (propagateSizeHints|grabbing the (keyboard|mouse))"
RunUi = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.qt_log_ignore(OFFSCREEN, extend=True))


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    return QApplication


@pytest.fixture
def look(qapp: QApplication) -> QApplication:
    qapp.setQuitOnLastWindowClosed(False)
    apply_look(qapp)
    return qapp


@pytest.fixture
def run_ui(look: QApplication) -> RunUi:
    """Run a coroutine on Qt's loop, as the program does; nothing may be left of it."""

    def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def checked() -> None:
            async with asyncio.timeout(SECONDS):
                await main()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

        with asyncio.Runner(loop_factory=lambda: QEventLoop(look)) as runner:
            runner.run(checked())
        gc.collect()

    return run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FakeWorld]:
    made = FakeWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def workbench(world: FakeWorld) -> Callable[..., Workbench]:
    def make(**options: Any) -> Workbench:
        return Workbench(world, **options)

    return make
