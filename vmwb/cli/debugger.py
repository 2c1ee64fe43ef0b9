"""The commands of ``vmwb debug``: one line in, one object and its text out.

Addresses are expressions of numbers and registers: ``0x1000``, ``rip``, ``rsp+8``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from vmwb.cli import debug_text
from vmwb.model.debug import (
    DescriptorTableKind,
    TraceSettings,
    WatchKind,
    Watchpoint,
)
from vmwb.model.errors import UsageError, VmwbError
from vmwb.model.power import PowerState

if TYPE_CHECKING:
    from vmwb.services.api import Services

_TERM: Final = re.compile(r"\s*([+-]?)\s*(0[xX][0-9a-fA-F]+|[0-9]+|[a-z_][a-z0-9_]*)\s*")
_ALIASES: Final = {
    "eip": "rip",
    "ip": "rip",
    "pc": "rip",
    "eflags": "rflags",
    "flags": "rflags",
    **{f"e{name}": f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")},
    **{name: f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")},
}
ADDRESS_MASK: Final = (1 << 64) - 1
WAIT_SECONDS: Final = 3600.0

HELP: Final = """\
status                       where the machine stands, and why
cpu [NUMBER]                 which processor is looked at, or look at another one
regs [fpu|sse|all]           registers
set REGISTER VALUE           set one (paused)
dis [ADDRESS] [COUNT]        disassemble; the next instructions if nothing is said
mem ADDRESS [LENGTH]         memory by linear address; pmem: by physical address
write ADDRESS HEX            write memory (paused); pwrite: by physical address
walk ADDRESS                 page tables from a linear address to the host's memory
gdt | ldt | idt [FIRST] [N]  descriptors
break [ADDRESS]              set a breakpoint, or list them; delete ADDRESS|all
watch [ADDRESS [LENGTH] [write|read|access]]   the same for watchpoints; unwatch ADDRESS|all
step [COUNT]                 run instructions (paused)
continue                     let it run on; pause: stop it
wait [SECONDS]               until it stands; run: continue and wait
nmi                          send a non-maskable interrupt, as a button on the board does
trace [N]                    the last N trace events
trace start [CLASSES] [LIMIT] | trace stop
quit

An address is numbers and registers with + and -: rip, rsp+8, gs_base+0x20."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command gives: its object for ``--json``, and its text."""

    data: Mapping[str, object]
    text: str


