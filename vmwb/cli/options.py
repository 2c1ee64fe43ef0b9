"""Machine options of ``run``, ``create`` and ``edit``: declared once, made into a ``VmConfig``.

``machine_options`` gives a command all of them as one parameter. An option whose device does not
exist yet is accepted by the parser and refused with a sentence, never ignored.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from vmwb.cli.drives import boot_order, with_drives
from vmwb.model.config import (
    CPU_MODELS,
    NO_FIRMWARE,
    SEABIOS,
    BootConfig,
    CpuConfig,
    DisplayKind,
    EngineKind,
    ModuleConfig,
    SerialConfig,
    SerialKind,
    VmConfig,
)
from vmwb.model.drives import DriveKind
from vmwb.model.errors import NotFoundError, NotSupportedError, UsageError
from vmwb.model.sizes import parse_memory_mib

_LATER: Final = "Not available yet."
# In place of a file: no module at all.
NO_MODULE: Final = "none"
_Choice = TypeVar("_Choice", EngineKind, DisplayKind)


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """The options as they were given; ``None`` and ``()`` mean not given."""

    memory: str | None = None
    cpus: int | None = None
    engine: str | None = None
    deterministic: bool | None = None
    cpu_model: str | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    module: tuple[str, ...] = ()
    append: str | None = None
    display: str | None = None
    serial: tuple[str, ...] = ()
    virtio_console: str | None = None
    debug_exit: str | None = None
    firmware: str | None = None
    boot: str | None = None
    floppy: tuple[str, ...] = ()
    cdrom: tuple[str, ...] = ()
    disk: tuple[str, ...] = ()
    nic: tuple[str, ...] = ()
    share: tuple[str, ...] = ()
    sound: str | None = None

    def apply(self, base: VmConfig) -> VmConfig:
        """Give a definition with the options that were given.

        Raises:
            UsageError: a value makes no sense.
            NotSupportedError: an option's device does not exist yet.
            NotFoundError: a file does not exist.
        """
        self._refuse_missing_devices()
        changes: dict[str, Any] = {}
        if self.memory is not None:
            changes["memory_mib"] = parse_memory_mib(self.memory)
        if self.cpus is not None:
            changes["cpus"] = self.cpus
        if self.engine is not None:
            changes["engine"] = _choice("--engine", self.engine, EngineKind)
        if self.deterministic is not None:
            changes["deterministic"] = self.deterministic
        if self.cpu_model is not None:
            changes["cpu"] = CpuConfig(self.cpu_model, base.cpu.tsc_hz)
        if self.display is not None:
            changes["display"] = _choice("--display", self.display, DisplayKind)
        if self.serial:
            changes["serial"] = tuple(_serial("--serial", text) for text in self.serial)
        if self.virtio_console is not None:
            console = _serial("--virtio-console", self.virtio_console)
            changes["console"] = None if console.kind is SerialKind.NONE else console
        if self.debug_exit is not None:
            changes["debug_exit_port"] = _port(self.debug_exit)
        drives = base.drives
        for kind, texts in (
            (DriveKind.DISK, self.disk),
            (DriveKind.CDROM, self.cdrom),
            (DriveKind.FLOPPY, self.floppy),
        ):
            if texts:
                drives = with_drives(drives, kind, texts)
        return replace(base, boot=self._boot(base.boot), drives=drives, **changes)

    def _boot(self, base: BootConfig) -> BootConfig:
        changes: dict[str, Any] = {}
        if self.kernel is not None:
            changes["kernel"] = _file("kernel", self.kernel)
        if self.initrd is not None:
            changes["initrd"] = _file("initrd", self.initrd)
        if self.module:
            changes["modules"] = _modules(self.module)
        if self.append is not None:
            changes["append"] = self.append
        if self.firmware is not None:
            named = self.firmware in {SEABIOS, NO_FIRMWARE}
            changes["firmware"] = self.firmware if named else _file("firmware", Path(self.firmware))
        if self.boot is not None:
            changes["order"] = boot_order(self.boot)
        return replace(base, **changes)

    @property
    def given(self) -> bool:
        """Whether any option was given."""
        return any(getattr(self, field.name) not in {None, ()} for field in fields(self))

    def _refuse_missing_devices(self) -> None:
        for option, value in (
            ("--share", self.share),
            ("--sound", self.sound not in {None, "none"}),
            ("--nic", [kind for kind in self.nic if kind != "none"]),
        ):
            if value:
                raise NotSupportedError(
                    f"The option {option} is not possible yet: its device does not exist in this "
                    "version, leave it out.",
                    {"option": option},
                )


# Each option's type and help for the parser; the names are the fields of MachineOptions.
_DECLARED: Final[dict[str, tuple[Any, Any]]] = {
    "memory": (str | None, typer.Option(help="Memory, such as 512M or 2G.")),
    "cpus": (int | None, typer.Option(help="Processors, 1 to 8.")),
    "engine": (str | None, typer.Option(help="auto or interpreter.")),
    "deterministic": (
        bool | None,
        typer.Option("--deterministic/--no-deterministic", help="Time counts instructions."),
    ),
    "cpu_model": (str | None, typer.Option(help=f"Processor model: {', '.join(CPU_MODELS)}.")),
    "kernel": (Path | None, typer.Option(help="Linux, PVH or multiboot kernel to boot.")),
    "initrd": (Path | None, typer.Option(help="Initial RAM disk of the kernel.")),
    "module": (
        list[str],
        typer.Option(metavar="FILE[,ARGUMENTS]|none", help="Module of a multiboot kernel."),
    ),
    "append": (str | None, typer.Option(help="The kernel's command line.")),
    "display": (str | None, typer.Option(help="vga, none or test-pattern.")),
    "serial": (list[str], typer.Option(help="stdio, none or file:PATH; up to four times.")),
    "virtio_console": (
        str | None,
        typer.Option(help="stdio or file:PATH: a console hvc0; none: there is none."),
    ),
    "debug_exit": (
        str | None,
        typer.Option(metavar="[PORT]", help="Port whose writes end the run (0x501)."),
    ),
    "firmware": (str | None, typer.Option(help="seabios, none, or a BIOS image.")),
    "boot": (str | None, typer.Option(metavar="cdrom,disk,floppy", help="Boot order.")),
    "floppy": (list[str], typer.Option(metavar="FILE|empty|none", help="Floppy image.")),
    "cdrom": (list[str], typer.Option(metavar="FILE|FOLDER|empty|none", help="CD image.")),
    "disk": (
        list[str],
        typer.Option(
            metavar="FILE[,format=raw|qcow2][,bus=ide|virtio][,readonly][,backing=FILE]",
            help="Disk image.",
        ),
    ),
    "nic": (list[str], typer.Option(help=_LATER)),
    "share": (list[str], typer.Option(help=_LATER)),
    "sound": (str | None, typer.Option(help=_LATER)),
}


def machine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the machine options, collected in its parameter ``options``."""

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in _DECLARED}
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        command(options=MachineOptions(**{**values, **lists}), **arguments)

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "options"]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=[] if kind == list[str] else None,
            annotation=Annotated[kind, option],
        )
        for name, (kind, option) in _DECLARED.items()
    ]
    parameters = [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *shared,
    ]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {item.name: item.annotation for item in parameters}
    return wrapper


