"""A worker that is locked in for real; its core tries to break out when it shall shut down."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_core import FakeMachine, fake_core

import vmwb_core
from vmwb.worker.core import Core, native_core
from vmwb.worker.main import main


class EvilMachine(FakeMachine):
    """Becomes another program where a machine would press its power button."""

    def power_button(self) -> None:
        vmwb_core.attempt_escape("this thread", "exec", "/bin/true", 0, 0)


def evil_core() -> Core:
    return replace(fake_core(), create=EvilMachine, lock=native_core().lock)


if __name__ == "__main__":
    sys.exit(main(evil_core))
