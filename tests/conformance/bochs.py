"""The oracle: the Bochs processor out of the package `bochscpu-python`, one process to an image.

The processor is one global object that cannot be made twice, keeps decoded code without noticing
writes from outside, and ends the process where it meets what it was built without. So the parent
prepares it once, and every image runs in a child of its own, by fork, whose memory goes with it.
What it lacks: hardware interrupts, breakpoints by debug registers, and ports: IN and OUT end the
process whether they are allowed or not, which counts as given up.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from images import (
    CONTROL,
    DEBUG,
    GENERAL,
    HIGH_RAM,
    IMAGE_BYTES,
    MODEL_SPECIFIC,
    SEGMENTS,
    Image,
    Outcome,
    Registers,
    Segment,
)

ROOT = Path(__file__).resolve().parents[2]
SHIM_SOURCE = Path(__file__).with_name("isoc23.c")
PAGE = 4096
DEBUG_TRAP, DOUBLE_FAULT, PAGE_FAULT = 1, 8, 14
#: CR0.MP, EM and TS.
COPROCESSOR_BITS = 0b1110
#: Seconds that one image may take: the oracle can loop in faults without an instruction.
PATIENCE_S = 2.0


def load() -> Any:
    """Return the module `bochscpu`, with the names of a newer C library put under it."""
    shim = ROOT / "build" / "conformance" / "isoc23.so"
    if not shim.exists() or shim.stat().st_mtime < SHIM_SOURCE.stat().st_mtime:
        shim.parent.mkdir(parents=True, exist_ok=True)
        fresh = shim.with_suffix(f".{os.getpid()}")
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-o", str(fresh), str(SHIM_SOURCE)], check=True
        )
        fresh.replace(shim)
    ctypes.CDLL(str(shim), mode=ctypes.RTLD_GLOBAL)
    import bochscpu
    import bochscpu.memory

    return bochscpu


class Oracle:
    """The prepared processor. One of them per process."""

    def __init__(self) -> None:
        self._module = load()
        self._ram = self._map(0, IMAGE_BYTES)
        self._high = self._map(*HIGH_RAM)
        self._session = self._module.Session()
        self._session.missing_page_handler = self._missing

    def _map(self, start: int, size: int) -> mmap.mmap:
        """Give the processor zeroed RAM at a guest address."""
        ram = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = ctypes.addressof(ctypes.c_char.from_buffer(ram))
        for at in range(0, size, PAGE):
            self._module.memory.page_insert(start + at, base + at)
        return ram

    def _missing(self, address: int) -> None:
        """Let memory that is not there read as all ones, as on our side."""
        page = self._module.memory.allocate_host_page()
        ctypes.memset(page, 0xFF, PAGE)
        self._module.memory.page_insert(address & ~(PAGE - 1), page)

    def run(self, image: Image) -> Outcome:
        """Run an image in a child and return what became of it."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            self._run_and_leave(image, reading, writing)
        os.close(writing)
        answer = _read_all(reading, child)
        os.close(reading)
        _, status = os.waitpid(child, 0)
        lines = answer.splitlines()
        if lines and status in {0, signal.SIGABRT}:
            return Outcome.of(json.loads(lines[-1]))
        why = "it took too long" if status == signal.SIGKILL else f"status {status:#x}"
        return Outcome((), f"the oracle gave up: {why}", ())

    def _run_and_leave(self, image: Image, reading: int, writing: int) -> None:
        status = 1
        faulthandler.disable()  # that the oracle ends its process is an answer, not a fault of ours
        try:
            os.close(reading)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            self._run_here(image, writing)
            status = 0
        finally:
            os._exit(status)

    def _run_here(self, image: Image, writing: int) -> None:
        """Run, and write one line of JSON; an earlier one stands if the third fault ends us."""
        before = bytearray(IMAGE_BYTES)
        for at, data in image.memory:
            before[at : at + len(data)] = data
        self._switch_coprocessor(image.registers.cr[0])
        self._ram[:] = bytes(before)
        self._session.cpu.state = self._state(image.registers)

        def answer(watch: _Watch, end: str) -> None:
            line = json.dumps(
                {
                    "trace": watch.trace,
                    "end": end,
                    "memory": _changed(before, self._ram),
                    "exceptions": watch.exceptions,
                }
            )
            data = line.encode() + b"\n"
            while data:
                data = data[os.write(writing, data) :]

        watch = _Watch(self._session, image, answer)
        hook = self._module.Hook()
        hook.before_execution = watch.before
        hook.after_execution = watch.after
        hook.exception = watch.exception
        hook.hlt = watch.halt
        self._session.run([hook])
        answer(watch, watch.end)

    def _switch_coprocessor(self, cr0: int) -> None:
        """Let the processor load EM and TS itself: setting its state does not reach x87 and MMX."""
        if not cr0 & COPROCESSOR_BITS:
            return
        self._ram[0x7C00:0x7C04] = b"\x0f\x22\xc0\xf4"  # mov cr0, eax; hlt
        start = Registers().but(rax=0x10 | cr0 & COPROCESSOR_BITS)
        self._session.cpu.state = self._state(start)
        hook = self._module.Hook()
        hook.hlt = lambda session, _cpu: session.stop()
        self._session.run([hook])

    def _state(self, registers: Registers) -> Any:
        state = self._session.cpu.state
        state.rip, state.rflags, state.efer = registers.rip, registers.rflags, registers.efer
        state.fpcw, state.fpsw, state.fptw = 0x37F, 0, 0xFFFF  # as FNINIT leaves it
        pairs = (
            (GENERAL, registers.gpr),
            (CONTROL, registers.cr),
            (DEBUG, registers.dr),
            (MODEL_SPECIFIC, registers.msr),
        )
        for names, values in pairs:
            for name, value in zip(names, values, strict=True):
                setattr(state, name, value)
        for name, value in zip(SEGMENTS, registers.seg, strict=True):
            setattr(state, name, self._segment(value))
        state.ldtr, state.tr = self._segment(registers.ldtr), self._segment(registers.tr)
        for name, (base, limit) in (("gdtr", registers.gdtr), ("idtr", registers.idtr)):
            table = self._module.GlobalSegment()
            table.base, table.limit = base, limit
            setattr(state, name, table)
        return state

    def _segment(self, value: Segment) -> Any:
        segment = self._module.Segment()
        segment.selector, segment.base, segment.limit, segment.attr = value
        segment.present = bool(value[3] & 0x80)
        return segment


