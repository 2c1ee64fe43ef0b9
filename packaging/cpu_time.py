"""How much processor time another process has used."""

from __future__ import annotations

import time


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of all threads of a process, those that ended too, to the nanosecond.

    The identifier of another process's CPU-time clock is made as clock_getcpuclockid(3) makes it.
    """
    return time.clock_gettime(((~pid) << 3) | 2)
