"""The window over fake services: buttons, a run that dies, names for screen readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from fake_services import LOG
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTabBar,
    QTabWidget,
    QWidget,
)
from ui.conftest import Stage

from vmwb.model.errors import WorkerGoneError
from vmwb.model.keyboard import combination
from vmwb.model.power import PowerState
from vmwb_ui.actions import ACTIONS, Command
from vmwb_ui.library.new_machine import NewMachineDialog
from vmwb_ui.machine.log_dialog import LogDialog

Play = Callable[..., None]
SENTENCE = "The machine's process ended without a word (signal 9)."
CONTROLS = (
    *(QAbstractButton, QAbstractItemView, QAbstractScrollArea, QComboBox, QLabel),
    *(QLineEdit, QTabBar, QTabWidget),
)


def state_of(stage: Stage) -> PowerState | None:
    return stage.window.state


def trigger(stage: Stage, command: Command) -> None:
    stage.window.actions_of[command].trigger()


async def run_to(stage: Stage, command: Command, state: PowerState) -> None:
    trigger(stage, command)
    await stage.until(lambda: state_of(stage) is state)


def test_power_buttons_in_turn_call_the_services(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        await stage.open("deb")
        for command, state in (
            (Command.START, PowerState.RUNNING),
            (Command.PAUSE, PowerState.PAUSED),
            (Command.UNPAUSE, PowerState.RUNNING),
            (Command.SUSPEND, PowerState.SUSPENDED),
            (Command.RESUME, PowerState.RUNNING),
            (Command.SHUT_DOWN, PowerState.OFF),
            (Command.START, PowerState.RUNNING),
            (Command.STOP, PowerState.OFF),
        ):
            await run_to(stage, command, state)
        expected = ["start", "pause", "unpause", "suspend", "resume", "shut-down", "start", "stop"]
        assert stage.fake.calls == [(action, "deb") for action in expected]
        assert stage.window.banner.text() == ""

    in_window(play)


@pytest.mark.parametrize("state", list(PowerState))
def test_actions_follow_the_state_of_the_machine_in_front(
    in_window: Play, state: PowerState
) -> None:
    async def play(stage: Stage) -> None:
        pid = 4711 if state.has_worker else None
        stage.fake.put(replace(stage.fake.find("deb"), state=state, pid=pid))
        await stage.open("deb")
        for command, action in stage.window.actions_of.items():
            assert action.isEnabled() is ACTIONS[command].enabled_when(state), command

    in_window(play)


def test_run_shows_screen_serial_and_rate(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        await stage.open("deb")
        await run_to(stage, Command.START, PowerState.RUNNING)
        tab = stage.window.current
        assert tab is not None
        await stage.until(lambda: tab.presenter.picture is not None)
        assert tab.pages.currentWidget() is tab.screen_view
        await stage.until(lambda: "42" in stage.window.rate_label.text())
        trigger(stage, Command.GRAB)
        assert tab.screen_view.grabbed
        assert "Ctrl+Alt" in stage.window.hint_label.text()
        trigger(stage, Command.CTRL_ALT_DEL)
        await stage.until(lambda: stage.fake.pressed == list(combination("ctrl-alt-del")))
        tab.presenter.type_serial(b"ls\r")
        await stage.until(lambda: stage.fake.serial.written == b"ls\r")

    in_window(play)


def test_copy_screen_text_fills_the_clipboard(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        await stage.open("deb")
        await run_to(stage, Command.START, PowerState.RUNNING)
        trigger(stage, Command.COPY_SCREEN)
        await stage.until(lambda: QGuiApplication.clipboard().text() == "text of deb")

    in_window(play)


def test_worker_death_shows_its_sentence_and_start_again_works(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        await stage.open("deb")
        await run_to(stage, Command.START, PowerState.RUNNING)
        tab = stage.window.current
        assert tab is not None
        await stage.until(lambda: tab.presenter.picture is not None)
        tab.screen_view.take_keyboard()
        stage.fake.die("deb", SENTENCE)
        await stage.until(lambda: state_of(stage) is PowerState.CRASHED)
        shown = tab.summary.findChild(QLabel, "sentence")
        assert tab.pages.currentWidget() is tab.summary
        assert shown.isVisible()
        assert shown.text() == SENTENCE
        assert not tab.screen_view.grabbed
        log = tab.summary.findChild(QPlainTextEdit)
        await stage.until(lambda: log.toPlainText() == LOG)
        await stage.until(lambda: tab.presenter.picture is None)
        again = tab.summary.findChild(QPushButton, "start")
        assert again.text() == "Start again"
        again.click()
        await stage.until(lambda: state_of(stage) is PowerState.RUNNING)
        assert not shown.isVisible()

    in_window(play)


def test_command_that_fails_says_why(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        stage.fake.fails = WorkerGoneError(SENTENCE)
        await stage.open("deb")
        trigger(stage, Command.START)
        await stage.until(lambda: stage.window.banner.text() == SENTENCE)
        assert state_of(stage) is PowerState.OFF

    in_window(play)


def test_deleted_machine_loses_its_tab(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        await stage.open("deb")
        assert stage.window.tabs.count() == 1
        await stage.presenter.delete(stage.fake.find("deb").id)
        await stage.until(lambda: stage.window.tabs.count() == 0)

    in_window(play, "deb", "other")


def test_close_without_running_machines_asks_nothing(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        gone: list[bool] = []
        await stage.open("deb")
        stage.window.closed.connect(lambda: gone.append(True))
        stage.window.close()
        await stage.until(lambda: gone)

    in_window(play)


def nameless(top: QWidget) -> list[str]:
    """List controls without a name; parts that Qt makes for its own widgets speak for those."""
    return [
        f"{type(widget).__name__} {widget.objectName()!r} in {type(widget.parent()).__name__}"
        for widget in (top, *top.findChildren(QWidget))
        if isinstance(widget, CONTROLS)
        and not widget.accessibleName()
        and not widget.objectName().startswith("qt_")
        and type(widget).__module__ != "PySide6.QtWidgets.private"
    ]


def test_every_control_has_an_accessible_name(in_window: Play) -> None:
    async def play(stage: Stage) -> None:
        await stage.open("deb")
        await run_to(stage, Command.START, PowerState.RUNNING)
        assert nameless(stage.window) == []
        for dialog in (NewMachineDialog(stage.window), LogDialog("deb", stage.window)):
            assert nameless(dialog) == []
            dialog.deleteLater()

    in_window(play)
