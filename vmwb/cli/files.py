"""Files that commands write for the user."""

from __future__ import annotations

from pathlib import Path

from vmwb.model.errors import StorageError


def write_output(path: Path, data: bytes) -> None:
    """Write a file of the user's choice.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(
            f"The file {path} cannot be written: {error.strerror}.", {"path": str(path)}
        ) from error
