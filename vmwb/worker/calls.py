"""Calls into the core that wait for its thread, kept off the loop and given a deadline.

A core that hangs must not take the worker along: each call runs on a daemon thread of its own, and
while some are stuck no more are begun.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from vmwb.model.errors import EngineFailedError

CALL_SECONDS: Final = 5.0
STUCK_MAX: Final = 4
_Result = TypeVar("_Result")


class CoreCalls:
    """Runs calls for one loop."""

    def __init__(self) -> None:
        self._under_way = 0

    async def call(self, work: Callable[[], _Result], seconds: float = CALL_SECONDS) -> _Result:
        """Run a call and give its result, or raise what it raises.

        Raises:
            EngineFailedError: the core did not answer in time.
        """
        if self._under_way >= STUCK_MAX:
            raise EngineFailedError("The core does not answer: stop the machine with --hard.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Result] = loop.create_future()

        def deliver(result: _Result | None, error: BaseException | None) -> None:
            self._under_way -= 1
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result: _Result | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as caught:  # noqa: BLE001 - top of a thread: handed on
                error = caught
            try:
                loop.call_soon_threadsafe(deliver, result, error)
            except RuntimeError:
                # The loop has ended while the core took its time: nobody waits any more.
                return

        self._under_way += 1
        threading.Thread(target=run, name="core call", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise EngineFailedError(
                f"The core did not answer within {seconds:g} seconds: if this goes on, stop the "
                "machine with --hard."
            ) from None
