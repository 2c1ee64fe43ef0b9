"""The table of commands: each is possible exactly when the one power table says so."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QRect
from PySide6.QtGui import QKeySequence

from vmwb.model.power import ALLOWED, PowerState
from vmwb_ui.actions import ACTIONS, ActionSpec, Command

GERMAN = Path(__file__).parents[2] / "ui" / "translations" / "vmwb_de.ts"


def test_every_command_is_declared_once() -> None:
    assert set(ACTIONS) == set(Command)


@pytest.mark.parametrize("state", PowerState)
def test_command_of_the_power_table_is_enabled_exactly_where_it_allows(state: PowerState) -> None:
    powered = [spec for spec in ACTIONS.values() if spec.power is not None]

    assert {spec.command for spec in powered if spec.enabled_when(state)} == {
        spec.command for spec in powered if spec.power and state in ALLOWED[spec.power]
    }


def test_command_of_a_machine_without_a_machine_is_disabled() -> None:
    of_a_machine = [s for s in ACTIONS.values() if s.power is not None or s.needs_machine]

    assert of_a_machine
    assert not any(spec.enabled_when(None) for spec in of_a_machine)


def test_shortcuts_are_different() -> None:
    shortcuts = [spec.shortcut for spec in ACTIONS.values() if spec.shortcut]

    assert len(set(shortcuts)) == len(shortcuts)
    assert all(QKeySequence(text)[0].key() for text in shortcuts)


def test_every_command_has_text_and_hint() -> None:
    def words(spec: ActionSpec) -> bool:
        return bool(spec.text) and bool(spec.hint)

    assert all(words(spec) for spec in ACTIONS.values())


def test_german_is_complete() -> None:
    text = GERMAN.read_text(encoding="utf-8")
    translations = re.findall(r"<translation([^>]*)>(.*?)</translation>", text, re.DOTALL)

    assert len(translations) > 100
    assert not [words for attributes, words in translations if "unfinished" in attributes]
    assert all(words.strip() for _, words in translations)


def test_calls_into_qt_lose_no_reference_to_none() -> None:
    # PySide6 6.12.0 loses one at each call that returns nothing, and Python 3.11 dies of it.
    rect = QRect()
    before = sys.getrefcount(None)

    for _ in itertools.repeat(None, 10_000):
        rect.setX(1)

    assert abs(sys.getrefcount(None) - before) < 1_000
