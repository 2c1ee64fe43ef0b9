"""Owner of the window's asyncio tasks.

Qt slots cannot wait, so they hand their work to a holder, which keeps a strong reference to each
task until it is done, tells errors to one place, and cancels what is left when the window goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from vmwb.model.errors import VmwbError
from vmwb_ui.errors import error_text

_log = logging.getLogger(__name__)


class TaskHolder:
    """Keeps tasks; ``failed`` hears the sentence of every ``VmwbError`` that one ends with."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[None] | None:
        """Run a coroutine; ``None`` (and the coroutine is dropped) after ``close``."""
        if self._closed:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(self._guard(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel everything and wait for its end; nothing can be spawned afterwards."""
        self._closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guard(self, work: Coroutine[Any, Any, object], name: str) -> None:
        try:
            await work
        except VmwbError as error:
            self._failed(error_text(error))
        except Exception as error:  # noqa: BLE001 - the top of a task: told and logged, never lost
            _log.exception("the task %s failed", name)
            self._failed(f"{type(error).__name__}: {error}")
