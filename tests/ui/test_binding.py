"""The Qt binding gives back every reference it takes.

PySide6 6.12.0 loses one reference to ``None`` with every call of C++ that returns nothing, and on
Python 3.11 the process dies in ``none_dealloc`` after some thousand of them.
"""

from __future__ import annotations

import sys

from PySide6.QtWidgets import QApplication, QWidget

CALLS = 50_000
# What the interpreter itself may take and give back meanwhile.
NOISE = 100


def test_calls_that_return_nothing_keep_the_count_of_none(qapp: QApplication) -> None:
    widget = QWidget()
    widget.setWindowTitle("warm")
    before = sys.getrefcount(None)
    for _ in range(CALLS):
        widget.setWindowTitle("x")
    assert abs(sys.getrefcount(None) - before) < NOISE
