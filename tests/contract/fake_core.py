"""A fake of ``vmwb_core.Machine`` with the same contract, for tests of everything around the core.

Its guest is a tiny shell on the first serial port that understands ``poweroff``, ``reset``,
``crash``, ``break N``, ``exit N``, ``screen TEXT``, ``flood N`` (bytes), ``chatter N`` (log lines),
``lock SLOT`` (holds a tray), ``eject SLOT`` and ``tablet`` (takes places of the pointer), and
echoes everything else. What is put into a drive appears on the screen by its first bytes, the
pointer by what came.
Keys appear on its screen as their codes. The kernel's first bytes are its only sanity check.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import socket
import struct
import threading
import time

from vmwb.ipc import framebuffer as fb
from vmwb.worker.core import Core
from vmwb.worker.sandbox import LockedDown

MAGIC = b"FAKE"
#: What the guest's words for events without arguments make the core tell.
TOLD = {
    "tablet": {"kind": "pointer", "absolute": True},
    "sleep": {"kind": "sleep", "asleep": True},
    "wake": {"kind": "sleep", "asleep": False},
    "boot": {"kind": "no_boot_device", "sentence": "Nothing boots."},
}
BANNER = b"fake guest: can't access tty\r\n# "


class FakeCoreError(Exception):
    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def _frame(text: str) -> int:
    """Make a framebuffer of 16x4 pixels with one text row per line."""
    handle = os.memfd_create("fake-frame", os.MFD_ALLOW_SEALING)
    columns, rows, width, height = 80, 25, 16, 4
    text_offset, buffer_offset = fb.HEADER_BYTES, fb.HEADER_BYTES * 2
    fields = {
        "magic": fb.MAGIC,
        "version": fb.LAYOUT_VERSION,
        "pixel_format": fb.FORMAT_XRGB8888,
        "sequence": 2,
        "generation": 1,
        "width": width,
        "height": height,
        "stride": width * 4,
        "buffer_count": 1,
        "buffer_offset": buffer_offset,
        "buffer_size": 4096,
        "text_offset": text_offset,
        "columns": columns,
        "rows": rows,
    }
    memory = bytearray(fb.HEADER_BYTES * 3)
    for name, value in fields.items():
        offset, size = fb.LAYOUT[name]
        struct.pack_into("<Q" if size == 8 else "<I", memory, offset, value)
    for row, line in enumerate(text.split("\n")[:rows]):
        for column, character in enumerate(line[:columns]):
            at = text_offset + (row * columns + column) * 2
            memory[at : at + 2] = bytes([ord(character), 7])
    for pixel in range(width * height):
        struct.pack_into("<I", memory, buffer_offset + pixel * 4, 0x00102030 + pixel)
    os.write(handle, memory)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return handle


class FakeMachine:
    def __init__(self, spec_json: str, handles: dict[str, int]) -> None:
        spec = json.loads(spec_json)
        if "kernel" in handles and os.pread(handles["kernel"], 4, 0) != MAGIC:
            raise FakeCoreError("bad_kernel", "The kernel is not a Linux kernel: give a bzImage.")
        self.spec = spec
        self.state = "off"
        self._lock = threading.RLock()
        self._events: list[str] = []
        self._seq = 0
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._screen: list[str] = []
        self._ports: list[socket.socket] = []
        self._line = bytearray()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._started = time.monotonic()
        self._retired = 0
        self._asked: list[dict[str, object]] = []
        self._breakpoints: list[int] = []
        self._watchpoints: list[dict[str, object]] = []
        self._recorded: object = []
        self._memory = bytearray(range(256))
        self._rip = 0
        self._trays: set[str] = set()

    @staticmethod
    def restore(spec_json: str, handles: dict[str, int]) -> FakeMachine:
        machine = FakeMachine(spec_json, {})
        devices = os.pread(handles["devices"], 1 << 20, 0)
        if not devices.startswith(MAGIC):
            raise FakeCoreError(
                "bad_state", "The saved state is damaged: its devices cannot be read."
            )
        machine._screen = json.loads(devices[4:])
        machine.state = "paused"
        return machine

    # requests
    def start(self) -> None:
        self._require("start", "off")
        self._set("starting")
        self._set("running")
        self._output(BANNER)

    def pause(self) -> None:
        self._require("pause", "running")
        self._set("pausing")
        self._set("paused")

    def resume(self) -> None:
        self._require("resume", "paused")
        self._set("resuming")
        self._set("running")
        if self._rip in self._breakpoints:
            # As a real guest may: there again before anybody has looked.
            self.hit(self._rip)

    def reset(self) -> None:
        self._require("reset", "running", "paused")
        self._say({"kind": "guest_reset"})
        self._screen.clear()
        self._output(BANNER)

    def power_button(self) -> None:
        self._require("power_button", "running")
        if "deaf" not in self.spec["boot"]["append"]:
            self._say({"kind": "guest_power_off"})
            self._set("stopping")
            self._set("off")

    def power_off(self) -> None:
        self._require("power_off", "starting", "running", "pausing", "paused", "resuming")
        self._set("stopping")
        self._set("off")

    def save(self, handles: dict[str, int]) -> None:
        self._require("save", "paused")
        os.write(handles["devices"], MAGIC + json.dumps(self._screen).encode())
        os.ftruncate(handles["ram"], 1 << 20)

    def inject(self, data: bytes) -> None:
        item = json.loads(data)
        with self._lock:
            if item["kind"] == "key":
                if item["down"]:
                    self._screen.append(f"key {item['code']:x}")
            elif item["kind"] in {"motion", "position"}:
                self._screen.append(f"{item.pop('kind')} {json.dumps(item, sort_keys=True)}")
            else:
                self._input(base64.b64decode(item["data"]))

    # observation
    def drain_events(self) -> list[str]:
        with self._lock:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._event)
            events, self._events = self._events, []
            return events

    def event_handle(self) -> int:
        return self._event

    def attach(
        self, slot: str, handle: int | None, *, read_only: bool = True, force: bool = False
    ) -> None:
        drives = self.spec.get("drives", [])
        if slot not in {drive["slot"] for drive in drives if drive["kind"] != "disk"}:
            raise FakeCoreError("not_found", f"There is no drive {slot!r} for other media.")
        if slot in self._trays and not force:
            raise FakeCoreError("tray_held", f"The guest holds the tray of {slot}.")
        what = "empty" if handle is None else os.pread(handle, 8, 0).decode()
        with self._lock:
            self._screen.append(f"{slot} {what}{'' if read_only else ' writable'}")

    def frame_handle(self) -> int | None:
        if self.spec["display"] == "none":
            return None
        return _frame(self.screen_text() or "")

    def console_handle(self, n: int) -> int:
        ours, theirs = socket.socketpair()
        self._ports.append(ours)
        thread = threading.Thread(target=self._read_port, args=(ours,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return theirs.detach()

    def stats(self) -> str:
        return json.dumps(
            {
                "state": self.state,
                "engine": "fake",
                "retired": self._retired,
                "virtual_ns": 0,
                "wall_seconds": time.monotonic() - self._started,
                "cpu_seconds": 0.0,
                "instructions_per_second": 0.0,
                "exits": {"halt": 1},
            }
        )

    def screen_text(self) -> str | None:
        with self._lock:
            return None if self.spec["display"] == "none" else "\n".join(self._screen)

    def debug(self, request: str) -> str:
        """Keep lists and a pointer; what a real processor knows, the tests of the core look at."""
        asked = json.loads(request)
        self._asked.append(asked)
        what = asked["do"]
        if what.startswith("trace"):
            return json.dumps(self._trace(asked))
        if self.state not in {"running", "paused"}:
            raise FakeCoreError("wrong_state", "The machine is off; start it first.")
        if what in {"step", "set_register", "write_memory"}:
            self._require(what, "paused")
        match what:
            case "status" | "step":
                self._rip += asked.get("count", 0)
                answer = {"state": self.state, "stop": None, "rip": self._rip, "retired": self._rip}
            case "disassemble":
                line = {"address": self._rip, "bytes": "90", "text": "nop"}
                answer = {"bits": 32, "lines": [line]}
            case "breakpoints":
                kept = [] if asked["clear"] else self._breakpoints
                kept = [n for n in kept if n not in asked["remove"]]
                self._breakpoints = sorted({*kept, *asked["add"]})
                answer = {"breakpoints": self._breakpoints}
            case "watchpoints":
                kept = [] if asked["clear"] else self._watchpoints
                self._watchpoints = [w for w in kept if w not in asked["remove"]] + asked["add"]
                answer = {"watchpoints": self._watchpoints}
            case "read_memory":
                if asked["address"] >= len(self._memory):
                    raise FakeCoreError("not_found", "Nothing can be read there.")
                part = self._memory[asked["address"] :][: asked["length"]]
                answer = {"address": asked["address"], "data": part.hex()}
            case "write_memory":
                data = bytes.fromhex(asked["data"])
                self._memory[asked["address"] : asked["address"] + len(data)] = data
                answer = {"address": asked["address"], "length": len(data)}
            case _:
                raise FakeCoreError("bad_argument", f"There is no debug request {what!r}.")
        return json.dumps(answer)

    def _trace(self, asked: dict[str, object]) -> dict[str, object]:
        if asked["do"] == "trace_start":
            self._recorded = asked["classes"]
            return {"classes": asked["classes"], "limit": asked["limit"]}
        if asked["do"] == "trace_stop":
            self._recorded = []
        first = max(1, int(str(asked.get("from", 1))))
        numbers = range(first, min(first + 2, 6))
        lines = "".join(
            json.dumps({"seq": n, "retired": n, "kind": "halt"}) + "\n" for n in numbers
        )
        return {
            "classes": self._recorded,
            "first": 1,
            "end": 6,
            "next": min(first + 2, 6),
            "lines": lines,
        }

    def hit(self, address: int) -> None:
        """Come to a breakpoint."""
        self._rip = address
        self._say(
            {
                "kind": "debug_stop",
                "reason": "breakpoint",
                "address": address,
                "rip": address,
                "processor": 0,
            }
        )
        self._set("paused")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for port in self._ports:
            with contextlib.suppress(OSError):
                port.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for port in self._ports:
            port.close()
        os.close(self._event)

    # the guest
    def _read_port(self, port: socket.socket) -> None:
        while True:
            try:
                data = port.recv(4096)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self._input(data)

    def _input(self, data: bytes) -> None:
        if self.state != "running":
            return
        self._line += data
        while b"\n" in self._line:
            line, _, rest = bytes(self._line).partition(b"\n")
            self._line = bytearray(rest)
            self._command(line.decode(errors="replace").strip())

    def _command(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "poweroff":
            self._output(b"going down\r\n")
            self._say({"kind": "guest_power_off"})
            self._set("stopping")
            self._set("off")
        elif word == "crash":
            self._say(
                {
                    "kind": "crashed",
                    "stop": {"reason": "triple_fault", "rip": 16, "vector": 13},
                    "sentence": "Triple fault.",
                }
            )
            self._set("crashed")
        elif word == "exit":
            self._say({"kind": "debug_exit", "value": int(rest)})
            self._set("stopping")
            self._set("off")
        elif word == "break":
            self.hit(int(rest))
        elif word == "lock":
            self._trays.add(rest)
        elif word == "eject":
            self._say({"kind": "ejected", "slot": rest})
        elif word in TOLD:
            self._say(TOLD[word])
        elif word == "chatter":
            for number in range(int(rest)):
                self._say({"kind": "log", "level": "info", "message": f"line {number}"})
            self._output(b"all said\r\n# ")
        elif word == "screen":
            self._screen.append(rest)
        elif word == "flood":
            self._output(b"x" * int(rest) + b"\r\nflooded\r\n# ")
        else:
            self._output(f"you said: {line}\r\n# ".encode())

    def _output(self, data: bytes) -> None:
        for port in self._ports:
            port.sendall(data)

    def _set(self, state: str) -> None:
        self.state = state
        self._say({"kind": "power", "state": state})

    def _say(self, event: dict[str, object]) -> None:
        with self._lock:
            self._seq += 1
            self._retired += 1000
            self._events.append(json.dumps({"seq": self._seq, "retired": self._retired, **event}))
            if not self._closed:
                os.eventfd_write(self._event, 1)

    def _require(self, request: str, *states: str) -> None:
        if self.state not in states:
            raise FakeCoreError("wrong_state", f"The machine is {self.state}: no {request}.")


def _not_locked(folder: int) -> LockedDown:
    """Lock nothing in, as on a kernel that offers nothing."""
    os.fstat(folder)
    return LockedDown("no", 0, False)


def fake_core() -> Core:
    return Core(
        build="fake",
        create=FakeMachine,
        restore=FakeMachine.restore,
        lock=_not_locked,
        host=lambda: '{"landlock_abi": 0, "seccomp": false}',
        error=FakeCoreError,
    )
