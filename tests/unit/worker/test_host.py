"""The host of a machine whose guest makes it tell events without end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from vmwb.worker.boot import Booted
from vmwb.worker.host import TURNS_MAX, MachineHost
from vmwb.worker.log import Log


class Restless:
    """A machine of the core that always has an event to tell."""

    def __init__(self) -> None:
        self.handle = os.eventfd(1)
        self.taken = 0

    def event_handle(self) -> int:
        return self.handle

    def drain_events(self) -> list[str]:
        self.taken += 1
        return [f'{{"seq":{self.taken},"retired":0,"kind":"guest_reset"}}']


async def test_events_without_end_leave_the_loop_time_for_others(tmp_path: Path) -> None:
    machine = Restless()
    booted = SimpleNamespace(
        launch=SimpleNamespace(resume_state=None),
        bundle=tmp_path,
        core=None,
        machine=machine,
        spawn_seconds=0.0,
        started="",
        consoles=(),
    )
    host = MachineHost(cast(Booted, booted), Log())
    host.attach()
    for _ in range(20 * TURNS_MAX):
        await asyncio.sleep(0)

    assert TURNS_MAX < machine.taken < 10 * TURNS_MAX
    asyncio.get_running_loop().remove_reader(machine.handle)
    os.close(machine.handle)
