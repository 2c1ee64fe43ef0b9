"""Files that are whole or absent: atomic writes, and errors of the disk in words."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vmwb.model.drives import ImageFormat
from vmwb.model.errors import CorruptError, NotFoundError, StorageError

TEXT_MAX_BYTES: Final = 1024 * 1024
# QEMU, docs/interop/qcow2.txt: header, bytes 0 to 3.
QCOW2_MAGIC: Final = b"QFI\xfb"


@contextlib.contextmanager
def storage_errors(what: str, path: Path) -> Iterator[None]:
    """Turn errors of the operating system into sentences; ``what`` begins them.

    Raises:
        StorageError: read-only, full, no permission, or any other failure of the disk.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(what, path, error), {"path": str(path)}) from error


def _sentence(what: str, path: Path, error: OSError) -> str:
    match error.errno:
        case errno.EROFS:
            reason = "the file system is read-only: choose another library with --library"
        case errno.EACCES | errno.EPERM:
            reason = (
                "you may not write there: change its permissions, or choose another library with "
                "--library"
            )
        case errno.ENOSPC | errno.EDQUOT:
            reason = "the disk is full: free some space, then try again"
        case errno.ENAMETOOLONG:
            reason = "its path is too long: choose a shorter name"
        case _:
            reason = error.strerror or str(error)
    return f"{what} ({path}): {reason}."


def open_error(role: str, path: Path, error: OSError, *, writable: bool) -> StorageError:
    """Say why a file that the user has named cannot be opened, and what to do."""
    context = {"path": str(path), "role": role}
    what = "written" if writable else "read"
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS if writable:
            advice = "give yourself the right to write it, or attach it read-only"
            context["reason"] = "not_writable"
        case errno.EACCES | errno.EPERM:
            advice = "give yourself the right to read it"
            context["reason"] = "not_readable"
        case _:
            advice = error.strerror or str(error)
    return StorageError(f"The {role} {path} cannot be {what}: {advice}.", context)


def irregular_error(role: str, path: Path) -> StorageError:
    """Say that what the user has named is a folder, a device or the like."""
    return StorageError(
        f"The {role} {path} is not a regular file: give a file.",
        {"path": str(path), "role": role, "reason": "not_regular"},
    )


def sync_directory(path: Path) -> None:
    """Make renames and new files in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file as a whole; a reader sees the old content or the new.

    ``durable`` also syncs the file and its directory, so that the new content survives power loss.
    Errors are the operating system's; on one the old file stays and no temporary is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def write_somehow(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file as a whole, or on a full disk write over what it holds.

    For what has to be told even then. A file whose new content is not longer than the space it has
    needs no more; a reader may then see both contents mixed. Errors are the operating system's.
    """
    try:
        write_atomically(path, data, durable=durable)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or not path.exists():
            raise
    else:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        written = os.pwrite(descriptor, data, 0)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(descriptor, len(data))
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it; links are removed, not followed.

    What cannot be removed stays, without a word. (shutil has the same, and loads three compression
    libraries for it.)
    """
    with contextlib.suppress(OSError):
        with os.scandir(path) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                remove_tree(Path(entry.path))
            else:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
        path.rmdir()


def read_bounded(path: Path, limit: int = TEXT_MAX_BYTES) -> bytes:
    """Read a small file.

    Raises:
        NotFoundError: it is not there.
        CorruptError: it is larger than any such file may be, or no regular file.
        StorageError: it cannot be read.
    """
    try:
        with storage_errors("A file cannot be read", path):
            data = _read(path, limit + 1)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise NotFoundError(f"There is no file {path}.", {"path": str(path)}) from error
        raise
    if len(data) > limit:
        raise CorruptError(
            f"The file {path} is not what it should be: it is larger than {limit} bytes.",
            {"path": str(path)},
        )
    return data


def _read(path: Path, limit: int) -> bytes:
    """Read at most so many bytes; a FIFO or device in place of the file does not hang."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    data = bytearray()
    try:
        while len(data) < limit and (part := os.read(descriptor, limit - len(data))):
            data += part
    finally:
        os.close(descriptor)
    return bytes(data)


def open_image(path: Path, *, writable: bool) -> int:
    """Open an image file; the caller closes it.

    Raises:
        StorageError: it cannot be opened so, or is no regular file.
    """
    mode = os.O_RDWR if writable else os.O_RDONLY
    try:
        # Non-blocking, so that a FIFO in place of a file does not hang.
        handle = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise open_error("image", path, error, writable=writable) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise irregular_error("image", path)
    return handle


def image_format(path: Path) -> ImageFormat:
    """Tell an image's format by its first bytes; only for a file that the user has just named.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        magic = _read(path, len(QCOW2_MAGIC))
    except OSError as error:
        raise open_error("image", path, error, writable=False) from error
    return ImageFormat.QCOW2 if magic == QCOW2_MAGIC else ImageFormat.RAW


def disk_usage(path: Path) -> tuple[int, int]:
    """Count the files under a directory and the bytes they take on disk."""
    files = 0
    size = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(directory, name).lstat().st_blocks * 512
                files += 1
    return files, size
