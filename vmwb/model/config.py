"""What the user defines: ``VmConfig`` and its parts, and the way from there to the core's schema.

The core's ``MachineSpec`` is the only machine schema; ``VmConfig.to_spec`` gives its JSON. A
``VmConfig`` knows besides what the core does not: the machine's id, the host files of its kernel,
and where its serial port goes. Reading definitions from disk is ``vmwb.library``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from vmwb.model.drives import DriveConfig, drive_problems
from vmwb.model.errors import ConfigError
from vmwb.model.names import check_machine_name, is_unicode
from vmwb.model.sizes import MEMORY_MAX_MIB, MEMORY_MIN_MIB

SPEC_VERSION: Final = 1
APPEND_MAX_BYTES: Final = 2047
DEBUG_EXIT_PORT_DEFAULT: Final = 0x501
# A kernel that is started directly keeps the smallest board. A whole PC has these besides: random
# numbers and the balloon as guests expect them, and a tablet, because Linux binds its driver of
# the other absolute pointer (vmmouse) only under hypervisors that it knows.
VIRTIO_OF_A_PC: Final = {"rng": True, "balloon": True, "input": True}
VIRTIO_OF_A_KERNEL: Final = dict.fromkeys(VIRTIO_OF_A_PC, False)
# Ports that clients attach to: COM1 to COM4 are 0 to 3, the virtio console comes behind them.
SERIAL_PORTS_MAX: Final = 4
CONSOLE_PORT: Final = SERIAL_PORTS_MAX
MODULES_MAX: Final = 32
MODULE_LINE_MAX_BYTES: Final = 1023
# Ports that no other device of the machine has.
DEBUG_EXIT_PORTS: Final = frozenset({0xF4, *range(0x500, 0x5FD)})
CPUS_MIN: Final = 1
CPUS_MAX: Final = 8
# Where the firmware's configuration device would be in the way of the debug exit's four ports.
FIRMWARE_PORTS: Final = frozenset(range(0x50D, 0x51C))
# The default first; what each announces is in docs/processors.md.
CPU_MODELS: Final = (
    "x86-64-v1",
    "486",
    "pentium",
    "pentium3",
    "core2",
    "x86-64-v2",
    "max",
)


class EngineKind(StrEnum):
    """Which engine runs the processor."""

    AUTO = "auto"
    INTERPRETER = "interpreter"
    JIT = "jit"
    KVM = "kvm"


ENGINES_NOW: Final = frozenset({EngineKind.AUTO, EngineKind.INTERPRETER})


class DisplayKind(StrEnum):
    """What stands behind the screen."""

    VGA = "vga"
    NONE = "none"
    TEST_PATTERN = "test-pattern"


class SerialKind(StrEnum):
    """Where a serial port goes on the host."""

    STDIO = "stdio"
    NONE = "none"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class CpuConfig:
    """The processor that the guest sees; frozen at creation so that a state moves between hosts."""

    model: str = "x86-64-v1"
    tsc_hz: int = 1_000_000_000


class BootSource(StrEnum):
    """What firmware looks at for an operating system."""

    FLOPPY = "floppy"
    DISK = "disk"
    CDROM = "cdrom"
    NETWORK = "network"


BOOT_ORDER_DEFAULT: Final = (BootSource.CDROM, BootSource.DISK, BootSource.FLOPPY)
SEABIOS: Final = "seabios"
NO_FIRMWARE: Final = "none"


@dataclass(frozen=True, slots=True)
class ModuleConfig:
    """A module of a multiboot kernel: a file of the host, and what the kernel is told besides."""

    path: str
    arguments: str = ""

    @property
    def line(self) -> str:
        """What the kernel is told: the file's name as loaders give it, then the arguments."""
        return f"{PurePath(self.path).name} {self.arguments}".rstrip()


