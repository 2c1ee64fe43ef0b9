"""A CD made of a folder: an ISO 9660 image with Joliet and Rock Ridge names.

The image is the same for the same folder, whenever it is made: what is in it has the date of its
file, the volume that of the folder. (Another time zone writes the dates with another offset.)
Links and what is no regular file are left out: the image holds what lies in the folder, and nothing
that a link there points to.
"""

from __future__ import annotations

import io
import itertools
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
# Room for the number of a name that is cut like another's: a tilde and the digits of FILES_MAX.
NUMBER_MAX_CHARACTERS: Final = 6
JOLIET_FORBIDDEN: Final = frozenset("*/:;?\\")
VOLUME_MAX_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or folder: where it is, its names from the top, size (-1: a folder), date, mode."""

    path: Path
    names: tuple[str, ...]
    size: int
    changed: float
    mode: int


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
        # One more than there may be: who names the root of a host waits for no walk of all of it.
        found = itertools.islice(_walk(folder, ()), FILES_MAX + 1)
        entries = sorted(found, key=lambda entry: entry.names)
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
        children = list(itertools.islice(found, FILES_MAX + 1))
    for child in children:
        status = child.stat(follow_symlinks=False)
        entry = (*names, child.name)
        if stat.S_ISDIR(status.st_mode):
            if len(entry) > DEPTH_MAX:
                raise StorageError(
                    f"The folder {child.path} lies too deep for a CD: at most {DEPTH_MAX} folders "
                    "in one another are possible."
                )
            yield _Entry(Path(child.path), entry, -1, status.st_mtime, status.st_mode)
            yield from _walk(Path(child.path), entry)
        elif stat.S_ISREG(status.st_mode):
            path = Path(child.path)
            yield _Entry(path, entry, status.st_size, status.st_mtime, status.st_mode)


def _check(folder: Path, entries: list[_Entry]) -> None:
    size = sum(max(0, entry.size) for entry in entries)
    if len(entries) > FILES_MAX or size > BYTES_MAX:
        raise StorageError(
            f"The folder {folder} is too large for a CD: {_many(len(entries))} files with "
            f"{size >> 20} MiB; at most {FILES_MAX} files and {BYTES_MAX >> 30} GiB are possible.",
            {"path": str(folder)},
        )
    for entry in entries:
        if entry.size > FILE_MAX_BYTES:
            raise StorageError(
                f"The file {entry.path} is too large for a CD: at most 4 GiB are possible.",
                {"path": str(entry.path)},
            )


def _many(files: int) -> str:
    return f"more than {FILES_MAX}" if files > FILES_MAX else str(files)


class _Content(io.RawIOBase):
    """What is in a file of the folder, which is open only while it is read.

    Whoever can write to the folder may put something else in its place meanwhile: a link or a pipe
    is not followed or waited for, and a file that has become shorter is told.
    """

    mode = "rb"

    def __init__(self, entry: _Entry) -> None:
        super().__init__()
        self._entry = entry
        self._at = 0
        self._handle: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET:
            raise io.UnsupportedOperation("only places from the start are known")
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._entry.size - self._at)
        wanted = left if size < 0 else min(size, left)
        if self._handle is None:
            self._handle = _open_again(self._entry)
        data = b""
        while len(data) < wanted:
            part = os.pread(self._handle, wanted - len(data), self._at)
            if not part:
                raise _changed(self._entry)
            self._at += len(part)
            data += part
        if self._at >= self._entry.size:
            self._release()
        return data

    def close(self) -> None:
        self._release()
        super().close()

    def _release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _open_again(entry: _Entry) -> int:
    handle = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _changed(entry)
    return handle


def _changed(entry: _Entry) -> StorageError:
    return StorageError(
        f"The file {entry.path} was changed while the CD was made: try again when nothing writes "
        "there.",
        {"path": str(entry.path)},
    )


class _Places:
    """Where folders are on the disc: their paths by plain and by Joliet names."""

    def __init__(self) -> None:
        self.plain: dict[tuple[str, ...], str] = {(): ""}
        self.joliet: dict[tuple[str, ...], str] = {(): ""}
        self._taken: set[str] = set()
        # The number behind the last name that was cut to this, so that many alike cost no search.
        self._numbers: dict[str, int] = {}

    def joliet_path(self, names: tuple[str, ...]) -> str:
        """Give a new entry's Joliet path; a name that is cut like another's gets a number."""
        name = "".join("_" if letter in JOLIET_FORBIDDEN else letter for letter in names[-1])
        folder = self.joliet[names[:-1]]
        # Windows finds names without regard to case, so they have to differ in more.
        alike = f"{folder}/{_cut(name, NAME_MAX_CHARACTERS - NUMBER_MAX_CHARACTERS)}".casefold()
        number = 0
        while True:
            end = f"~{number}" if number else ""
            path = f"{folder}/{_cut(name, NAME_MAX_CHARACTERS - len(end))}{end}"
            if path.casefold() not in self._taken:
                self._taken.add(path.casefold())
                return path
            number = max(number, self._numbers.get(alike, 0)) + 1
            self._numbers[alike] = number


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
        disc.add_fp(  # type: ignore[attr-defined]
            _Content(entry),
            entry.size,
            f"{parent}/F{number:07}.;1",
            rr_name=name,
            joliet_path=joliet,
            file_mode=entry.mode,
        )


def _volume(name: str) -> str:
    kept = "".join(
        letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper()
    )
    return kept[:VOLUME_MAX_CHARACTERS] or "FOLDER"
