"""What the packets of gdb mean for a machine: one connection's state.

::

    attach: pause --> stopped <--- stop reply --- running
                        `--- c, s, vCont ----------^   (Ctrl-C pauses)
    detach: own points removed, the machine runs on if it ran before
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from vmwb.model.debug import DebugStatus, Memory, Registers, WatchKind, Watchpoint
from vmwb.model.errors import VmwbError
from vmwb.model.power import PowerState
from vmwb.services.gdb.packets import PACKET_MAX_BYTES
from vmwb.services.gdb.target import (
    Target,
    View,
    read_bytes,
    target_for,
    value_to_set,
)

OK: Final = b"OK"
UNKNOWN: Final = b""
ERROR: Final = b"E01"
SIGINT: Final = 2
SIGTRAP: Final = 5
_WATCH: Final = {"2": WatchKind.WRITE, "3": WatchKind.READ, "4": WatchKind.ACCESS}
_WATCH_WORDS: Final = {
    WatchKind.WRITE: "watch",
    WatchKind.READ: "rwatch",
    WatchKind.ACCESS: "awatch",
}
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,32}")
_FEATURES: Final = (
    f"PacketSize={PACKET_MAX_BYTES:x};qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;"
    "vContSupported+"
).encode()


class Machine(Protocol):
    """The machine that a stub debugs: the debug and power services for one name."""

    async def status(self) -> DebugStatus:
        """Where it stands."""
        ...

    async def select(self, processor: int) -> None:
        """Look at another processor, counted from 0."""
        ...

    async def registers(self) -> Registers:
        """All registers."""
        ...

    async def set_register(self, name: str, value: int) -> None:
        """Set one register."""
        ...

    async def read_memory(self, address: int, length: int) -> Memory:
        """Read memory without effects."""
        ...

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write RAM."""
        ...

    async def set_breakpoint(self, address: int, *, there: bool) -> None:
        """Set or remove a breakpoint."""
        ...

    async def set_watchpoint(self, point: Watchpoint, *, there: bool) -> None:
        """Set or remove a watchpoint."""
        ...

    async def step(self) -> DebugStatus:
        """Run one instruction."""
        ...

    async def pause(self) -> None:
        """Stop it; it may stand already."""
        ...

    async def resume(self) -> None:
        """Let it run on."""
        ...

    async def wait_stop(self) -> DebugStatus:
        """Return when it stands."""
        ...


