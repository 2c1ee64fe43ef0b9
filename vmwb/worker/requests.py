"""What a client can ask of a worker: one method per operation, arguments checked.

The table of operations, with arguments and results, is documented in ``docs/protocol.md``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vmwb.ipc.messages import Op, PowerVerb, boolean, number, table, text
from vmwb.model.config import CONSOLE_PORT
from vmwb.model.errors import (
    NotFoundError,
    NotSupportedError,
    ProtocolError,
    TimedOutError,
    WrongStateError,
)
from vmwb.model.events import Event
from vmwb.model.keyboard import KeyPress
from vmwb.model.power import Action, require
from vmwb.worker.host import MachineHost
from vmwb.worker.serial import NEEDLE_MAX_BYTES, SerialHub

PRESSES_MAX: Final = 20_000
SEND_MAX_BYTES: Final = 64 * 1024
WAIT_MAX_SECONDS: Final = 30 * 24 * 3600.0
HISTORY_PART_BYTES: Final = 256 * 1024
POSITION_MAX: Final = 0xFFFF
WHEEL_MAX: Final = 127
BUTTONS_MAX: Final = 0b111


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request, and descriptors that go with it (the sender closes them)."""

    result: Mapping[str, object] = field(default_factory=dict)
    handles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a session's events go."""

    tell: Callable[[Event], None]


