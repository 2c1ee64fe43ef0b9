"""Drives of a machine and the media in them, as the user defines them.

A slot names a place on the board: ``ide0`` to ``ide3``, ``floppy0``, ``floppy1``, ``virtio0`` to
``virtio7``. It is chosen once, when a drive is added, so that a guest finds its disks where they
were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vmwb.model.errors import ConfigError

CHAIN_MAX: Final = 64


class DriveKind(StrEnum):
    """What kind of drive it is."""

    DISK = "disk"
    CDROM = "cdrom"
    FLOPPY = "floppy"


class DriveBus(StrEnum):
    """What a drive is connected to."""

    IDE = "ide"
    FLOPPY = "floppy"
    VIRTIO = "virtio"


class ImageFormat(StrEnum):
    """Format of an image file."""

    RAW = "raw"
    QCOW2 = "qcow2"


SLOTS: Final = {
    DriveBus.IDE: tuple(f"ide{n}" for n in range(4)),
    DriveBus.FLOPPY: tuple(f"floppy{n}" for n in range(2)),
    DriveBus.VIRTIO: tuple(f"virtio{n}" for n in range(8)),
}
# A CD drive goes to the second channel first, so that the disks keep the first to themselves.
_CDROM_ORDER: Final = ("ide2", "ide3", "ide1", "ide0")
_BUS_OF_SLOT: Final = {slot: bus for bus, slots in SLOTS.items() for slot in slots}
_KINDS_OF_BUS: Final = {
    DriveBus.IDE: frozenset({DriveKind.DISK, DriveKind.CDROM}),
    DriveBus.FLOPPY: frozenset({DriveKind.FLOPPY}),
    DriveBus.VIRTIO: frozenset({DriveKind.DISK}),
}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file of the host: absolute path and format."""

    path: str
    format: ImageFormat = ImageFormat.RAW


@dataclass(frozen=True, slots=True)
class DriveConfig:
    """One drive. ``image`` is ``None`` in an empty drive; of a CD it may be a folder.

    ``backing`` lists the files behind a qcow2 image, nearest first. They are named here by the
    user and never taken from the image, which is the guest's to write.
    """

    slot: str
    kind: DriveKind
    image: ImageFile | None = None
    backing: tuple[ImageFile, ...] = ()
    read_only: bool = False

    @property
    def bus(self) -> DriveBus:
        """What the slot belongs to.

        Raises:
            ConfigError: there is no such slot.
        """
        try:
            return _BUS_OF_SLOT[self.slot]
        except KeyError:
            raise ConfigError(f"There is no drive slot {self.slot!r}.") from None

    @property
    def files(self) -> tuple[ImageFile, ...]:
        """The image and the files behind it."""
        return () if self.image is None else (self.image, *self.backing)

    def to_spec(self) -> dict[str, object]:
        """Give the drive's object in the core's ``MachineSpec``."""
        return {
            "slot": self.slot,
            "kind": self.kind.value,
            "formats": [file.format.value for file in self.files],
            "read_only": self.read_only or self.kind is DriveKind.CDROM,
        }


def free_slot(drives: Iterable[DriveConfig], kind: DriveKind, bus: DriveBus) -> str:
    """Choose the slot of a further drive.

    Raises:
        ConfigError: the bus cannot hold such a drive, or has no slot left.
    """
    if kind not in _KINDS_OF_BUS[bus]:
        raise ConfigError(f"A {kind} cannot be connected to {bus}: leave bus= out.")
    taken = {drive.slot for drive in drives}
    order = _CDROM_ORDER if kind is DriveKind.CDROM else SLOTS[bus]
    for slot in order:
        if slot not in taken:
            return slot
    raise ConfigError(f"There is no room for another {kind} on {bus}: all its slots are taken.")


def drive_problems(drives: tuple[DriveConfig, ...]) -> list[str]:
    """All that is wrong with a machine's drives, a sentence each."""
    found: list[str] = []
    taken: set[str] = set()
    for drive in drives:
        bus = _BUS_OF_SLOT.get(drive.slot)
        if bus is None:
            found.append(f"There is no drive slot {drive.slot!r}.")
            continue
        if drive.slot in taken:
            found.append(f"Two drives are defined in the slot {drive.slot}: remove one.")
        taken.add(drive.slot)
        if drive.kind not in _KINDS_OF_BUS[bus]:
            found.append(f"The slot {drive.slot} cannot hold a {drive.kind}.")
        if drive.kind is DriveKind.DISK and drive.image is None:
            found.append(f"The disk in the slot {drive.slot} has no image: give one.")
        if len(drive.files) > CHAIN_MAX:
            found.append(
                f"The drive in the slot {drive.slot} has {len(drive.files)} images one behind the "
                f"other: at most {CHAIN_MAX} are possible."
            )
        if drive.backing and drive.image is not None and drive.image.format is ImageFormat.RAW:
            found.append(
                f"The raw image in the slot {drive.slot} cannot have files behind it: only qcow2 "
                "can."
            )
        if drive.kind is not DriveKind.DISK and any(
            file.format is not ImageFormat.RAW for file in drive.files
        ):
            found.append(f"The {drive.kind} in the slot {drive.slot} must be a raw image.")
    return found