@dataclass(frozen=True, slots=True)
class BootConfig:
    """How a machine gets its first instruction. Files of the host are absolute paths.

    ``firmware`` is ``seabios``, ``none`` (a kernel is then booted directly), the path of another
    BIOS image, or ``None``: ``none`` for a machine with a kernel, else ``seabios``. ``order`` is
    what the firmware looks at; ``menu`` whether it offers its boot menu. ``modules`` are those of a
    multiboot kernel that is booted directly; the initrd comes before them.
    """

    kernel: str | None = None
    initrd: str | None = None
    append: str = ""
    firmware: str | None = None
    order: tuple[BootSource, ...] = BOOT_ORDER_DEFAULT
    menu: bool = True
    modules: tuple[ModuleConfig, ...] = ()

    @property
    def firmware_chosen(self) -> str | None:
        """The firmware that the machine starts with: ``seabios``, a path, or ``None``: none."""
        if self.firmware is None:
            return SEABIOS if self.kernel is None else None
        return None if self.firmware == NO_FIRMWARE else self.firmware

    def to_spec(self) -> dict[str, object]:
        """Give the object ``boot`` of the core's ``MachineSpec``."""
        if self.firmware_chosen is None:
            return {
                "kind": "kernel",
                "append": self.append,
                "modules": [module.line for module in self.modules],
            }
        return {
            "kind": "firmware",
            "append": self.append,
            "order": [source.value for source in self.order],
            "menu": self.menu,
        }


@dataclass(frozen=True, slots=True)
class SerialConfig:
    """A serial port or console. ``path`` belongs to kind ``file``, which output is appended to."""

    kind: SerialKind = SerialKind.STDIO
    path: str | None = None


