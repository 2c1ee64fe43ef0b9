"""A CD made of a folder: an ISO 9660 image with Joliet and Rock Ridge names.

The image is the same for the same folder, whenever it is made: what is in it has the date of its
file, the volume that of the folder. (Another time zone writes the dates with another offset.)
Links and what is no regular file are left out: the image holds what lies in the folder, and nothing
that a link there points to.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmwb.library.files import storage_errors
from vmwb.model.errors import StorageError

DISC_SUFFIX: Final = ".iso"
FILES_MAX: Final = 50_000
BYTES_MAX: Final = 8 << 30
# ISO 9660 level 3 holds no file of 4 GiB or more in one piece.
FILE_MAX_BYTES: Final = (4 << 30) - 2048
DEPTH_MAX: Final = 32
NAME_MAX_CHARACTERS: Final = 64
JOLIET_FORBIDDEN: Final = frozenset("*/:;?\\")
VOLUME_MAX_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or folder: where it is, its names from the top, its size (-1: a folder), its date."""

    path: Path
    names: tuple[str, ...]
    size: int
    changed: float


class _Clock:
    """Stands in for the module ``time`` in pycdlib, which dates what is added with the moment."""

    now = 0.0

    def time(self) -> float:
        return self.now


_CLOCK_OF_PYCDLIB: Final = threading.Lock()


@contextmanager
def _clock() -> Iterator[_Clock]:
    """Set pycdlib's clock by hand; only one thread at a time can."""
    import time

    from pycdlib import headervd, pycdlib

    with _CLOCK_OF_PYCDLIB:
        clock = _Clock()
        modules = (vars(headervd), vars(pycdlib))
        try:
            for names in modules:
                names["time"] = clock
            yield clock
        finally:
            for names in modules:
                names["time"] = time


def build_disc(folder: Path, image: Path) -> None:
    """Write an image of a folder; it appears as a whole, or not at all.

    Raises:
        StorageError: the folder is too large for a disc, or something cannot be read or written.
    """
    # Slow to load, and only needed here.
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    with storage_errors("The folder cannot be made into a CD", folder):
        changed = folder.stat().st_mtime
        entries = sorted(_walk(folder, ()), key=lambda entry: entry.names)
    _check(folder, entries)
    disc = pycdlib.PyCdlib()
    temporary = image.with_name(f".{image.name}.{os.getpid()}.tmp")
    try:
        with _clock() as clock:
            clock.now = changed
            disc.new(
                interchange_level=3,
                joliet=3,
                rock_ridge="1.09",
                vol_ident=_volume(folder.name),
            )
            places = _Places()
            for number, entry in enumerate(entries):
                clock.now = entry.changed
                _add(disc, entry, number, places)
            clock.now = changed
            with storage_errors("The CD's image cannot be written", image):
                image.parent.mkdir(parents=True, exist_ok=True)
                disc.write(str(temporary))
                temporary.replace(image)
    except PyCdlibException as error:
        raise StorageError(
            f"The folder {folder} cannot be made into a CD: {error}.", {"path": str(folder)}
        ) from error
    finally:
        disc.close()
        temporary.unlink(missing_ok=True)


def _walk(folder: Path, names: tuple[str, ...]) -> Iterator[_Entry]:
    with os.scandir(folder) as found:
        children = list(found)
    for child in children:
        status = child.stat(follow_symlinks=False)
        entry = (*names, child.name)
        if stat.S_ISDIR(status.st_mode):
            if len(entry) > DEPTH_MAX:
                raise StorageError(
                    f"The folder {child.path} lies too deep for a CD: at most {DEPTH_MAX} folders "
                    "in one another are possible."
                )
            yield _Entry(Path(child.path), entry, -1, status.st_mtime)
            yield from _walk(Path(child.path), entry)
        elif stat.S_ISREG(status.st_mode):
            yield _Entry(Path(child.path), entry, status.st_size, status.st_mtime)


def _check(folder: Path, entries: list[_Entry]) -> None:
    size = sum(max(0, entry.size) for entry in entries)
    if len(entries) > FILES_MAX or size > BYTES_MAX:
        raise StorageError(
            f"The folder {folder} is too large for a CD: {len(entries)} files with {size >> 20} "
            f"MiB; at most {FILES_MAX} files and {BYTES_MAX >> 30} GiB are possible.",
            {"path": str(folder)},
        )
    for entry in entries:
        if entry.size > FILE_MAX_BYTES:
            raise StorageError(
                f"The file {entry.path} is too large for a CD: at most 4 GiB are possible.",
                {"path": str(entry.path)},
            )


class _Places:
    """Where folders are on the disc: their paths by plain and by Joliet names."""

    def __init__(self) -> None:
        self.plain: dict[tuple[str, ...], str] = {(): ""}
        self.joliet: dict[tuple[str, ...], str] = {(): ""}
        self._taken: set[str] = set()

    def joliet_path(self, names: tuple[str, ...]) -> str:
        """Give a new entry's Joliet path; a name that is cut like another's gets a number."""
        name = "".join("_" if letter in JOLIET_FORBIDDEN else letter for letter in names[-1])
        number = 0
        while True:
            end = f"~{number}" if number else ""
            path = f"{self.joliet[names[:-1]]}/{_cut(name, NAME_MAX_CHARACTERS - len(end))}{end}"
            # Windows finds names without regard to case, so they have to differ in more.
            if path.casefold() not in self._taken:
                self._taken.add(path.casefold())
                return path
            number += 1


def _cut(name: str, units: int) -> str:
    """Cut a name to so many units of UTF-16, in which Joliet writes it."""
    return name.encode("utf-16-be", "replace")[: units * 2].decode("utf-16-be", "ignore")


def _add(disc: object, entry: _Entry, number: int, places: _Places) -> None:
    """Put an entry where its folder is; plain ISO 9660 names are numbers, so that none collide."""
    parent = places.plain[entry.names[:-1]]
    joliet = places.joliet_path(entry.names)
    # A name need not be text on the host; here it has to be.
    name = os.fsencode(entry.names[-1]).decode("utf-8", "replace")
    if entry.size < 0:
        place = f"{parent}/D{number:07}"
        places.plain[entry.names] = place
        places.joliet[entry.names] = joliet
        disc.add_directory(place, rr_name=name, joliet_path=joliet)  # type: ignore[attr-defined]
    else:
        disc.add_file(  # type: ignore[attr-defined]
            str(entry.path), f"{parent}/F{number:07}.;1", rr_name=name, joliet_path=joliet
        )


def _volume(name: str) -> str:
    kept = "".join(
        letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper()
    )
    return kept[:VOLUME_MAX_CHARACTERS] or "FOLDER"
