"""A pytest plug-in (`-p no_qt`) for the run without Qt: it proves that none was there."""

from __future__ import annotations

import importlib.util
import sys

import pytest

QT = ("PySide6", "shiboken6", "PyQt6", "PyQt5", "qasync", "vmwb_ui")


def pytest_sessionstart() -> None:
    """Refuse to run where a Qt could be imported: the result would prove nothing."""
    found = [name for name in QT if importlib.util.find_spec(name) is not None]
    if found:
        raise pytest.UsageError(
            f"this run is to prove that Qt is not needed, but here is {', '.join(found)}"
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test brought Qt in by a path of its own."""
    if any(name.split(".")[0] in QT for name in sys.modules):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
