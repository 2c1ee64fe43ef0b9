"""The embedded emulator core of VM Workbench.

One class, :class:`Machine`, and a few functions that describe the build. The core takes open file
descriptors, never paths; it calls nothing back: what happens in a machine is told by events, which
wait behind a descriptor of their own. Any thread may call any method.
"""

from __future__ import annotations

from vmwb_core._core import (
    CoreError,
    Machine,
    attempt_escape,
    build_hash,
    framebuffer_layout_json,
    host_sandbox_json,
    lock_down,
    power_table_json,
    spec_schema_json,
)

__all__ = [
    "CoreError",
    "Machine",
    "attempt_escape",
    "build_hash",
    "framebuffer_layout_json",
    "host_sandbox_json",
    "lock_down",
    "power_table_json",
    "spec_schema_json",
]
