"""Fixtures of the boots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Vmwb


@pytest.fixture
def vmwb(short_tmp_path: Path) -> Iterator[Vmwb]:
    """Give the command; what it started is switched off in the end."""
    command = Vmwb(short_tmp_path)
    yield command
    command.stop_all()