class _Watch:
    """What happens while the oracle runs."""

    def __init__(
        self,
        session: Any,
        image: Image,
        answer: Callable[[_Watch, str], None],
    ) -> None:
        self._session = session
        self._cr2 = image.registers.cr[1]
        self._answer = answer
        self._steps = image.steps
        self._started = False
        self._retired = False
        self._faults = 0
        self._third = False
        self.trace: list[dict[str, Any]] = []
        self.exceptions: list[tuple[int, int, int]] = []
        self.end = "steps"

    def before(self, _session: Any, _cpu: int, _instruction: int) -> None:
        if self._started and self._retired:
            self._step()
        self._started, self._retired = True, False

    def after(self, _session: Any, _cpu: int, _instruction: int) -> None:
        self._retired = True
        self._faults = 0
        self._third = False

    def exception(self, _session: Any, _cpu: int, vector: int, error: int) -> None:
        if self._retired and vector != DEBUG_TRAP:
            # The next instruction could not be fetched: the one before it is a step of its own.
            self._step()
            self._retired = False
            if vector == PAGE_FAULT and self.trace:
                control = self.trace[-1]["cr"]  # CR2 is loaded by now
                control[1] = self.trace[-2]["cr"][1] if len(self.trace) > 1 else self._cr2
        after_double = self._faults and self.exceptions[-1][1] == DOUBLE_FAULT
        self.exceptions.append((len(self.trace), vector, error))
        self._faults += 1
        if after_double:
            # If this is the third, the processor ends the process: it was built without what it
            # would print then. If the double fault's handler faults at its first byte, it goes on.
            self._answer(self, "triple")
            self._third = True
        if self._faults > 16:
            self._finish("it loops in faults")

    def halt(self, _session: Any, _cpu: int) -> None:
        if self.end != "steps" or len(self.trace) >= self._steps:
            self._session.stop()
            return
        if self._third:  # not HLT but the shutdown that follows
            self._finish("triple")
            return
        self._step()
        if len(self.trace) <= self._steps:
            self._finish("halt")

    def _step(self) -> None:
        if len(self.trace) < self._steps:
            self.trace.append(_registers(self._session.cpu.state))
        if len(self.trace) >= self._steps:
            self._session.stop()

    def _finish(self, end: str) -> None:
        self.end = end
        self._session.stop()


def _registers(state: Any) -> dict[str, Any]:
    def segment(s: Any) -> tuple[int, int, int, int]:
        # The attribute of a segment that the processor marks unusable keeps P in its descriptor.
        attributes = s.attr & 0xF0FF
        return (s.selector, s.base, s.limit, attributes if s.present else attributes & ~0x80)

    def all_of(names: tuple[str, ...]) -> list[int]:
        return [getattr(state, name) for name in names]

    return {
        "gpr": all_of(GENERAL),
        "rip": state.rip,
        "rflags": state.rflags,
        "seg": [segment(getattr(state, name)) for name in SEGMENTS],
        "ldtr": segment(state.ldtr),
        "tr": segment(state.tr),
        "gdtr": (state.gdtr.base, state.gdtr.limit),
        "idtr": (state.idtr.base, state.idtr.limit),
        "cr": all_of(CONTROL),
        "efer": state.efer,
        "dr": all_of(DEBUG),
        "msr": all_of(MODEL_SPECIFIC),
    }


def _changed(before: bytearray, ram: mmap.mmap) -> list[tuple[int, int]]:
    out = []
    for page in range(0, IMAGE_BYTES, PAGE):
        new = ram[page : page + PAGE]
        if new == before[page : page + PAGE]:
            continue
        for at in range(0, PAGE, 8):
            word = new[at : at + 8]
            if word != before[page + at : page + at + 8]:
                out.append((page + at, int.from_bytes(word, "little")))
    return out


def _read_all(descriptor: int, child: int) -> bytes:
    """Read until the child closes; end it when its time is over."""
    parts = []
    deadline = time.monotonic() + PATIENCE_S
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            os.kill(child, signal.SIGKILL)
            return b""
        part = os.read(descriptor, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
