"""The serial terminal: emulation against a hostile guest, keys, selection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from vmwb_ui.serial.emulation import HISTORY_LINES, Emulation
from vmwb_ui.serial.terminal import TerminalView


def text_of(emulation: Emulation) -> str:
    return emulation.text((0, 0), (emulation.total, 0)).rstrip("\n")


def lines(count: int) -> bytes:
    return b"".join(f"line {number}\r\n".encode() for number in range(count))


@pytest.fixture
def answers() -> list[bytes]:
    return []


@pytest.fixture
def emulation(answers) -> Emulation:
    return Emulation(answers.append)


def test_output_that_scrolls_off_is_kept_in_order(emulation) -> None:
    emulation.feed(lines(100))
    assert text_of(emulation).splitlines() == [f"line {number}" for number in range(100)]


def test_history_is_bounded(emulation) -> None:
    emulation.feed(lines(HISTORY_LINES + 500))
    assert emulation.total == HISTORY_LINES + emulation.rows


def test_resize_keeps_all_text_and_the_cursor_at_its_line(emulation) -> None:
    emulation.feed(lines(50) + b"# ")
    before = text_of(emulation)
    for columns, rows in ((120, 10), (100, 40), (80, 24), (90, 60)):
        emulation.resize(columns, rows)
        assert text_of(emulation) == before
        row, column = emulation.cursor
        assert (row, column) == (50, 2)


def test_question_for_the_cursor_is_answered(emulation, answers) -> None:
    emulation.feed(b"ab\x1b[6n")
    assert answers == [b"\x1b[1;3R"]


@pytest.mark.parametrize(
    "nonsense", [b"\x1b[9J", b"\x1b[7K", b"\x1b[?1m", b"\x1b[>4;2m", b"\x1b[99999999999L"]
)
def test_sequence_that_pyte_cannot_do_leaves_the_rest_alone(emulation, nonsense) -> None:
    emulation.feed(b"before " + nonsense + b"after")
    assert text_of(emulation).endswith("after")


def test_control_string_without_end_is_left(emulation) -> None:
    emulation.feed(b"\x1b]0;")
    for _ in range(40):
        emulation.feed(b"x" * 1000)
    emulation.feed(b"\r\nhere again")
    assert text_of(emulation).endswith("here again")


def test_combining_characters_do_not_pile_up_in_a_cell(emulation) -> None:
    emulation.feed(b"e" + "\N{COMBINING ACUTE ACCENT}".encode() * 10_000)
    assert len(emulation.line(0)[0].data) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=64) | st.sampled_from([b"\x1b[", b"\x1b]", b"?", b";"])))
def test_any_output_is_survived(parts) -> None:
    emulation = Emulation(len)
    for part in parts:
        emulation.feed(part)
    emulation.resize(100, 30)
    assert len(emulation.line(emulation.total - 1)) == emulation.columns


@pytest.fixture
def terminal(look, qtbot):
    widget = TerminalView()
    qtbot.addWidget(widget)
    widget.resize(900, 500)
    widget.show()
    widget.set_takes_input(True)
    return widget


@pytest.mark.parametrize(
    ("key", "modifiers", "sent"),
    [
        (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier, b"\r"),
        (Qt.Key.Key_Backspace, Qt.KeyboardModifier.NoModifier, b"\x7f"),
        (Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier, b"\t"),
        (Qt.Key.Key_Up, Qt.KeyboardModifier.NoModifier, b"\x1b[A"),
        (Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier, b"\x03"),
        (Qt.Key.Key_F5, Qt.KeyboardModifier.NoModifier, b"\x1b[15~"),
    ],
)
def test_key_becomes_the_bytes_of_a_vt(terminal, key, modifiers, sent) -> None:
    typed = []
    terminal.typed.connect(typed.append)
    QTest.keyClick(terminal, key, modifiers)
    assert [bytes(item) for item in typed] == [sent]


def test_typing_after_scrolling_back_shows_the_end(terminal, qtbot) -> None:
    terminal.feed(lines(200))
    bar = terminal.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    bar.setValue(3)
    QTest.keyClicks(terminal, "x")
    assert bar.value() == bar.maximum()


def test_machine_that_is_gone_gets_nothing(terminal) -> None:
    typed = []
    terminal.typed.connect(typed.append)
    terminal.set_takes_input(False)
    QTest.keyClicks(terminal, "abc")
    assert typed == []


def test_selection_by_mouse_is_copied(terminal, qtbot, qapp) -> None:
    terminal.feed(b"copy me please")
    qtbot.waitUntil(lambda: not terminal._refresh.isActive())
    viewport = terminal.viewport()
    width, height = terminal._cell_width, terminal._cell_height
    begin = QPoint(1, 1)  # a null point would mean the middle
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=begin)
    end = QPoint(round(4 + 7 * width), round(height / 2))
    qtbot.mouseMove(viewport, end)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=end)
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(terminal, Qt.Key.Key_C, both)
    assert qapp.clipboard().text() == "copy me"
