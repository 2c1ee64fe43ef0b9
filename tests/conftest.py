"""What all tests share: options that are known without pytest-qt too, and folders."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare our option, and pytest-qt's settings where that plug-in is not installed."""
    if importlib.util.find_spec("pytestqt") is None:
        parser.addini("qt_api", "setting of pytest-qt, without effect here")
        parser.addini("qt_log_level_fail", "setting of pytest-qt, without effect here")
    parser.addoption(
        "--suspend-points",
        type=int,
        default=3,
        help="at how many random points of a boot the machine is suspended (default: 3)",
    )


@pytest.fixture
def short_tmp_path() -> Iterator[Path]:
    """Give a folder with a short path: a Unix socket's address has room for 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="vmwb-"))
    yield folder
    shutil.rmtree(folder)
