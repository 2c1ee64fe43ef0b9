"""Where things are in a bundle: ``<library>/<name>.vmwb/``; the folder's name is the machine's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmwb.ipc.platform_linux import try_lock
from vmwb.model.errors import BusyError

SUFFIX: Final = ".vmwb"
LOG_KEEP: Final = 5


@dataclass(frozen=True, slots=True)
class Bundle:
    """The paths of one bundle."""

    path: Path

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def definition(self) -> Path:
        """The machine's definition."""
        return self.path / "machine.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the bundle: the worker as long as the machine runs."""
        return self.path / "lock"

    @property
    def run(self) -> Path:
        """The run record of the last or present worker."""
        return self.path / "run.json"

    @property
    def states(self) -> Path:
        """Saved states."""
        return self.path / "states"

    @property
    def disks(self) -> Path:
        """Virtual disks."""
        return self.path / "disks"

    @property
    def media(self) -> Path:
        """Images that were made for the machine: CDs of folders."""
        return self.path / "media"

    @property
    def logs(self) -> Path:
        """Logs, the present one and a few old ones."""
        return self.path / "logs"

    @property
    def log(self) -> Path:
        """The log of the last or present worker."""
        return self.logs / "worker.log"


class BundleLock:
    """The exclusive lock of a bundle; released when closed, or by the kernel when we die."""

    def __init__(self, bundle: Bundle) -> None:
        """Take the lock at once.

        Raises:
            BusyError: somebody else holds it.
            OSError: the lock file cannot be opened.
        """
        self._descriptor = os.open(
            bundle.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        if not try_lock(self._descriptor):
            self.close()
            raise BusyError(
                f"{bundle.name} is in use by another program: wait until that is done, or stop it.",
                {"machine": bundle.name},
            )

    def __enter__(self) -> BundleLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_locked(bundle: Bundle) -> bool:
    """Tell whether somebody holds the lock of a bundle now.

    The probe takes a shared lock for an instant; whoever starts a worker tries more than once.
    """
    try:
        descriptor = os.open(bundle.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def rotate_logs(bundle: Bundle) -> None:
    """Begin a new log and keep the last few. Errors are the operating system's."""
    bundle.logs.mkdir(exist_ok=True)
    for number in range(LOG_KEEP - 1, -1, -1):
        old = bundle.log if number == 0 else bundle.logs / f"worker.{number}.log"
        if old.exists():
            old.replace(bundle.logs / f"worker.{number + 1}.log")