@dataclass(frozen=True, slots=True)
class VmConfig:
    """The definition of a machine. Build one freely; ``problems`` says what is wrong with it.

    ``serial`` are COM1 and the ports behind it, ``console`` is the virtio console if there is one.
    """

    name: str
    id: str = ""
    memory_mib: int = 512
    cpus: int = 1
    engine: EngineKind = EngineKind.AUTO
    deterministic: bool = False
    pace: bool = True
    cpu: CpuConfig = field(default_factory=CpuConfig)
    boot: BootConfig = field(default_factory=BootConfig)
    serial: tuple[SerialConfig, ...] = (SerialConfig(),)
    console: SerialConfig | None = None
    drives: tuple[DriveConfig, ...] = ()
    display: DisplayKind = DisplayKind.VGA
    debug_exit_port: int | None = None
    seed: int = 0

    def problems(self) -> tuple[str, ...]:
        """All that is wrong, a sentence each; empty when the machine can be created."""
        found: list[str] = []
        if not MEMORY_MIN_MIB <= self.memory_mib <= MEMORY_MAX_MIB:
            found.append(
                f"Memory of {self.memory_mib} MiB is not possible: give {MEMORY_MIN_MIB} MiB to "
                f"{MEMORY_MAX_MIB // 1024} GiB."
            )
        if not CPUS_MIN <= self.cpus <= CPUS_MAX:
            found.append(
                f"{self.cpus} processors are not possible: give {CPUS_MIN} to {CPUS_MAX} by --cpus."
            )
        if self.engine not in ENGINES_NOW:
            found.append(
                f"The engine {self.engine} does not exist yet: use --engine auto or interpreter."
            )
        if self.cpu.model not in CPU_MODELS:
            found.append(
                f"The processor model {self.cpu.model!r} is not known: use {', '.join(CPU_MODELS)}."
            )
        if not 1_000_000 <= self.cpu.tsc_hz <= 10_000_000_000:
            found.append(f"A time-stamp counter of {self.cpu.tsc_hz} Hz is not possible.")
        found.extend(self._boot_problems())
        found.extend(drive_problems(self.drives))
        found.extend(
            f"{text[:200]!a} is not valid UTF-8: rename the file, or type the text anew."
            for text in self._texts()
            if not is_unicode(text)
        )
        if len(self.serial) > SERIAL_PORTS_MAX:
            found.append(
                f"A machine has at most {SERIAL_PORTS_MAX} serial ports: give --serial less often."
            )
        ports = [*self.serial, *([] if self.console is None else [self.console])]
        if any((port.kind is SerialKind.FILE) != bool(port.path) for port in ports):
            found.append("A serial port to a file needs its path: --serial file:PATH.")
        if self.debug_exit_port is not None and self.debug_exit_port not in DEBUG_EXIT_PORTS:
            found.append(
                f"The debug exit port {self.debug_exit_port:#x} is not possible: give 0xf4, or one "
                "from 0x500 to 0x5fc."
            )
        if self.boot.firmware_chosen is not None and self.debug_exit_port in FIRMWARE_PORTS:
            found.append(
                f"The debug exit port {self.debug_exit_port:#x} belongs to the firmware's "
                "configuration device: give 0x501."
            )
        if not 0 <= self.seed < 1 << 63:
            found.append("The seed must be a number from 0 to 2^63 - 1.")
        return tuple(found)

    def _texts(self) -> Iterator[str]:
        """Whatever the user has typed or chosen, the name aside."""
        boot = self.boot
        yield boot.append
        yield from (path for path in (boot.kernel, boot.initrd, boot.firmware) if path)
        for module in boot.modules:
            yield from (module.path, module.arguments)
        yield from (file.path for drive in self.drives for file in drive.files)
        ports = (*self.serial, *([] if self.console is None else [self.console]))
        yield from (port.path for port in ports if port.path)

    def _boot_problems(self) -> list[str]:
        found: list[str] = []
        if self.boot.initrd is not None and self.boot.kernel is None:
            found.append("An initrd needs a kernel: give --kernel too.")
        if self.boot.append and self.boot.kernel is None:
            found.append("A kernel command line needs a kernel: give --kernel too.")
        if self.boot.kernel is None and self.boot.firmware == NO_FIRMWARE:
            found.append("Without firmware there must be a kernel: give --kernel too.")
        if len(set(self.boot.order)) != len(self.boot.order):
            found.append("The boot order names a device twice: name each once.")
        found.extend(self._module_problems())
        if "\0" in self.boot.append:
            found.append("The kernel command line must not contain a NUL character.")
        if len(self.boot.append.encode(errors="replace")) > APPEND_MAX_BYTES:
            found.append(
                f"The kernel command line has at most {APPEND_MAX_BYTES} bytes: shorten it."
            )
        return found

    def _module_problems(self) -> list[str]:
        found: list[str] = []
        modules = self.boot.modules
        if modules and self.boot.firmware_chosen is not None:
            found.append(
                "Modules belong to a kernel that is started directly: give --kernel without "
                "--firmware."
            )
        if len(modules) > MODULES_MAX:
            found.append(f"A kernel takes at most {MODULES_MAX} modules: give --module less often.")
        for module in modules:
            line = module.line
            if "\0" in line or len(line.encode(errors="replace")) > MODULE_LINE_MAX_BYTES:
                found.append(
                    f"The line of the module {module.path[:100]!r} has at most "
                    f"{MODULE_LINE_MAX_BYTES} bytes and no NUL character: shorten it."
                )
        return found

    @property
    def ports(self) -> tuple[tuple[int, SerialConfig], ...]:
        """The ports that clients can attach to, by number."""
        console = () if self.console is None else ((CONSOLE_PORT, self.console),)
        numbered = (*enumerate(self.serial), *console)
        return tuple((n, port) for n, port in numbered if port.kind is not SerialKind.NONE)

    @property
    def terminal_port(self) -> int | None:
        """The port that is the terminal of whoever runs the machine: the first that says so.

        ``None``: the machine has no port that clients can attach to.
        """
        first = [n for n, port in self.ports if port.kind is SerialKind.STDIO]
        return next(iter([*first, *(n for n, _ in self.ports)]), None)

    @property
    def is_whole_pc(self) -> bool:
        """Whether it is more than a board for one kernel: it starts by firmware or has drives."""
        return self.boot.firmware_chosen is not None or bool(self.drives)

    def validated(self) -> VmConfig:
        """Give the definition itself when it is sound.

        Raises:
            ConfigError: all problems in one error; ``context["problems"]`` lists them.
            UsageError: the name breaks the rules for names.
        """
        check_machine_name(self.name)
        found = self.problems()
        if found:
            raise ConfigError(" ".join(found), {"problems": list(found)})
        return self

    def to_spec(self) -> str:
        """The JSON of the core's ``MachineSpec``, version 1. Holds no path of the host."""
        spec = {
            "version": SPEC_VERSION,
            "name": self.name,
            "memory_mib": self.memory_mib,
            "cpus": self.cpus,
            "engine": self.engine.value,
            "deterministic": self.deterministic,
            "pace": self.pace,
            "cpu": {"model": self.cpu.model, "tsc_hz": self.cpu.tsc_hz},
            "boot": self.boot.to_spec(),
            "drives": [drive.to_spec() for drive in self.drives],
            "virtio": {
                **(VIRTIO_OF_A_PC if self.is_whole_pc else VIRTIO_OF_A_KERNEL),
                "console": self.console is not None,
            },
            # A run that repeats must not see an identity that is drawn anew each time.
            "uuid": None if self.deterministic else self.id or None,
            "serial_ports": max(1, len(self.serial)),
            "display": self.display.value,
            "debug_exit_port": self.debug_exit_port,
            "seed": self.seed,
        }
        return json.dumps(spec, separators=(",", ":"))
