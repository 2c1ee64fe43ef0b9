"""A machine as scripts drive it: expect a text, answer, press keys, go on.

::

    async with workbench() as services:
        machine = Script(services, "deb")
        await machine.start()
        await machine.expect("can't access tty", timeout_s=120)
        print(await machine.command("uname -r"))
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from vmwb.app import build_services, default_paths
from vmwb.model.errors import NotFoundError, TimedOutError
from vmwb.model.keyboard import answer_presses, combinations, text_presses
from vmwb.model.power import PowerState
from vmwb.services.api import SerialStream, Services
from vmwb.services.types import MachineSummary, StopKind, WaitFor, WaitKind

EXPECT_SECONDS: Final = 60.0
OUTPUT_MAX_BYTES: Final = 1024 * 1024


@contextlib.asynccontextmanager
async def workbench(
    library: Path | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Services]:
    """Open the services of a library for a script; machines run on when it ends."""
    given = os.environ if environment is None else environment
    services = build_services(default_paths(given, library), environment=given)
    try:
        yield services
    finally:
        await services.close()


class Script:
    """One machine under a script's hands. All errors are those of the services."""

    def __init__(self, services: Services, machine: str) -> None:
        """``machine`` is a name or id."""
        self._services = services
        self._machine = machine

    async def start(self) -> MachineSummary:
        """Switch the machine on, or bring it back if it is suspended."""
        summary = await self._services.machines.show(self._machine)
        if summary.state is PowerState.SUSPENDED:
            return await self._services.power.resume(self._machine)
        return await self._services.power.start(self._machine)

    async def stop(self, kind: StopKind = StopKind.SOFT) -> MachineSummary:
        """Switch the machine off."""
        return await self._services.power.stop(self._machine, kind)

    async def expect(
        self, text: str, *, timeout_s: float = EXPECT_SECONDS, only_new: bool = False
    ) -> None:
        """Wait for a text on the serial port.

        Raises:
            TimedOutError: it did not appear in time.
        """
        condition = WaitFor(WaitKind.SERIAL, text, only_new=only_new)
        await self._services.watch.wait(self._machine, condition, timeout_s=timeout_s)

    async def expect_screen(self, text: str, *, timeout_s: float = EXPECT_SECONDS) -> None:
        """Wait for a text on the screen.

        Raises:
            TimedOutError: it did not appear in time.
        """
        condition = WaitFor(WaitKind.SCREEN, text)
        await self._services.watch.wait(self._machine, condition, timeout_s=timeout_s)

    async def send(self, text: str) -> None:
        """Write a text to the serial port."""
        await self._services.console.send(self._machine, text.encode())

    async def type(self, text: str) -> None:
        """Type a text on the keyboard."""
        await self._services.console.press(self._machine, text_presses(text))

    async def keys(self, *names: str) -> None:
        """Press keys and combinations, such as ``ctrl-alt-del``."""
        await self._services.console.press(self._machine, combinations(names))

    async def answer_screen(self, text: str, answer: str) -> None:
        """Wait for a text on the screen, then type and press what ``answer`` says."""
        await self.expect_screen(text)
        await self._services.console.press(self._machine, answer_presses(answer))

    async def screen(self) -> str:
        """Give the text on the screen.

        Raises:
            NotFoundError: the screen shows no text.
        """
        text = await self._services.console.screen_text(self._machine)
        if text is None:
            raise NotFoundError(f"{self._machine} shows no text on its screen.")
        return text

    async def command(self, line: str, *, timeout_s: float = EXPECT_SECONDS) -> str:
        """Run a line in the shell on the serial port and give its output.

        The shell echoes the line, so the end is marked by a word that the echo does not hold.

        Raises:
            TimedOutError: the command did not end in time.
        """
        mark = secrets.token_hex(6)
        stream = await self._services.console.open_serial(self._machine, replay=False)
        try:
            await stream.write(f"{line}; echo {mark[:6]}''{mark[6:]}\n".encode())
            output = await _read_until(stream, mark.encode(), timeout_s)
        finally:
            stream.close()
        _, _, after_echo = output.partition(b"\n")
        return after_echo.replace(b"\r\n", b"\n").decode(errors="replace")


async def _read_until(stream: SerialStream, mark: bytes, timeout_s: float) -> bytes:
    output = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while mark not in output and len(output) < OUTPUT_MAX_BYTES:
                data = await stream.read()
                if not data:
                    break
                output += data
    except TimeoutError:
        raise TimedOutError(f"The command did not end within {timeout_s:g} seconds.") from None
    return bytes(output).partition(mark)[0]
