"""What a worker's log says about an end without last words in ``run.json``.

A call that the sandbox traps ends the process at once; the core writes one line to the log before
(``vmwb-sandbox``, ``sys/trap.rs``). Only its two facts are taken from the log, never its text: what
writes there may be a worker that somebody has taken over.
"""

from __future__ import annotations

import os
import re
from typing import Final

from vmwb.library.layout import Bundle

TAIL_BYTES: Final = 4096
_SANDBOX: Final = re.compile(
    rb"^error The worker was stopped by its own sandbox: its (driver|device|control) thread made "
    rb"the system call ([0-9]{1,10}), which it may not make\.$",
    re.MULTILINE,
)


def stopped_by_sandbox(bundle: Bundle) -> str | None:
    """Give the sentence if the bundle's last worker was stopped by its own sandbox."""
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
    role, call = (part.decode() for part in found[-1])
    return (
        f"The worker was stopped by its own sandbox: its {role} thread made the system call "
        f"{call}, which it may not make. The guest may have tried to break out: look at "
        "`vmwb logs`, and report it before you start the machine again."
    )
