"""Opens the host's files for the core, which gets handles and never paths."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from vmwb.ipc.launch import Launch
from vmwb.ipc.platform_linux import close_all
from vmwb.library.files import irregular_error, open_error
from vmwb.library.states import SavedState
from vmwb.model.errors import NotFoundError, StorageError

IMAGE_MAX_BYTES: Final = 4 * 1024 * 1024 * 1024


def open_machine_files(launch: Launch) -> dict[str, int]:
    """Open what the machine boots and the media in its drives; the caller closes them.

    Raises:
        NotFoundError: there is no such file.
        StorageError: it is no regular file, or cannot be read or written.
    """
    wanted = {
        "kernel": launch.kernel,
        "initrd": launch.initrd,
        "firmware": launch.firmware,
        "vga_rom": launch.vga_rom,
    }
    handles: dict[str, int] = {}
    try:
        for role, path in wanted.items():
            if path is not None:
                handles[role] = _open_regular(Path(path), role)
        for n, path in enumerate(launch.modules):
            handles[f"module.{n}"] = _open_regular(Path(path), "module")
        for drive in launch.drives:
            # What is behind an image is only read.
            for n, path in enumerate(drive.paths):
                handles[f"drive.{drive.slot}.{n}"] = _open_regular(
                    Path(path), "image", writable=drive.writable and n == 0
                )
    except BaseException:
        close_all(list(handles.values()))
        raise
    return handles


def open_state_files(state: SavedState) -> dict[str, int]:
    """Open the files of a saved state for reading; the caller closes them.

    Raises:
        NotFoundError, StorageError: as for the boot files.
    """
    handles: dict[str, int] = {}
    try:
        handles["devices"] = _open_regular(state.devices, "devices' state")
        handles["ram"] = _open_regular(state.ram, "memory's state")
    except BaseException:
        close_all(list(handles.values()))
        raise
    return handles


def open_serial_file(path: Path) -> int:
    """Open the file that a serial port is appended to; the caller closes it.

    Raises:
        StorageError: it cannot be written, or is no regular file.
    """
    try:
        handle = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644
        )
    except OSError as error:
        raise StorageError(
            f"The serial port's file {path} cannot be written: {error.strerror}."
        ) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StorageError(f"The serial port's file {path} is not a regular file: choose another.")
    return handle


def _open_regular(path: Path, role: str, *, writable: bool = False) -> int:
    context = {"path": str(path), "role": role}
    mode = os.O_RDWR if writable else os.O_RDONLY
    try:
        # Non-blocking, so that a FIFO in place of a file does not hang the worker.
        handle = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise NotFoundError(
                f"The {role} {path} does not exist: check the path.", context
            ) from error
        raise open_error(role, path, error, writable=writable) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise irregular_error(role, path)
    if status.st_size > IMAGE_MAX_BYTES and role in {"kernel", "initrd", "module"}:
        os.close(handle)
        raise StorageError(f"The {role} {path} is too large: at most 4 GiB can be loaded.", context)
    return handle
