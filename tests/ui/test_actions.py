"""The window's commands against the one power table."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QKeySequence

from vmwb.model.power import ALLOWED, Action, PowerState
from vmwb_ui.actions import ACTIONS, MENUS, TOOLBAR, Command, shown_in_slot

POWER_SPECS = [spec for spec in ACTIONS.values() if spec.power is not None]


@pytest.mark.parametrize("state", list(PowerState))
@pytest.mark.parametrize("spec", POWER_SPECS, ids=lambda spec: spec.command)
def test_command_in_a_state_is_enabled_as_the_power_table_says(spec, state) -> None:
    assert spec.enabled_when(state) == (state in ALLOWED[spec.power])


@pytest.mark.parametrize("spec", POWER_SPECS, ids=lambda spec: spec.command)
def test_command_of_a_machine_without_one_is_disabled(spec) -> None:
    assert not spec.enabled_when(None)


def test_every_power_button_of_the_table_has_a_command() -> None:
    buttons = {
        *(Action.START, Action.STOP, Action.SHUT_DOWN, Action.RESET, Action.PAUSE),
        *(Action.UNPAUSE, Action.SUSPEND, Action.RESUME, Action.DISCARD, Action.DELETE),
    }
    assert buttons <= {spec.power for spec in ACTIONS.values()}


def test_every_command_is_in_a_menu_exactly_once() -> None:
    in_menus = [command for _, commands in MENUS for command in commands if command is not None]
    assert sorted(in_menus) == sorted(Command)


def test_shortcuts_are_valid_and_unique() -> None:
    shortcuts = [spec.shortcut for spec in ACTIONS.values() if spec.shortcut]
    assert len(set(shortcuts)) == len(shortcuts)
    assert not [text for text in shortcuts if QKeySequence(text).isEmpty()]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (None, Command.START),
        (PowerState.OFF, Command.START),
        (PowerState.SUSPENDED, Command.RESUME),
        (PowerState.PAUSED, Command.UNPAUSE),
        (PowerState.RUNNING, Command.START),
    ],
)
def test_start_button_in_a_state_does_what_helps(state, shown) -> None:
    assert shown_in_slot(TOOLBAR[2], state) is shown
