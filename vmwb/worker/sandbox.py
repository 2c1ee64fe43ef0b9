"""What the worker says about its own sandbox; the core locks it in (``Core.lock``)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from vmwb.library.layout import Bundle
from vmwb.model.errors import EngineFailedError


@dataclass(frozen=True, slots=True)
class LockedDown:
    """How far the worker is locked in.

    ``files`` is ``full``, ``partial`` (an older kernel) or ``no`` (a kernel without Landlock, or
    with it switched off); ``landlock_abi`` is what the kernel offers, 0 for none; ``calls`` tells
    whether system calls are filtered.
    """

    files: str
    landlock_abi: int
    calls: bool

    def sentences(self) -> Iterator[tuple[str, str]]:
        """Give lines for the log: level and sentence."""
        if self.files == "full" and self.calls:
            yield "info", f"The worker is locked in: Landlock {self.landlock_abi}, system calls."
        if self.files == "partial":
            yield (
                "info",
                f"The worker is locked in as far as its kernel can: Landlock {self.landlock_abi}.",
            )
        if self.files == "no":
            yield (
                "warn",
                "This kernel offers no Landlock: the worker is not held to its machine's folder.",
            )
        if not self.calls:
            yield (
                "warn",
                "This kernel does not filter system calls: the worker can make all of them.",
            )


def locked_down_from_json(text: str) -> LockedDown:
    """Read the core's answer.

    Raises:
        EngineFailedError: it is none.
    """
    match json.loads(text):
        case {"files": str(files), "landlock_abi": int(abi), "calls": bool(calls)}:
            return LockedDown(files, abi, calls)
        case _:
            raise EngineFailedError("The core does not say how the worker is locked in.")


def open_folder(bundle: Bundle) -> int:
    """Open the bundle's folder as the place to be locked into; the caller closes it.

    Errors are the operating system's.
    """
    return os.open(bundle.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