class Debugger:
    """Carries out commands for one machine."""

    def __init__(self, services: Services, machine: str) -> None:
        self._services = services
        self._debug = services.debug
        self._machine = machine
        self._commands: dict[str, Callable[[Sequence[str]], Awaitable[Outcome]]] = {
            "help": self._help,
            "status": self._status,
            "cpu": self._cpu,
            "regs": self._regs,
            "set": self._set,
            "dis": self._dis,
            "mem": self._mem,
            "pmem": self._pmem,
            "write": self._write,
            "pwrite": self._pwrite,
            "walk": self._walk,
            "gdt": lambda words: self._table(DescriptorTableKind.GDT, words),
            "ldt": lambda words: self._table(DescriptorTableKind.LDT, words),
            "idt": lambda words: self._table(DescriptorTableKind.IDT, words),
            "break": self._break,
            "delete": self._delete,
            "watch": self._watch,
            "unwatch": self._unwatch,
            "step": self._step,
            "continue": self._continue,
            "pause": self._pause,
            "wait": self._wait,
            "run": self._run,
            "nmi": self._nmi,
            "trace": self._trace,
        }

    async def command(self, line: str) -> Outcome:
        """Carry out one line.

        Raises:
            UsageError: there is no such command, or its words make no sense.
            VmwbError: what the machine answers.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"The line cannot be read: {error}.") from None
        if not words:
            raise UsageError("There is no command in an empty line: `help` lists what there is.")
        found = [name for name in self._commands if name.startswith(words[0])]
        name = words[0] if words[0] in self._commands else (found[0] if len(found) == 1 else "")
        if not name:
            raise UsageError(
                f"There is no command {words[0][:40]!r}: `help` lists what there is.",
                {"command": words[0]},
            )
        outcome = await self._commands[name](words[1:])
        return Outcome({"command": name, **outcome.data}, outcome.text)

    async def interrupt(self) -> None:
        """Stop the machine because the user pressed Ctrl-C."""
        if (await self._debug.status(self._machine)).state is PowerState.RUNNING:
            await self._services.power.pause(self._machine)

    # ------------------------------------------------------------------ looking

    async def _help(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 0)
        return Outcome({"text": HELP}, HELP)

    async def _status(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 0)
        return await self._where()

    async def _where(self) -> Outcome:
        status = await self._debug.status(self._machine)
        return Outcome(asdict(status), debug_text.status(status))

    async def _cpu(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 1)
        if words:
            await self._debug.select(self._machine, _number(words[0]))
        return await self._where()

    async def _regs(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 1)
        group = words[0] if words else ""
        if group not in {"", "fpu", "sse", "all"}:
            raise UsageError("Registers are shown with nothing, fpu, sse or all behind `regs`.")
        registers = await self._debug.registers(self._machine)
        return Outcome(asdict(registers), debug_text.registers(registers, group))

    async def _dis(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 2)
        address = await self._address(words[0]) if words else None
        count = _number(words[1]) if len(words) > 1 else 10
        lines = await self._debug.disassemble(self._machine, address, count)
        rows = [{"address": i.address, "bytes": i.data.hex(), "text": i.text} for i in lines]
        return Outcome({"lines": rows}, debug_text.code(lines))

    async def _mem(self, words: Sequence[str]) -> Outcome:
        return await self._memory(words, physical=False)

    async def _pmem(self, words: Sequence[str]) -> Outcome:
        return await self._memory(words, physical=True)

    async def _memory(self, words: Sequence[str], *, physical: bool) -> Outcome:
        address = await self._needed_address(words, 2)
        length = _number(words[1]) if len(words) > 1 else 64
        memory = await self._debug.read_memory(self._machine, address, length, physical=physical)
        data: dict[str, object] = {
            "address": memory.address,
            "physical": physical,
            "data": memory.data.hex(),
        }
        return Outcome(data, debug_text.memory(memory))

    async def _walk(self, words: Sequence[str]) -> Outcome:
        walk = await self._debug.walk(self._machine, await self._needed_address(words, 1))
        return Outcome(asdict(walk), debug_text.walk(walk))

    async def _table(self, kind: DescriptorTableKind, words: Sequence[str]) -> Outcome:
        _at_most(words, 2)
        first = _number(words[0]) if words else 0
        count = _number(words[1]) if len(words) > 1 else 32
        table = await self._debug.descriptors(self._machine, kind, first=first, count=count)
        return Outcome({"table": kind.value, **asdict(table)}, debug_text.descriptors(table))

    # ------------------------------------------------------------------ changing

    async def _set(self, words: Sequence[str]) -> Outcome:
        if len(words) != 2:
            raise UsageError("Give a register and a value: `set rax 0x10`.")
        name = _ALIASES.get(words[0].lower(), words[0].lower())
        wide = name.startswith(("xmm", "st"))
        value = _number(words[1]) if wide else await self._address(words[1])
        await self._debug.set_register(self._machine, name, value)
        return Outcome({"register": name, "value": value}, "")

    async def _write(self, words: Sequence[str]) -> Outcome:
        return await self._write_memory(words, physical=False)

    async def _pwrite(self, words: Sequence[str]) -> Outcome:
        return await self._write_memory(words, physical=True)

    async def _write_memory(self, words: Sequence[str], *, physical: bool) -> Outcome:
        if len(words) < 2:
            raise UsageError("Give an address and bytes in hexadecimal: `write 0x1000 90 90`.")
        address = await self._address(words[0])
        try:
            data = bytes.fromhex("".join(words[1:]))
        except ValueError:
            raise UsageError("Bytes are pairs of hexadecimal digits: `write 0x1000 90`.") from None
        await self._debug.write_memory(self._machine, address, data, physical=physical)
        return Outcome({"address": address, "length": len(data)}, "")

    async def _break(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 1)
        add = [await self._address(words[0])] if words else []
        return _breakpoints(await self._debug.breakpoints(self._machine, add=add))

    async def _delete(self, words: Sequence[str]) -> Outcome:
        if list(words) == ["all"]:
            return _breakpoints(await self._debug.breakpoints(self._machine, clear=True))
        address = await self._needed_address(words, 1)
        if address not in await self._debug.breakpoints(self._machine):
            raise UsageError(f"There is no breakpoint at {address:#x}: `break` lists them.")
        return _breakpoints(await self._debug.breakpoints(self._machine, remove=[address]))

    async def _watch(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 3)
        add: list[Watchpoint] = []
        if words:
            address = await self._address(words[0])
            kinds = [word for word in words[1:] if word in set(WatchKind)]
            lengths = [word for word in words[1:] if word not in set(WatchKind)]
            if len(kinds) > 1 or len(lengths) > 1:
                raise UsageError("Give a length and one of write, read, access: `watch 0x10 4`.")
            length = _number(lengths[0]) if lengths else 8
            add.append(Watchpoint(address, length, WatchKind(kinds[0] if kinds else "write")))
        return _watchpoints(await self._debug.watchpoints(self._machine, add=add))

    async def _unwatch(self, words: Sequence[str]) -> Outcome:
        if list(words) == ["all"]:
            return _watchpoints(await self._debug.watchpoints(self._machine, clear=True))
        address = await self._needed_address(words, 1)
        there = await self._debug.watchpoints(self._machine)
        gone = [point for point in there if point.address == address]
        if not gone:
            raise UsageError(f"There is no watchpoint at {address:#x}: `watch` lists them.")
        return _watchpoints(await self._debug.watchpoints(self._machine, remove=gone))

    # ------------------------------------------------------------------ running

    async def _step(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 1)
        status = await self._debug.step(self._machine, _number(words[0]) if words else 1)
        return await self._stand(asdict(status), debug_text.status(status))

    async def _continue(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 0)
        await self._services.power.unpause(self._machine)
        return Outcome({"state": PowerState.RUNNING.value}, "")

    async def _pause(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 0)
        await self._services.power.pause(self._machine)
        return await self._stand({}, "")

    async def _nmi(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 0)
        await self._debug.nmi(self._machine)
        return Outcome({}, "")

    async def _wait(self, words: Sequence[str]) -> Outcome:
        _at_most(words, 1)
        seconds = float(_number(words[0])) if words else WAIT_SECONDS
        status = await self._debug.wait_stop(self._machine, timeout_s=seconds)
        return await self._stand(asdict(status), debug_text.status(status))

    async def _run(self, words: Sequence[str]) -> Outcome:
        await self._continue(())
        return await self._wait(words)

    async def _stand(self, data: Mapping[str, object], text: str) -> Outcome:
        """Add the next instruction to what is told of a machine that stands."""
        if not data:
            where = await self._where()
            data, text = where.data, where.text
        try:
            (line,) = await self._debug.disassemble(self._machine, None, 1)
        except (VmwbError, ValueError):
            # It ended in this step, or its code cannot be read: the status says enough.
            return Outcome(data, text)
        return Outcome({**data, "next": line.text}, f"{text}\n{debug_text.code([line])}")

    # ------------------------------------------------------------------ traces

    async def _trace(self, words: Sequence[str]) -> Outcome:
        match list(words):
            case ["start", *rest] if len(rest) <= 2:
                classes = tuple(rest[0].split(",")) if rest else ("default",)
                settings = TraceSettings(classes)
                if len(rest) > 1:
                    settings = TraceSettings(classes, _number(rest[1]))
                await self._debug.trace_start(self._machine, settings)
                return Outcome({"classes": list(classes), "limit": settings.limit}, "")
            case ["stop"]:
                await self._debug.trace_stop(self._machine)
                return Outcome({}, "")
            case []:
                return await self._last_events(20)
            case [count]:
                return await self._last_events(_number(count))
            case _:
                raise UsageError("A trace is `trace N`, `trace start [CLASSES] [N]`, `trace stop`.")

    async def _last_events(self, count: int) -> Outcome:
        reading = await self._debug.trace_read(self._machine, first=ADDRESS_MASK >> 1, limit=0)
        following = max(reading.kept_from, reading.end - count)
        lines: list[str] = []
        while following < reading.end:
            part = await self._debug.trace_read(self._machine, first=following, limit=count)
            lines += part.lines.splitlines()
            if part.next <= following:
                break
            following = part.next
        return Outcome(
            {"recorded": reading.end - 1, "kept_from": reading.kept_from, "lines": lines[:count]},
            debug_text.trace(lines[:count], recording=bool(reading.classes)),
        )

    # ------------------------------------------------------------------ words

    async def _needed_address(self, words: Sequence[str], most: int) -> int:
        _at_most(words, most)
        if not words:
            raise UsageError("Give an address: a number, a register, or both, as in `rsp+8`.")
        return await self._address(words[0])

    async def _address(self, text: str) -> int:
        names: Mapping[str, int] | None = None
        total, at = 0, 0
        text = text.lower()
        while at < len(text):
            term = _TERM.match(text, at)
            if term is None or (at > 0 and not term[1]):
                raise UsageError(f"{text[:60]!r} is no address: write 0x1000, rip or rsp+8.")
            word = term[2]
            if word[0].isdigit():
                value = int(word, 0) if word[:2] == "0x" else int(word)
            else:
                if names is None:
                    registers = await self._debug.registers(self._machine)
                    # Where code is, in every mode.
                    names = {**registers.named(), "rip": registers.linear_rip}
                name = _ALIASES.get(word, word)
                if name not in names:
                    raise UsageError(f"There is no register {word[:40]!r} to make an address of.")
                value = names[name]
            total += -value if term[1] == "-" else value
            at = term.end()
        if not text:
            raise UsageError("An empty word is no address: write 0x1000, rip or rsp+8.")
        return total & ADDRESS_MASK


def _breakpoints(points: tuple[int, ...]) -> Outcome:
    text = "\n".join(f"breakpoint at {address:#x}" for address in points)
    return Outcome({"breakpoints": list(points)}, text or "no breakpoints")


def _watchpoints(points: tuple[Watchpoint, ...]) -> Outcome:
    text = "\n".join(f"{p.kind} watchpoint at {p.address:#x}, {p.length} bytes" for p in points)
    return Outcome({"watchpoints": [p.to_json() for p in points]}, text or "no watchpoints")


def _at_most(words: Sequence[str], most: int) -> None:
    if len(words) > most:
        raise UsageError(f"{words[most][:40]!r} is one word too many: `help` shows what there is.")


def _number(text: str) -> int:
    try:
        value = int(text, 16) if text[:2].lower() == "0x" else int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise UsageError(f"{text[:40]!r} is no number: write 16 or 0x10.")
    return value
