"""Use cases of keyboard, screen and serial ports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from vmwb.ipc.framebuffer import FrameReader
from vmwb.model.errors import NotFoundError
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import Action
from vmwb.services.engine import Session
from vmwb.services.png import encode_png
from vmwb.services.sessions import Sessions
from vmwb.services.streams import SocketStream
from vmwb.services.types import Motion, Place

SEND_PART_BYTES: Final = 64 * 1024


class Console:
    """Implements ``api.ConsoleService``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def send(self, machine: str, data: bytes, *, port: int = 0) -> None:
        """Write bytes to a serial port of the guest."""
        _, session = await self._sessions.running(machine, Action.INPUT)
        for start in range(0, len(data), SEND_PART_BYTES):
            await session.send_serial(port, data[start : start + SEND_PART_BYTES])

    async def press(self, machine: str, presses: Sequence[KeyPress]) -> None:
        """Move keys, in order."""
        _, session = await self._sessions.running(machine, Action.INPUT)
        await session.press(presses)

    async def point(
        self, machine: str, place: Place | Motion, *, wheel: int = 0, buttons: int = 0
    ) -> None:
        """Move the pointer."""
        _, session = await self._sessions.running(machine, Action.INPUT)
        await session.point(asdict(place), wheel=wheel, buttons=buttons)

    async def screen_text(self, machine: str) -> str | None:
        """Text on the screen."""
        _, session = await self._sessions.running(machine, Action.OBSERVE)
        return await session.text()

    async def screenshot(self, machine: str) -> bytes:
        """The screen as a PNG file."""
        summary, session = await self._sessions.running(machine, Action.OBSERVE)
        reader = await map_frame(session)
        if reader is None:
            raise NotFoundError(f"{summary.name} has no display: there is nothing to picture.")
        with reader:
            return await asyncio.to_thread(lambda: encode_png(reader.frame()))

    async def open_frame(self, machine: str) -> FrameReader | None:
        """Map the framebuffer."""
        _, session = await self._sessions.running(machine, Action.OBSERVE)
        return await map_frame(session)

    async def open_serial(
        self, machine: str, *, port: int = 0, replay: bool = True
    ) -> SocketStream:
        """Attach to a serial port."""
        _, session = await self._sessions.running(machine, Action.OBSERVE)
        return SocketStream(await session.console(port, replay=replay))


async def map_frame(session: Session) -> FrameReader | None:
    """Map a session's framebuffer; ``None`` without a display."""
    handle = await session.frame()
    if handle is None:
        return None
    try:
        return FrameReader(handle)
    finally:
        os.close(handle)
