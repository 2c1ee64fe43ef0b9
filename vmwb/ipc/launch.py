"""The one message that a supervisor sends to a new worker, over the descriptor it inherits.

It holds all that the worker needs to run the machine, so that the worker parses no file of the
library: the core's spec, the host files by path (the worker's broker opens them), and where the
bundle and the socket are. The same socket then serves as the first client's connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from vmwb.ipc.messages import boolean, number, table, text
from vmwb.model.debug import TRACE_CLASSES, TraceSettings
from vmwb.model.drives import CHAIN_MAX
from vmwb.model.errors import ProtocolError

LAUNCH_DESCRIPTOR: Final = 3
# In place of an order: the worker prints what the host offers it, as JSON, and ends.
HOST_OPTION: Final = "--host"
# Four serial ports and the virtio console.
PORTS_MAX: Final = 5
MODULES_MAX: Final = 32
DRIVES_MAX: Final = 14


@dataclass(frozen=True, slots=True)
class SerialTarget:
    """Where one port goes besides the clients: ``path`` of a file to append to, or none.

    ``port`` is the core's number of it.
    """

    kind: str
    path: str | None = None
    port: int = 0


@dataclass(frozen=True, slots=True)
class DriveTarget:
    """The files of one drive's medium: the image and what is behind it; none in an empty drive."""

    slot: str
    paths: tuple[str, ...] = ()
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """Order to run one machine.

    ``resume_state`` names the suspended state to come back from. A ``tied`` machine is switched off
    when the client that gave the order leaves. ``trace`` is recorded from the first instruction on.
    ``spawned_ns`` is the monotonic
    clock (nanoseconds) just before the process was made, for measuring.
    """

    machine_id: str
    name: str
    bundle: str
    socket: str
    spec: str
    kernel: str | None
    initrd: str | None
    serial: tuple[SerialTarget, ...]
    firmware: str | None = None
    vga_rom: str | None = None
    modules: tuple[str, ...] = ()
    drives: tuple[DriveTarget, ...] = ()
    resume_state: str | None = None
    tied: bool = False
    spawned_ns: int = 0
    trace: TraceSettings | None = None

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {"t": "launch", **asdict(self)}


def launch_from_json(data: Mapping[str, object]) -> Launch:
    """Read the order.

    Raises:
        ProtocolError: it is not one.
    """
    serial = data.get("serial")
    if data.get("t") != "launch" or not isinstance(serial, list) or len(serial) > PORTS_MAX:
        raise ProtocolError("The worker was started without its order: use `vmwb start`.")
    ports = [table({"port": port}, "port") for port in serial]
    return Launch(
        machine_id=text(data, "machine_id"),
        name=text(data, "name"),
        bundle=text(data, "bundle"),
        socket=text(data, "socket"),
        spec=text(data, "spec"),
        kernel=_optional(data, "kernel"),
        initrd=_optional(data, "initrd"),
        serial=tuple(
            SerialTarget(text(port, "kind"), _optional(port, "path"), number(port, "port", 0))
            for port in ports
        ),
        firmware=_optional(data, "firmware"),
        vga_rom=_optional(data, "vga_rom"),
        modules=_modules(data.get("modules", [])),
        drives=_drives(data.get("drives", [])),
        resume_state=_optional(data, "resume_state"),
        tied=boolean(data, "tied", False),
        spawned_ns=number(data, "spawned_ns"),
        trace=None if data.get("trace") is None else _trace(table(data, "trace")),
    )


def _modules(data: object) -> tuple[str, ...]:
    if not isinstance(data, list) or len(data) > MODULES_MAX:
        raise ProtocolError("The order's modules cannot be read.")
    return tuple(text({"path": path}, "path") for path in data)


def _drives(data: object) -> tuple[DriveTarget, ...]:
    if not isinstance(data, list) or len(data) > DRIVES_MAX:
        raise ProtocolError("The order's drives cannot be read.")
    drives: list[DriveTarget] = []
    for entry in data:
        drive = table({"drive": entry}, "drive")
        paths = drive.get("paths")
        if not isinstance(paths, list) or len(paths) > CHAIN_MAX:
            raise ProtocolError("A drive of the order has no files.")
        drives.append(
            DriveTarget(
                text(drive, "slot"),
                tuple(text({"path": path}, "path") for path in paths),
                boolean(drive, "writable", False),
            )
        )
    return tuple(drives)


def _trace(data: Mapping[str, object]) -> TraceSettings:
    classes = data.get("classes")
    if not isinstance(classes, list):
        raise ProtocolError("The order's trace names no classes.")
    names = tuple(text({"name": name}, "name") for name in classes[: 2 * len(TRACE_CLASSES)])
    return TraceSettings(names, number(data, "limit"))


def _optional(data: Mapping[str, object], key: str) -> str | None:
    return None if data.get(key) is None else text(data, key)