def reply(option: str, text: str) -> tuple[str, str]:
    r"""Split ``TEXT=ANSWER``; ``\n``, ``\r``, ``\t``, ``\\`` and ``\=`` stand for what they name.

    Raises:
        UsageError: there is no equals sign, or no text before it.
    """
    parts = [""]
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            follower = next(letters, "")
            named = {"n": "\n", "r": "\r", "t": "\t", "e": "\x1b", "\\": "\\", "=": "="}
            parts[-1] += named.get(follower, f"\\{follower}")
        elif letter == "=" and len(parts) == 1:
            parts.append("")
        else:
            parts[-1] += letter
    if len(parts) != 2 or not parts[0]:
        raise UsageError(f"The option {option} needs TEXT=ANSWER, not {text!r}.")
    return parts[0], parts[1]


def _choice(option: str, text: str, kind: type[_Choice]) -> _Choice:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(
            f"The option {option} does not know {text!r}: give one of {', '.join(kind)}."
        ) from None


def _modules(texts: tuple[str, ...]) -> tuple[ModuleConfig, ...]:
    if NO_MODULE in texts:
        if len(texts) > 1:
            raise UsageError("The option --module takes none alone, or files.")
        return ()
    parts = [text.partition(",") for text in texts]
    return tuple(ModuleConfig(_file("module", Path(path)), rest) for path, _, rest in parts)


def _serial(option: str, text: str) -> SerialConfig:
    kind, _, rest = text.partition(":")
    match kind:
        case "stdio" | "none" if not rest:
            return SerialConfig(SerialKind(kind))
        case "file" if rest:
            return SerialConfig(SerialKind.FILE, str(Path(rest).absolute()))
        case "unix":
            raise NotSupportedError(
                "A serial port to a socket is not possible yet: use `vmwb console`, or file:PATH."
            )
        case _:
            raise UsageError(
                f"The option {option} does not know {text!r}: give stdio, none or file:PATH."
            )


def _port(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(
            f"The option --debug-exit needs an I/O port such as 0x501, not {text!r}."
        ) from None


def _file(role: str, path: Path) -> str:
    absolute = path.expanduser().absolute()
    if not absolute.exists():
        raise NotFoundError(
            f"The {role} {absolute} does not exist: check the path.",
            {"path": str(absolute), "role": role},
        )
    return str(absolute)
