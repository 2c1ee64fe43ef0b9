"""The options ``--disk``, ``--cdrom``, ``--floppy`` and ``--boot``, made into drives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from vmwb.library.files import image_format
from vmwb.model.config import BootSource
from vmwb.model.drives import (
    DriveBus,
    DriveConfig,
    DriveKind,
    ImageFile,
    ImageFormat,
    free_slot,
)
from vmwb.model.errors import NotFoundError, NotSupportedError, UsageError

# In place of a file: no drive of the kind at all, or one without a medium.
NO_DRIVE: Final = "none"
EMPTY_DRIVE: Final = "empty"
_BUSES_LATER: Final = frozenset({"sata", "nvme", "scsi"})
_MODE_NORMAL: Final = "normal"
_MODES_LATER: Final = frozenset({"independent-persistent", "independent-nonpersistent"})


def with_drives(
    drives: Iterable[DriveConfig], kind: DriveKind, texts: Sequence[str]
) -> tuple[DriveConfig, ...]:
    """Replace all drives of a kind by those that an option names.

    Raises:
        UsageError, NotSupportedError: a text makes no sense, or its bus does not exist yet.
        NotFoundError, StorageError: a file does not exist, or cannot be read.
        ConfigError: there is no slot left.
    """
    result = [drive for drive in drives if drive.kind is not kind]
    for text in texts:
        if text == NO_DRIVE:
            if len(texts) > 1:
                raise UsageError(f"The option --{kind} takes none alone, or files.")
            break
        result.append(_drive(result, kind, text))
    return tuple(result)


def boot_order(text: str) -> tuple[BootSource, ...]:
    """Read ``cdrom,disk,floppy,network``.

    Raises:
        UsageError: a word is none of these.
    """
    try:
        return tuple(BootSource(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"The option --boot does not know {text!r}: give some of {', '.join(BootSource)}, "
            "separated by commas."
        ) from None


def _drive(drives: Sequence[DriveConfig], kind: DriveKind, text: str) -> DriveConfig:
    name, *settings = text.split(",")
    bus = DriveBus.FLOPPY if kind is DriveKind.FLOPPY else DriveBus.IDE
    read_only = False
    form: ImageFormat | None = None
    backing: list[ImageFile] = []
    for setting in settings:
        key, _, value = setting.partition("=")
        match key, value:
            case "readonly", "":
                read_only = True
            case "format", _ if kind is DriveKind.DISK:
                form = _format(value)
            case "bus", _ if kind is DriveKind.DISK:
                bus = _bus(value)
            case "backing", _ if kind is DriveKind.DISK:
                backing.append(_image(kind, value, None))
            case "mode", _ if kind is DriveKind.DISK:
                _check_mode(value)
            case _:
                raise UsageError(f"The option --{kind} does not know {setting!r}.")
    if name == EMPTY_DRIVE:
        if kind is DriveKind.DISK:
            raise UsageError("A disk is never empty: give the option --disk an image.")
        image = None
    else:
        image = _image(kind, name, form)
    return DriveConfig(free_slot(drives, kind, bus), kind, image, tuple(backing), read_only)


def _image(kind: DriveKind, name: str, form: ImageFormat | None) -> ImageFile:
    path = Path(name).expanduser().absolute()
    if not path.exists():
        raise NotFoundError(
            f"The {kind}'s image {path} does not exist: check the path.",
            {"path": str(path), "role": kind.value},
        )
    # Of a folder a CD is made when the machine starts.
    if path.is_dir() and kind is not DriveKind.CDROM:
        raise UsageError(f"{path} is a folder: only a CD can be made of one.")
    if kind is not DriveKind.DISK:
        return ImageFile(str(path))
    return ImageFile(str(path), form or image_format(path))


def _format(text: str) -> ImageFormat:
    try:
        return ImageFormat(text)
    except ValueError:
        raise UsageError(
            f"The image format {text!r} is not known: give one of {', '.join(ImageFormat)}."
        ) from None


def _bus(text: str) -> DriveBus:
    if text in _BUSES_LATER:
        raise NotSupportedError(
            f"A disk on {text} is not possible yet: use bus=ide or bus=virtio.",
            {"option": "--disk"},
        )
    if text not in {DriveBus.IDE, DriveBus.VIRTIO}:
        raise UsageError(f"The bus {text!r} is not known: give ide or virtio.")
    return DriveBus(text)


def _check_mode(text: str) -> None:
    if text in _MODES_LATER:
        raise NotSupportedError(
            f"The disk mode {text} is not possible yet: it belongs to snapshots. Leave mode= out.",
            {"option": "--disk"},
        )
    if text != _MODE_NORMAL:
        raise UsageError(f"The disk mode {text!r} is not known: give normal.")
