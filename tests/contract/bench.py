"""A library of its own with services whose workers run the fake core."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from vmwb.app import Paths
from vmwb.model.config import BootConfig, VmConfig
from vmwb.services.api import Services

FAKE_WORKER = (sys.executable, "-P", str(Path(__file__).with_name("fake_worker.py")))


@dataclass(frozen=True, slots=True)
class Bench:
    """A library of its own, its services, and a kernel that the fake core accepts."""

    services: Services
    paths: Paths
    kernel: Path

    def config(self, name: str = "deb", append: str = "") -> VmConfig:
        """Give a sound definition."""
        return VmConfig(name=name, memory_mib=16, boot=BootConfig(str(self.kernel), None, append))


def worker_environment() -> dict[str, str]:
    """Let the worker find the package as this process found it."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
