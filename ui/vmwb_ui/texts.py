"""Words and figures that several widgets show, in the user's language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QLocale

from vmwb.model.config import (
    SEABIOS,
    BootSource,
    DisplayKind,
    SerialConfig,
    SerialKind,
    VmConfig,
)
from vmwb.model.drives import DriveConfig, DriveKind
from vmwb.model.power import PowerState
from vmwb.model.sizes import format_mib
from vmwb.model.stats import MachineStats

_STATES: Final[dict[PowerState, str]] = {
    PowerState.OFF: QT_TRANSLATE_NOOP("Texts", "powered off"),
    PowerState.STARTING: QT_TRANSLATE_NOOP("Texts", "starting"),
    PowerState.RUNNING: QT_TRANSLATE_NOOP("Texts", "running"),
    PowerState.PAUSING: QT_TRANSLATE_NOOP("Texts", "pausing"),
    PowerState.PAUSED: QT_TRANSLATE_NOOP("Texts", "paused"),
    PowerState.SUSPENDING: QT_TRANSLATE_NOOP("Texts", "suspending"),
    PowerState.SUSPENDED: QT_TRANSLATE_NOOP("Texts", "suspended"),
    PowerState.RESUMING: QT_TRANSLATE_NOOP("Texts", "resuming"),
    PowerState.STOPPING: QT_TRANSLATE_NOOP("Texts", "stopping"),
    PowerState.CRASHED: QT_TRANSLATE_NOOP("Texts", "crashed"),
}
_DISPLAYS: Final[dict[DisplayKind, str]] = {
    DisplayKind.VGA: QT_TRANSLATE_NOOP("Texts", "VGA"),
    DisplayKind.NONE: QT_TRANSLATE_NOOP("Texts", "none"),
    DisplayKind.TEST_PATTERN: QT_TRANSLATE_NOOP("Texts", "test pattern"),
}
_DRIVES: Final[dict[DriveKind, str]] = {
    DriveKind.DISK: QT_TRANSLATE_NOOP("Texts", "Disk"),
    DriveKind.CDROM: QT_TRANSLATE_NOOP("Texts", "CD drive"),
    DriveKind.FLOPPY: QT_TRANSLATE_NOOP("Texts", "Floppy drive"),
}
_SOURCES: Final[dict[BootSource, str]] = {
    BootSource.CDROM: QT_TRANSLATE_NOOP("Texts", "CD"),
    BootSource.DISK: QT_TRANSLATE_NOOP("Texts", "disk"),
    BootSource.FLOPPY: QT_TRANSLATE_NOOP("Texts", "floppy"),
    BootSource.NETWORK: QT_TRANSLATE_NOOP("Texts", "network"),
}
_EMPTY: Final = QT_TRANSLATE_NOOP("Texts", "empty")


def _tr(source: str) -> str:
    return QCoreApplication.translate("Texts", source)


def state_text(state: PowerState) -> str:
    """The word for a power state."""
    return _tr(_STATES[state])


def not_now_text(state: PowerState | None) -> str:
    """Why a command is greyed out."""
    if state is None:
        return QCoreApplication.translate("Texts", "Choose a machine first.")
    pattern = QCoreApplication.translate("Texts", "Not possible while the machine is {state}.")
    return pattern.format(state=state_text(state))


def rate_text(stats: MachineStats) -> str:
    """Instructions a second, in millions."""
    millions = stats.instructions_per_second / 1e6
    digits = 0 if millions >= 100 else 1
    number = QLocale().toString(millions, "f", digits)
    return QCoreApplication.translate("Texts", "{number} million instr/s").format(number=number)


def cpu_text(share: float) -> str:
    """A share of one processor of the host, 1.0 being all of it."""
    number = QLocale().toString(share * 100, "f", 0 if share >= 0.1 else 1)
    return QCoreApplication.translate("Texts", "Host CPU {number} %").format(number=number)


def settings_rows(config: VmConfig) -> tuple[tuple[str, str], ...]:
    """A machine's definition as rows of title and value."""
    translate = QCoreApplication.translate
    none = translate("Texts", "none")
    rows = [
        (translate("Texts", "Memory"), format_mib(config.memory_mib)),
        (translate("Texts", "Processors"), f"{config.cpus} ({config.cpu.model})"),
        (translate("Texts", "Engine"), config.engine.value),
        (translate("Texts", "Firmware"), _firmware_text(config) or none),
        *_order_rows(config),
        *_kernel_rows(config, none),
        *((drive_title(drive), medium_text(drive)) for drive in config.drives),
        (translate("Texts", "Display"), _tr(_DISPLAYS[config.display])),
        (translate("Texts", "Serial port"), _serial_text(config.serial) or none),
        *_console_rows(config),
    ]
    if config.deterministic:
        rows.append(
            (
                translate("Texts", "Time"),
                translate("Texts", "deterministic: follows the count of instructions"),
            )
        )
    return tuple(rows)


def drive_title(drive: DriveConfig) -> str:
    """What a drive is, and where."""
    return f"{_tr(_DRIVES[drive.kind])} ({drive.slot})"


def medium_name(drive: DriveConfig) -> str:
    """What lies in a drive, in short."""
    return _tr(_EMPTY) if drive.image is None else Path(drive.image.path).name


def medium_text(drive: DriveConfig) -> str:
    """What lies in a drive: the whole path, and how it is used."""
    if drive.image is None:
        return _tr(_EMPTY)
    notes = [] if drive.kind is not DriveKind.DISK else [drive.image.format.value]
    if drive.read_only:
        notes.append(QCoreApplication.translate("Texts", "read-only"))
    return f"{drive.image.path} ({', '.join(notes)})" if notes else drive.image.path


def _firmware_text(config: VmConfig) -> str | None:
    chosen = config.boot.firmware_chosen
    return "SeaBIOS" if chosen == SEABIOS else chosen


def _order_rows(config: VmConfig) -> list[tuple[str, str]]:
    if config.boot.firmware_chosen is None:
        return []
    order = ", ".join(_tr(_SOURCES[source]) for source in config.boot.order)
    return [(QCoreApplication.translate("Texts", "Boot order"), order)]


def _kernel_rows(config: VmConfig, none: str) -> list[tuple[str, str]]:
    if config.boot.kernel is None:
        return []
    translate = QCoreApplication.translate
    return [
        (translate("Texts", "Kernel"), config.boot.kernel),
        (translate("Texts", "Initial RAM disk"), config.boot.initrd or none),
        *(
            (translate("Texts", "Module"), f"{module.path} {module.arguments}".rstrip())
            for module in config.boot.modules
        ),
        (translate("Texts", "Kernel command line"), config.boot.append or none),
    ]


def _console_rows(config: VmConfig) -> list[tuple[str, str]]:
    if config.console is None:
        return []
    title = QCoreApplication.translate("Texts", "Virtio console")
    return [(title, _serial_text((config.console,)))]


def _serial_text(ports: Sequence[SerialConfig]) -> str:
    parts = []
    for port in ports:
        if port.kind is SerialKind.FILE and port.path is not None:
            parts.append(QCoreApplication.translate("Texts", "file {path}").format(path=port.path))
        elif port.kind is SerialKind.STDIO:
            parts.append(QCoreApplication.translate("Texts", "in this window"))
    return ", ".join(parts)
