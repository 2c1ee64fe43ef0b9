"""Write an initial RAM file system for Linux: a cpio archive of the "newc" kind, gzipped.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux kernel. The same
entries give the same bytes on every host: times, owners and inode numbers are fixed.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"
_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or device; `mode` carries type and permissions as in st_mode."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(path: str) -> Entry:
    """Return a folder that everybody may enter."""
    return Entry(path, stat.S_IFDIR | 0o755)


def program(path: str, data: bytes) -> Entry:
    """Return a regular file that may be executed."""
    return Entry(path, stat.S_IFREG | 0o755, data)


def link(path: str, target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def console() -> Entry:
    """Return /dev/console (device 5:1), without which the first process has no standard streams."""
    return Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))


def modules(files: Sequence[Path]) -> list[Entry]:
    """Return a folder /modules with kernel modules, and in `order` their names, a line each."""
    order = "".join(f"{file.name}\n" for file in files)
    return [
        folder("modules"),
        program("modules/order", order.encode()),
        *(program(f"modules/{file.name}", file.read_bytes()) for file in files),
    ]


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the compressed archive. Folders must come before what lies in them."""
    plain = b"".join(_record(number, entry) for number, entry in enumerate(entries, start=1))
    return gzip.compress(plain + _record(0, Entry(_TRAILER, 0)), compresslevel=1, mtime=0)


def _record(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    major, minor = entry.device
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, major, minor, len(name), 0)
    header = (_MAGIC + "".join(f"{field:08X}" for field in fields)).encode()
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
