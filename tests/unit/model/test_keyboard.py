from __future__ import annotations

import pytest

from vmwb.model.errors import UsageError
from vmwb.model.keyboard import (
    KeyPress,
    answer_presses,
    combination,
    combinations,
    text_presses,
)


def codes(presses: tuple[KeyPress, ...]) -> list[tuple[int, bool]]:
    return [(press.code, press.down) for press in presses]


@pytest.mark.parametrize(
    ("text", "down"),
    [
        ("a", [0x1E]),
        ("A", [0x2A, 0x1E]),
        ("enter", [0x1C]),
        ("f1", [0x3B]),
        ("f10", [0x44]),
        ("f12", [0x58]),
        ("ctrl-alt-del", [0x1D, 0x38, 0xE053]),
        ("Ctrl-C", [0x1D, 0x2E]),
        ("alt-f4", [0x38, 0x3E]),
        ("kp-enter", [0xE01C]),
        ("ctrl-kp-enter", [0x1D, 0xE01C]),
        ("-", [0x0C]),
        ("ctrl--", [0x1D, 0x0C]),
        ("up", [0xE048]),
    ],
)
def test_combination_goes_down_in_order_and_up_in_reverse(text: str, down: list[int]) -> None:
    expected = [(code, True) for code in down] + [(code, False) for code in reversed(down)]

    assert codes(combination(text)) == expected


@pytest.mark.parametrize("text", ["", "hyper-x", "f13", "ctrl-", "ä"])
def test_combination_unknown_key_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="There is no key"):
        combination(text)


def test_combinations_follow_each_other() -> None:
    assert len(combinations(["a", "enter"])) == 4


def test_text_presses_hold_shift_where_needed() -> None:
    assert codes(text_presses("a!")) == [
        (0x1E, True),
        (0x1E, False),
        (0x2A, True),
        (0x02, True),
        (0x02, False),
        (0x2A, False),
    ]


def test_text_presses_every_printable_ascii_character_has_a_key() -> None:
    text = "".join(chr(code) for code in range(0x20, 0x7F))

    assert len(text_presses(text)) > 2 * len(text)


def test_text_presses_unknown_character_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not on a US keyboard"):
        text_presses("ä")


def test_text_presses_too_long_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="4096"):
        text_presses("a" * 4097)


def test_answer_presses_types_words_and_presses_keys() -> None:
    assert answer_presses("ls enter") == (*text_presses("ls"), *combination("enter"))


def test_answer_presses_without_keys_types_the_text() -> None:
    assert answer_presses("echo a-b c") == text_presses("echo a-b c")
