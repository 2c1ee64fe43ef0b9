"""What the debugger prints."""

from __future__ import annotations

from vmwb.cli import debug_text


def test_trace_without_events_says_whether_one_is_waited_for() -> None:
    assert "has happened yet" in debug_text.trace([], recording=True)
    assert "`trace start` begins" in debug_text.trace([], recording=False)
