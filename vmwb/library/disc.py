"""A CD made of a folder: an ISO 9660 image with Joliet and Rock Ridge names.

The image is the same for the same folder, whenever it is made, as far as the files' own dates are.
Links and what is no regular file are left out: the image holds what lies in the folder, and nothing
that a link there points to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
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
VOLUME_MAX_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or folder: where it is, its names from the top, and its size (-1: a folder)."""

    path: Path
    names: tuple[str, ...]
    size: int


def build_disc(folder: Path, image: Path) -> None:
    """Write an image of a folder; it appears as a whole, or not at all.

    Raises:
        StorageError: the folder is too large for a disc, or something cannot be read or written.
    """
    # Slow to load, and only needed here.
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    with storage_errors("The folder cannot be made into a CD", folder):
        entries = sorted(_walk(folder, ()), key=lambda entry: entry.names)
    _check(folder, entries)
    disc = pycdlib.PyCdlib()
    temporary = image.with_name(f".{image.name}.{os.getpid()}.tmp")
    try:
        disc.new(
            interchange_level=3,
            joliet=3,
            rock_ridge="1.09",
            vol_ident=_volume(folder.name),
        )
        places: dict[tuple[str, ...], str] = {(): ""}
        for number, entry in enumerate(entries):
            _add(disc, entry, number, places)
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
            yield _Entry(Path(child.path), entry, -1)
            yield from _walk(Path(child.path), entry)
        elif stat.S_ISREG(status.st_mode):
            yield _Entry(Path(child.path), entry, status.st_size)


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


def _add(disc: object, entry: _Entry, number: int, places: dict[tuple[str, ...], str]) -> None:
    """Put an entry where its folder is; plain ISO 9660 names are numbers, so that none collide."""
    parent = places[entry.names[:-1]]
    joliet = "/" + "/".join(name[:NAME_MAX_CHARACTERS] for name in entry.names)
    if entry.size < 0:
        place = f"{parent}/D{number:07}"
        places[entry.names] = place
        disc.add_directory(place, rr_name=entry.names[-1], joliet_path=joliet)  # type: ignore[attr-defined]
    else:
        disc.add_file(  # type: ignore[attr-defined]
            str(entry.path),
            f"{parent}/F{number:07}.;1",
            rr_name=entry.names[-1],
            joliet_path=joliet,
        )


def _volume(name: str) -> str:
    kept = "".join(
        letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper()
    )
    return kept[:VOLUME_MAX_CHARACTERS] or "FOLDER"
