"""What a worker's log says about an end without last words in ``run.json``.

A call that the sandbox traps ends the process at once; the core writes one line to the log before
(``vmwb-sandbox``, ``sys/trap.rs``). Only its two facts are taken from the log, never its text: what
writes there may be a worker that somebody has taken over.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from vmwb.library.layout import Bundle

TAIL_BYTES: Final = 4096
_SANDBOX: Final = re.compile(
    rb"^error The worker was stopped by its own sandbox: its (driver|device|control) thread made "
    rb"the system call ([0-9]{1,10}), which it may not make\.$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class SandboxStop:
    """A worker's end by its own sandbox: the thread that made a system call, and its number."""

    role: str
    call: int

    @property
    def sentence(self) -> str:
        """The sentence for the user."""
        return (
            f"The worker was stopped by its own sandbox: its {self.role} thread made the system "
            f"call {self.call}, which it may not make. The guest may have tried to break out: look "
            "at `vmwb logs`, and report it before you start the machine again."
        )


def stopped_by_sandbox(bundle: Bundle) -> SandboxStop | None:
    """Tell how the bundle's last worker was stopped by its own sandbox, if it was."""
    try:
        descriptor = os.open(bundle.log, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    found = _SANDBOX.findall(tail)
    if not found:
        return None
    role, call = found[-1]
    return SandboxStop(role.decode(), int(call))
