"""The table of commands against the one power table."""

from __future__ import annotations

import re

import pytest

from vmwb.model.power import ALLOWED, Action, PowerState
from vmwb_ui.actions import ACTIONS, MENUS, NOT_IN_A_RUN, TOOLBAR, Command, shown_in_slot

# Written out a second time: what each button means. EDIT and RENAME have no button yet.
POWER_ROWS = {
    Command.START: Action.START,
    Command.RESUME: Action.RESUME,
    Command.UNPAUSE: Action.UNPAUSE,
    Command.PAUSE: Action.PAUSE,
    Command.SUSPEND: Action.SUSPEND,
    Command.RESET: Action.RESET,
    Command.SHUT_DOWN: Action.SHUT_DOWN,
    Command.STOP: Action.STOP,
    Command.DISCARD: Action.DISCARD,
    Command.GRAB: Action.INPUT,
    Command.CTRL_ALT_DEL: Action.INPUT,
    Command.COPY_SCREEN: Action.OBSERVE,
    Command.DELETE: Action.DELETE,
}


@pytest.mark.parametrize("state", list(PowerState))
@pytest.mark.parametrize("command", list(POWER_ROWS))
def test_enabled_when_asks_the_power_table(command: Command, state: PowerState) -> None:
    expected = state in ALLOWED[POWER_ROWS[command]]
    assert ACTIONS[command].enabled_when(state) is expected


def test_every_power_row_but_edit_and_rename_has_a_command() -> None:
    rows = {spec.power for spec in ACTIONS.values()} - {None}
    assert rows == set(Action) - {Action.EDIT, Action.RENAME}


@pytest.mark.parametrize("command", [*POWER_ROWS, Command.LOG, Command.CLOSE_TAB])
def test_enabled_when_without_machine_is_false(command: Command) -> None:
    assert not ACTIONS[command].enabled_when(None)


@pytest.mark.parametrize("command", [Command.NEW, Command.QUIT, Command.ABOUT, Command.FIND])
def test_enabled_when_of_the_window_is_always_true(command: Command) -> None:
    assert all(ACTIONS[command].enabled_when(state) for state in (None, *PowerState))


def test_every_command_is_in_a_menu_once() -> None:
    listed = [command for _, menu in MENUS for command in menu if command is not None]
    assert sorted(listed) == sorted(Command)


def test_shortcuts_are_unique() -> None:
    used = [spec.shortcut for spec in ACTIONS.values() if spec.shortcut]
    assert len(used) == len(set(used))


def test_mnemonics_are_unique_within_a_menu() -> None:
    for title, menu in MENUS:
        letters = [
            found[1].lower()
            for command in menu
            if command is not None and (found := re.search(r"&(\w)", ACTIONS[command].text))
        ]
        assert len(letters) == len(set(letters)), title


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (PowerState.OFF, Command.START),
        (PowerState.CRASHED, Command.START),
        (PowerState.SUSPENDED, Command.RESUME),
        (PowerState.PAUSED, Command.UNPAUSE),
        (PowerState.RUNNING, Command.START),
        (None, Command.START),
    ],
)
def test_start_slot_shows_what_is_possible(state: PowerState | None, shown: Command) -> None:
    slot = next(slot for slot in TOOLBAR if slot and Command.START in slot)
    assert shown_in_slot(slot, state) is shown


def test_slot_in_a_run_hides_what_needs_a_library() -> None:
    assert shown_in_slot((Command.SUSPEND,), PowerState.RUNNING, NOT_IN_A_RUN) is None
