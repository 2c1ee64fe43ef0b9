"""The whole window over fake services: tabs, power, death of a worker, closing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QMessageBox, QWidget
from ui.support import until

from vmwb.model.config import CONSOLE_PORT, SerialConfig
from vmwb.model.errors import EngineFailedError, WorkerGoneError, WrongStateError
from vmwb.model.power import PowerState
from vmwb_ui.actions import Command
from vmwb_ui.library.new_machine import NewMachineDialog


async def question(window) -> QMessageBox:
    def found() -> list[QMessageBox]:
        return [box for box in window.findChildren(QMessageBox) if box.isVisible()]

    await until(found)
    return found()[0]


def press(box: QMessageBox, text: str) -> None:
    buttons = {button.text().replace("&", ""): button for button in box.buttons()}
    buttons[text].click()


def trigger(window, command: Command) -> None:
    window.actions_of[command].trigger()


def test_machines_that_run_are_found_again(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("idle")
        world.add("busy", PowerState.RUNNING)
        async with workbench() as bench:
            window = bench.window
            await until(lambda: window.tabs.count() == 1)
            tab = window.current
            assert tab.presenter.summary.name == "busy"
            await until(lambda: tab.presenter.picture is not None)
            assert tab.pages.currentWidget() is tab.screen_view
            await until(lambda: "123" in window.rate_label.text())
            assert window.state_label.text() == "running"
            assert "Ctrl+G" in window.hint_label.text()

    run_ui(main)


def test_machine_that_finds_nothing_to_boot_says_so(run_ui, world, workbench) -> None:
    sentence = "No device that can boot was found. Give the machine a disk."

    async def main() -> None:
        world.add("empty", PowerState.RUNNING)
        async with workbench() as bench:
            window = bench.window
            await until(lambda: window.current)
            world.set("id-empty", PowerState.RUNNING, sentence, "no_boot_device")
            wanted = "running: nothing to boot"
            await until(lambda: window.state_label.text() == wanted)
            assert sentence in window.banner.text()
            assert sentence in window.current.summary._sentence.text()
            world.set("id-empty", PowerState.RUNNING)
            await until(lambda: window.state_label.text() == "running")

    run_ui(main)


def test_power_buttons_follow_the_state(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("one")
        async with workbench() as bench:
            window = bench.window
            await until(lambda: window.current)
            tab = window.current
            assert tab.pages.currentWidget() is tab.summary
            for command, state in (
                (Command.START, PowerState.RUNNING),
                (Command.PAUSE, PowerState.PAUSED),
                (Command.UNPAUSE, PowerState.RUNNING),
                (Command.SUSPEND, PowerState.SUSPENDED),
                (Command.RESUME, PowerState.RUNNING),
                (Command.RESET, PowerState.RUNNING),
                (Command.SHUT_DOWN, PowerState.OFF),
            ):
                assert window.actions_of[command].isEnabled(), command
                trigger(window, command)
                await until(lambda wanted=state: tab.presenter.state is wanted)
                await until(lambda: not bench.presenter._pending)
            assert not window.actions_of[Command.STOP].isEnabled()
            assert "powered off" in window.actions_of[Command.STOP].toolTip()
            assert tab.pages.currentWidget() is tab.summary

    run_ui(main)
    verbs = [call.split()[0] for call in world.calls]
    assert verbs == ["start", "pause", "unpause", "suspend", "resume", "reset", "shut-down"]


def test_death_of_the_worker_is_a_sentence_and_the_tab_stays_usable(
    run_ui, world, workbench
) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            window = bench.window
            await until(lambda: window.current and window.current.presenter.picture)
            tab = window.current
            tab.give_keyboard()
            world.die("id-one")
            await until(lambda: "last line" in tab.presenter.log_tail)
            await until(lambda: tab.presenter.picture is None)
            assert not tab.screen_view.grabbed
            assert tab.pages.currentWidget() is tab.summary
            assert "signal 9" in tab.summary._sentence.text()
            button = tab.summary.findChild(QWidget, "start")
            assert button.text() == "Start again"
            button.click()
            await until(lambda: tab.presenter.picture is not None)
            assert machine.summary.state is PowerState.RUNNING

    run_ui(main)


def test_keys_reach_the_machine_in_order(run_ui, world, workbench) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current and bench.window.current.presenter.picture)
            tab = bench.window.current
            tab.give_keyboard()
            assert "Ctrl+Alt" in bench.window.hint_label.text()
            QTest.keyClicks(tab.screen_view, "ls")
            await until(lambda: len(machine.presses) == 4)
            assert [item.code for item in machine.presses] == [0x26, 0x26, 0x1F, 0x1F]
            trigger(bench.window, Command.CTRL_ALT_DEL)
            await until(lambda: len(machine.presses) == 10)
            trigger(bench.window, Command.NMI)
            await until(lambda: "nmi one" in world.calls)

    run_ui(main)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (WrongStateError("one is crashed."), ""),
        (WorkerGoneError("It is gone."), ""),
        (EngineFailedError("The queue is full."), "The queue is full."),
    ],
)
def test_key_that_does_not_arrive_is_told_unless_the_state_says_why(
    run_ui, world, workbench, error, told
) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        machine.refused["keyboard"] = error
        async with workbench() as bench:
            await until(lambda: bench.window.current and bench.window.current.presenter.picture)
            tab = bench.window.current
            tab.give_keyboard()
            QTest.keyClick(tab.screen_view, Qt.Key.Key_A)
            await until(lambda: "refused" in world.calls)
            # What arrives is sent by the same task, so the one before is done with.
            machine.refused.clear()
            QTest.keyClick(tab.screen_view, Qt.Key.Key_B)
            await until(lambda: machine.presses)
            assert bench.window.banner.text() == told

    run_ui(main)


def test_full_screen_from_a_grabbed_screen_says_how_to_leave_it(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current and bench.window.current.presenter.picture)
            view = bench.window.current.screen_view
            hint = view.findChild(QLabel, "grab")
            bench.window.current.give_keyboard()
            assert "full screen" not in hint.text()
            view.full_screen_wanted.emit()
            assert "Ctrl+Alt+Enter ends the full screen" in hint.text()
            view.full_screen_wanted.emit()
            assert "full screen" not in hint.text()

    run_ui(main)


def test_full_screen_shows_the_machine_alone_and_ends_with_its_run(
    run_ui, world, workbench
) -> None:
    async def main() -> None:
        world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            window = bench.window
            await until(lambda: window.current and window.current.presenter.picture)
            tab = window.current
            bars = (window.menuBar(), window.statusBar(), window.tabs.tabBar(), window.library)
            trigger(window, Command.FULL_SCREEN)
            assert window.isFullScreen()
            assert not any(bar.isVisible() for bar in (*bars, tab.pages.tabBar()))
            assert tab.screen_view.grabbed
            tab.screen_view.full_screen_wanted.emit()
            assert not window.isFullScreen()
            assert all(bar.isVisible() for bar in (*bars, tab.pages.tabBar()))
            assert not window.actions_of[Command.FULL_SCREEN].isChecked()
            trigger(window, Command.FULL_SCREEN)
            trigger(window, Command.STOP)
            await until(lambda: not window.isFullScreen())
            assert all(bar.isVisible() for bar in bars)

    run_ui(main)


def test_serial_port_is_shown_and_written(run_ui, world, workbench) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING, display="none")
        machine.stream.output.put_nowait(b"login: ")
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            tab = bench.window.current
            assert tab.pages.currentWidget() is tab.terminal
            emulation = tab.terminal.emulation
            await until(lambda: "login:" in emulation.text((0, 0), (1, 0)))
            QTest.keyClicks(tab.terminal, "root")
            QTest.keyClick(tab.terminal, Qt.Key.Key_Return)
            await until(lambda: bytes(machine.stream.written) == b"root\r")

    run_ui(main)


def test_console_has_a_page_beside_the_serial_port(run_ui, world, workbench) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING, display="none", console=SerialConfig())
        machine.stream.output.put_nowait(b"ttyS0 login: ")
        machine.console.output.put_nowait(b"hvc0 login: ")
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            tab = bench.window.current
            serial, console = tab.terminals[0], tab.terminals[CONSOLE_PORT]
            assert tab.pages.tabText(tab.pages.indexOf(console)) == "Console (hvc0)"
            await until(lambda: "hvc0 login:" in console.emulation.text((0, 0), (1, 0)))
            await until(lambda: "ttyS0 login:" in serial.emulation.text((0, 0), (1, 0)))
            tab.pages.setCurrentWidget(console)
            assert "console" in bench.window.hint_label.text()
            QTest.keyClicks(console, "root")
            await until(lambda: bytes(machine.console.written) == b"root")
            assert not machine.stream.written
            # A machine that has lost its console has no page for it.
            without = replace(tab.presenter.summary.config, console=None)
            tab.presenter.update(replace(tab.presenter.summary, config=without))
            assert (list(tab.terminals), tab.pages.indexOf(console)) == ([0], -1)

    run_ui(main)


def test_flood_from_the_guest_does_not_hold_the_window_up(run_ui, world, workbench) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            machine.stream.output.put_nowait(b"flood\r\n" * 9_000)
            loop = asyncio.get_running_loop()
            worst = 0.0
            tab = bench.window.current
            while tab.terminal.emulation.scrolled < 8_000:
                before = loop.time()
                await asyncio.sleep(0)
                worst = max(worst, loop.time() - before)
            assert worst < 0.5

    run_ui(main)


def test_guest_that_does_not_shut_down_can_be_switched_off(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("one", PowerState.RUNNING).deaf = True
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            trigger(bench.window, Command.SHUT_DOWN)
            press(await question(bench.window), "Power Off")
            await until(lambda: bench.window.state is PowerState.OFF)

    run_ui(main)


@pytest.mark.parametrize(
    ("answer", "closed", "state"),
    [
        ("Run in Background", True, PowerState.RUNNING),
        ("Power Off", True, PowerState.OFF),
        ("Cancel", False, PowerState.RUNNING),
    ],
)
def test_closing_with_a_machine_that_runs_asks(
    run_ui, world, workbench, answer, closed, state
) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        gone = []
        async with workbench() as bench:
            bench.window.closed.connect(lambda: gone.append(True))
            await until(lambda: bench.window.current)
            bench.window.close()
            box = await question(bench.window)
            press(box, answer)
            await until(lambda: not bench.window._leaving)
        assert bool(gone) is closed
        assert machine.summary.state is state

    run_ui(main)


def test_deletion_is_confirmed_and_closes_the_tab(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("one")
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            trigger(bench.window, Command.DELETE)
            box = await question(bench.window)
            assert "one" in box.text()
            press(box, "Delete")
            await until(lambda: bench.window.tabs.count() == 0)
            assert bench.window.model.rowCount() == 0

    run_ui(main)


def test_new_machine_with_a_name_that_is_taken_says_so_and_stays_open(
    run_ui, world, workbench
) -> None:
    async def main() -> None:
        world.add("one")
        async with workbench() as bench:
            trigger(bench.window, Command.NEW)
            await until(lambda: bench.window.findChild(NewMachineDialog))
            dialog = bench.window.findChild(NewMachineDialog)
            dialog.name.setText("one")
            dialog.kernel.edit.setText("/boot/linux")
            dialog.create.click()
            await until(lambda: "already" in dialog._problem.text())
            assert dialog.isVisible()
            dialog.name.setText("two")
            dialog.create.click()
            await until(lambda: bench.window.tab_of("id-two"))
            await until(lambda: not bench.window.findChildren(NewMachineDialog))

    run_ui(main)


def test_picture_of_a_crashed_machine_stays_until_it_is_started_again(
    run_ui, world, workbench
) -> None:
    async def main() -> None:
        world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            tab = bench.window.current
            await until(lambda: tab.presenter.picture and tab.presenter.stats)
            last, page = tab.presenter.picture, tab.pages.indexOf(tab.screen_view)
            world.set("id-one", PowerState.CRASHED, "Nothing can wake it.", "guest_crashed")
            await until(lambda: tab.presenter.stats is None)
            assert tab.pages.currentWidget() is tab.summary
            assert tab.presenter.picture is last
            assert tab.pages.isTabEnabled(page)
            assert not tab.shows_screen
            world.set("id-one", PowerState.RUNNING)
            await until(lambda: tab.shows_screen and tab.presenter.picture not in {None, last})
            world.set("id-one", PowerState.OFF)
            await until(lambda: not tab.pages.isTabEnabled(page))
            assert tab.presenter.picture is None

    run_ui(main)


def test_screen_text_is_copied(run_ui, world, workbench, qapp) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current)
            trigger(bench.window, Command.COPY_SCREEN)
            await until(lambda: qapp.clipboard().text() == machine.text)
            machine.text = None
            trigger(bench.window, Command.COPY_SCREEN)
            await until(lambda: "graphics mode" in bench.window.banner.text())

    run_ui(main)


def test_closed_tab_leaves_its_machine_alone_and_can_be_opened_again(
    run_ui, world, workbench
) -> None:
    async def main() -> None:
        machine = world.add("one", PowerState.RUNNING)
        async with workbench() as bench:
            await until(lambda: bench.window.current and bench.window.current.presenter.picture)
            trigger(bench.window, Command.CLOSE_TAB)
            await until(lambda: machine.stream.closed)
            assert machine.summary.state is PowerState.RUNNING
            bench.window.open_machine("id-one")
            await until(lambda: bench.window.current.presenter.picture)

    run_ui(main)


def test_window_of_a_run_offers_nothing_of_the_library(run_ui, world, workbench) -> None:
    async def main() -> None:
        world.add("run", PowerState.RUNNING)
        async with workbench(run_only=True) as bench:
            await until(lambda: bench.window.current)
            assert not bench.window.library.isVisible()
            assert not bench.window.actions_of[Command.SUSPEND].isVisible()
            bench.window.close()
            press(await question(bench.window), "End the Run")
            await until(lambda: not bench.window._leaving)
            assert not bench.window.isVisible()

    run_ui(main)