class Requests:
    """The operations of one session."""

    def __init__(self, host: MachineHost, subscription: Subscription) -> None:
        self._host = host
        self._subscription = subscription
        self._unsubscribe: Callable[[], None] | None = None
        self._operations: dict[str, Callable[[Mapping[str, object]], Awaitable[Answer]]] = {
            Op.STATE: self._state,
            Op.POWER: self._power,
            Op.SUSPEND: self._suspend,
            Op.STATS: self._stats,
            Op.EVENTS: self._events,
            Op.KEYS: self._keys,
            Op.SERIAL_SEND: self._serial_send,
            Op.SERIAL_HISTORY: self._serial_history,
            Op.CONSOLE: self._console,
            Op.FRAME: self._frame,
            Op.TEXT: self._text,
            Op.WAIT: self._wait,
            Op.DEBUG: self._debug,
            Op.TRACE: self._trace,
            Op.POINTER: self._pointer,
        }

    async def handle(
        self, op: str, args: Mapping[str, object], handles: Sequence[int] = ()
    ) -> Answer:
        """Carry out one request; its descriptors stay the caller's.

        Raises:
            VmwbError: it is unknown, its arguments are wrong, or it failed.
        """
        if op == Op.MEDIA:
            return await self._media(args, handles)
        if handles:
            raise ProtocolError(f"The request {op[:40]!r} takes no descriptors.")
        operation = self._operations.get(op)
        if operation is None:
            raise NotSupportedError(
                f"The worker does not know the request {op[:40]!r}: it is of another version."
            )
        return await operation(args)

    def close(self) -> None:
        """End the session's subscription; idempotent."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    async def _state(self, _: Mapping[str, object]) -> Answer:
        return Answer({"state": self._host.state.value})

    async def _power(self, args: Mapping[str, object]) -> Answer:
        verb = text(args, "verb")
        if verb not in set(PowerVerb):
            raise ProtocolError(f"There is no power request {verb[:40]!r}.")
        # Shielded: a request that has begun takes its effect, whether or not its client stays.
        await asyncio.shield(self._host.own(self._host.power(PowerVerb(verb))))
        return Answer({"state": self._host.state.value})

    async def _suspend(self, _: Mapping[str, object]) -> Answer:
        await asyncio.shield(self._host.own(self._host.suspend()))
        return Answer({"state": self._host.state.value})

    async def _stats(self, _: Mapping[str, object]) -> Answer:
        return Answer(await self._host.stats())

    async def _events(self, args: Mapping[str, object]) -> Answer:
        after = number(args, "after", 0)
        self.close()
        self._unsubscribe = self._host.subscribe(after, self._subscription.tell)
        return Answer()

    async def _keys(self, args: Mapping[str, object]) -> Answer:
        raw = args.get("presses")
        if not isinstance(raw, list) or len(raw) > PRESSES_MAX:
            raise ProtocolError(f"At most {PRESSES_MAX} key movements can be sent at once.")
        await self._host.press(tuple(_press(item) for item in raw))
        return Answer()

    async def _pointer(self, args: Mapping[str, object]) -> Answer:
        """Move the pointer: by counts (``dx``, ``dy``), or to a place (``x``, ``y``)."""
        wheel, buttons = number(args, "wheel", 0), number(args, "buttons", 0)
        if not -WHEEL_MAX <= wheel <= WHEEL_MAX or not 0 <= buttons <= BUTTONS_MAX:
            raise ProtocolError("The pointer's wheel or buttons are out of range.")
        if "x" in args:
            x, y = number(args, "x"), number(args, "y")
            if not (0 <= x <= POSITION_MAX and 0 <= y <= POSITION_MAX):
                raise ProtocolError(f"The pointer's place is 0 to {POSITION_MAX} each way.")
            self._host.point({"kind": "position", "x": x, "y": y}, wheel, buttons)
        else:
            dx, dy = number(args, "dx"), number(args, "dy")
            if not (abs(dx) <= POSITION_MAX and abs(dy) <= POSITION_MAX):
                raise ProtocolError(f"The pointer moves by at most {POSITION_MAX} each way.")
            self._host.point({"kind": "motion", "dx": dx, "dy": dy}, wheel, buttons)
        return Answer()

    async def _media(self, args: Mapping[str, object], handles: Sequence[int]) -> Answer:
        """Put the image of the one descriptor into a drive, or empty the drive."""
        if len(handles) > 1:
            raise ProtocolError("A drive takes one image at a time.")
        slot = text(args, "slot")
        read_only, force = boolean(args, "read_only", True), boolean(args, "force", False)
        # Duplicated last: nothing may fail between this and the one who closes it.
        image = os.dup(handles[0]) if handles else None
        change = self._host.change_medium(slot, image, read_only=read_only, force=force)
        await asyncio.shield(self._host.own(change))
        return Answer()

    async def _serial_send(self, args: Mapping[str, object]) -> Answer:
        hub = self._port(args)
        try:
            data = base64.b64decode(text(args, "data"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ProtocolError("The bytes for the serial port are not base64.") from error
        if len(data) > SEND_MAX_BYTES:
            raise ProtocolError(f"At most {SEND_MAX_BYTES} bytes can be sent at once.")
        self._host.send_serial(hub.port, data)
        return Answer()

    async def _serial_history(self, args: Mapping[str, object]) -> Answer:
        hub = self._port(args)
        start = number(args, "offset", 0)
        data = hub.history.since(max(0, start))
        first = hub.history.end - len(data)
        part = data[:HISTORY_PART_BYTES]
        return Answer(
            {
                "offset": first,
                "next": first + len(part),
                "end": hub.history.end,
                "data": base64.b64encode(part).decode("ascii"),
            }
        )

    async def _console(self, args: Mapping[str, object]) -> Answer:
        hub = self._port(args)
        return Answer({}, (hub.open_client(replay=boolean(args, "replay", True)),))

    async def _frame(self, _: Mapping[str, object]) -> Answer:
        handle = self._host.frame_handle()
        return Answer({"display": handle is not None}, () if handle is None else (handle,))

    async def _text(self, _: Mapping[str, object]) -> Answer:
        return Answer({"text": await self._host.screen_text()})

    async def _wait(self, args: Mapping[str, object]) -> Answer:
        kind, wanted = text(args, "kind"), text(args, "text")
        needle = wanted.encode("utf-8", errors="surrogateescape")
        if not needle or len(needle) > NEEDLE_MAX_BYTES:
            raise ProtocolError(f"Give a text of 1 to {NEEDLE_MAX_BYTES} bytes to wait for.")
        seconds = args.get("seconds")
        if seconds is not None and not isinstance(seconds, int | float):
            raise ProtocolError("The seconds of a wait are no number.")
        deadline = min(WAIT_MAX_SECONDS, seconds) if seconds is not None else WAIT_MAX_SECONDS
        match kind:
            case "serial":
                waiting = self._port(args).wait_for(
                    needle, only_new=boolean(args, "only_new", False)
                )
            case "screen":
                waiting = self._host.wait_screen(wanted)
            case _:
                raise NotSupportedError(f"The worker cannot wait for {kind[:40]!r}.")
        try:
            async with asyncio.timeout(deadline):
                await waiting
        except TimeoutError:
            raise TimedOutError(
                f"The text {wanted[:100]!r} did not appear within {deadline:g} seconds."
            ) from None
        except EOFError:
            raise WrongStateError(
                f"{self._host.launch.name} ended before the text {wanted[:100]!r} appeared."
            ) from None
        return Answer()

    async def _debug(self, args: Mapping[str, object]) -> Answer:
        require(Action.DEBUG, self._host.state, self._host.launch.name)
        return Answer(await self._host.debug(table(args, "request")))

    async def _trace(self, args: Mapping[str, object]) -> Answer:
        match text(args, "action"):
            case "start":
                return Answer(
                    await self._host.debug(
                        {
                            "do": "trace_start",
                            "classes": args.get("classes"),
                            "limit": number(args, "limit"),
                        }
                    )
                )
            case "stop":
                return Answer(await self._host.debug({"do": "trace_stop"}))
            case "read":
                first, limit = number(args, "from", 0), number(args, "limit")
                return Answer(
                    await self._host.debug({"do": "trace_read", "from": first, "limit": limit})
                )
            case other:
                raise ProtocolError(f"A trace cannot {other[:40]!r}: start, stop or read it.")

    def _port(self, args: Mapping[str, object]) -> SerialHub:
        port = number(args, "port", 0)
        hub = self._host.serial.get(port)
        if hub is None:
            name = self._host.launch.name
            if port == CONSOLE_PORT:
                raise NotFoundError(
                    f"{name} has no virtio console: edit it with --virtio-console stdio."
                )
            there = ", ".join(str(n) for n in self._host.serial if n != CONSOLE_PORT) or "none"
            raise NotFoundError(
                f"{name} has no serial port {port}: there is {there}, counted from 0."
            )
        return hub


def _press(item: object) -> KeyPress:
    match item:
        case [int(code), bool(down)] if 0 < code <= 0xFFFF:
            return KeyPress(code, down)
        case _:
            raise ProtocolError("A key movement is a code from 1 to 0xffff and a truth value.")