class Detached(Exception):  # noqa: N818 - not an error: gdb has said good-bye
    """gdb leaves; ``reply`` is still to be sent."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self.reply = reply


class Stub:
    """One connection. ``handle`` answers a packet; ``run`` is called when it says so."""

    def __init__(self, machine: Machine, view: View) -> None:
        self._machine = machine
        self._view = view
        self._target: Target | None = None
        self._ran = False
        self._breakpoints: dict[int, int] = {}
        self._watchpoints: set[Watchpoint] = set()
        self._last: DebugStatus | None = None
        #: The machine runs and its stop has to be told.
        self.running = False
        #: gdb has asked for no acknowledgements.
        self.no_ack = False
        self._packets: dict[str, Callable[[str], Awaitable[bytes]]] = {
            "?": self._why,
            "g": self._read_all,
            "G": self._write_all,
            "p": self._read_one,
            "P": self._write_one,
            "m": self._read_memory,
            "M": self._write_memory,
            "Z": self._insert,
            "z": self._remove,
            "c": self._continue,
            "C": self._continue_signalled,
            "s": self._step,
            "S": self._step_signalled,
            "v": self._verbose,
            "q": self._query,
            "Q": self._set,
            "H": self._thread,
            "T": self._alive,
            "D": self._detach,
            "k": self._kill,
        }

    async def attach(self) -> None:
        """Stop the machine for gdb, which expects it to stand."""
        status = await self._machine.status()
        self._ran = status.state is PowerState.RUNNING
        if self._ran:
            await self._machine.pause()
        self._target = target_for(self._view, await self._machine.registers())

    async def release(self) -> None:
        """Leave the machine as it was found: without our points, running if it ran."""
        with contextlib.suppress(VmwbError):
            for address in [*self._breakpoints]:
                await self._machine.set_breakpoint(address, there=False)
            for point in self._watchpoints:
                await self._machine.set_watchpoint(point, there=False)
            self._breakpoints.clear()
            self._watchpoints.clear()
            if self._ran and not self.running:
                await self._machine.resume()

    async def handle(self, data: bytes) -> bytes | None:
        """Answer one packet; ``None``: the answer comes when the machine stops.

        Raises:
            Detached: gdb leaves.
        """
        if data[:1] == b"X":
            return await self._guarded(self._write_binary(data[1:]))
        text = data.decode("latin-1")
        answer = self._packets.get(text[:1])
        if answer is None:
            return UNKNOWN
        reply = await self._guarded(answer(text[1:]))
        return None if self.running else reply

    async def stopped(self) -> bytes:
        """Wait until the running machine stands, and tell why.

        A machine that has ended is told as a program that has exited.
        """
        try:
            status = await self._machine.wait_stop()
        except VmwbError:
            self.running = False
            return b"W00"
        self.running = False
        return self._stop_reply(status, SIGINT if status.stop is None else SIGTRAP)

    async def interrupt(self) -> None:
        """Stop the running machine: the stop is told by ``stopped``."""
        # It may have stopped, or ended, in this moment.
        with contextlib.suppress(VmwbError):
            await self._machine.pause()

    # ------------------------------------------------------------------ answers

    async def _guarded(self, answer: Awaitable[bytes]) -> bytes:
        """Turn what cannot be done into an error of the protocol."""
        try:
            return await answer
        except (VmwbError, ValueError, IndexError):
            return ERROR

    def _stop_reply(self, status: DebugStatus, signal: int) -> bytes:
        self._last = status
        why = ""
        stop = status.stop
        if stop is not None and stop.watch is not None:
            why = f"{_WATCH_WORDS[stop.watch]}:{stop.address:x};"
        elif stop is not None and stop.address in self._breakpoints:
            hard = self._breakpoints[stop.address] == 1
            why = "hwbreak:;" if hard else "swbreak:;"
        # A processor is a thread to gdb; threads count from 1.
        return f"T{signal:02x}thread:{status.processor + 1:x};{why}".encode()

    async def _why(self, _: str) -> bytes:
        return self._stop_reply(await self._machine.status(), SIGTRAP)

    async def _thread(self, text: str) -> bytes:
        """Choose the thread of what follows: g for looking, c (of old) for running."""
        thread = text[1:]
        if text[:1] == "g" and thread not in {"0", "-1"}:
            await self._machine.select(_hex(thread) - 1)
        return OK

    async def _alive(self, text: str) -> bytes:
        status = await self._machine.status()
        return OK if 1 <= _hex(text) <= status.processors else ERROR

    def _registers(self) -> Target:
        assert self._target is not None, "attach comes first"
        return self._target

    async def _read_all(self, _: str) -> bytes:
        values = await self._machine.registers()
        raw = b"".join(read_bytes(register, values) for register in self._registers().registers)
        return raw.hex().encode()

    async def _write_all(self, text: str) -> bytes:
        raw = bytes.fromhex(text)
        values = await self._machine.registers()
        at = 0
        for register in self._registers().registers:
            part = raw[at : at + register.size]
            at += register.size
            if len(part) == register.size and part != read_bytes(register, values):
                if register.setter is None:
                    return ERROR
                value = value_to_set(register, part, values)
                await self._machine.set_register(register.setter, value)
        return OK

    async def _read_one(self, text: str) -> bytes:
        register = self._registers().registers[_hex(text)]
        return read_bytes(register, await self._machine.registers()).hex().encode()

    async def _write_one(self, text: str) -> bytes:
        number, _, digits = text.partition("=")
        register = self._registers().registers[_hex(number)]
        raw = bytes.fromhex(digits)
        values = await self._machine.registers()
        if register.setter is None or len(raw) != register.size:
            return ERROR
        await self._machine.set_register(register.setter, value_to_set(register, raw, values))
        return OK

    async def _read_memory(self, text: str) -> bytes:
        address, length = _pair(text)
        if length == 0:
            return OK
        most = PACKET_MAX_BYTES // 2
        memory = await self._machine.read_memory(address, min(length, most))
        return memory.data.hex().encode()

    async def _write_memory(self, text: str) -> bytes:
        place, _, digits = text.partition(":")
        address, length = _pair(place)
        data = bytes.fromhex(digits)
        if len(data) != length:
            return ERROR
        if data:
            await self._machine.write_memory(address, data)
        return OK

    async def _write_binary(self, raw: bytes) -> bytes:
        place, _, data = raw.partition(b":")
        address, length = _pair(place.decode("latin-1"))
        if len(data) != length:
            return ERROR
        if data:
            await self._machine.write_memory(address, data)
        return OK

    async def _insert(self, text: str) -> bytes:
        return await self._point(text, there=True)

    async def _remove(self, text: str) -> bytes:
        return await self._point(text, there=False)

    async def _point(self, text: str, *, there: bool) -> bytes:
        kind, place = text[:1], text[2:].partition(";")[0]
        address, length = _pair(place)
        if kind in {"0", "1"}:
            await self._machine.set_breakpoint(address, there=there)
            if there:
                self._breakpoints[address] = int(kind)
            else:
                self._breakpoints.pop(address, None)
            return OK
        if kind in _WATCH:
            point = Watchpoint(address, length, _WATCH[kind])
            await self._machine.set_watchpoint(point, there=there)
            if there:
                self._watchpoints.add(point)
            else:
                self._watchpoints.discard(point)
            return OK
        return UNKNOWN

    async def _continue_signalled(self, text: str) -> bytes:
        # A machine has no signals; what follows the signal is the address.
        return await self._continue(text.partition(";")[2])

    async def _step_signalled(self, text: str) -> bytes:
        return await self._step(text.partition(";")[2])

    async def _continue(self, text: str) -> bytes:
        await self._go_to(text)
        await self._machine.resume()
        self.running = True
        return OK

    async def _step(self, text: str) -> bytes:
        await self._go_to(text)
        status = await self._machine.step()
        if not status.state.has_worker:
            return b"W00"
        return self._stop_reply(status, SIGTRAP)

    async def _go_to(self, text: str) -> None:
        """Take the address to go on at, which old forms of continue and step may have."""
        if text:
            values = await self._machine.registers()
            base = values.linear_rip - values.rip
            await self._machine.set_register("rip", _hex(text) - base)

    async def _verbose(self, text: str) -> bytes:
        if text == "Cont?":
            return b"vCont;c;C;s;S"
        if text.startswith("Cont;"):
            # The first action decides: a step is one processor's, the others stand meanwhile.
            action, _, thread = text[5:].partition(";")[0].partition(":")
            if action[:1] in {"c", "C"}:
                return await self._continue("")
            if action[:1] in {"s", "S"}:
                if thread and thread != "-1":
                    await self._machine.select(_hex(thread) - 1)
                return await self._step("")
        if text.startswith("Kill"):
            await self._kill("")
        return UNKNOWN

    async def _query(self, text: str) -> bytes:
        name = re.split("[:,;]", text, maxsplit=1)[0]
        match name:
            case "Supported":
                return _FEATURES
            case "Xfer":
                return self._transfer(text)
            case "Attached":
                return b"1"
            case "C":
                status = await self._machine.status()
                return f"QC{status.processor + 1:x}".encode()
            case "fThreadInfo":
                status = await self._machine.status()
                threads = ",".join(f"{n + 1:x}" for n in range(status.processors))
                return f"m{threads}".encode()
            case "sThreadInfo":
                return b"l"
            case "ThreadExtraInfo":
                return f"processor {_hex(text.partition(',')[2]) - 1}".encode().hex().encode()
            case "Symbol":
                return OK
            case _:
                return UNKNOWN

    def _transfer(self, text: str) -> bytes:
        match text.split(":"):
            case ["Xfer", "features", "read", "target.xml", place]:
                offset, length = _pair(place)
                whole = self._registers().xml().encode()
                part = whole[offset : offset + min(length, PACKET_MAX_BYTES // 2)]
                return (b"l" if offset + len(part) >= len(whole) else b"m") + part
            case _:
                return UNKNOWN

    async def _set(self, text: str) -> bytes:
        if text == "StartNoAckMode":
            self.no_ack = True
            return OK
        return UNKNOWN

    async def _detach(self, _: str) -> bytes:
        # Whoever says good-bye wants the machine to run, as gdb's manual has it.
        self._ran = True
        raise Detached(OK)

    async def _kill(self, _: str) -> bytes:
        # The machine is its owner's: gdb's kill leaves it and does not switch it off.
        raise Detached(OK)


def _hex(text: str) -> int:
    """Read a hexadecimal number.

    Raises:
        ValueError: it is none, or too long.
    """
    if _HEX.fullmatch(text) is None:
        raise ValueError(text[:40])
    return int(text, 16)


def _pair(text: str) -> tuple[int, int]:
    """Read two hexadecimal numbers with a comma between them."""
    first, _, second = text.partition(",")
    address, length = _hex(first), _hex(second)
    if address >> 64 or length >> 32:
        raise ValueError(text[:40])
    return address, length
