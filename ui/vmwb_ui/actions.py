"""Every command of the window, declared as data: text, shortcut, icon, menu, and when it works.

Whether a command of a machine is possible is asked of the one power table in ``vmwb.model.power``.
What a command does is the workbench presenter's business; nothing here acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from vmwb.model.power import ALLOWED, Action, PowerState

CONTEXT: Final = "Actions"


class Command(StrEnum):
    """What the user can ask for; the words are the names of the QActions."""

    NEW = "new"
    CLOSE_TAB = "close-tab"
    QUIT = "quit"
    COPY_SCREEN = "copy-screen"
    SHOW_LIBRARY = "show-library"
    FULL_SCREEN = "full-screen"
    FIND = "find"
    START = "start"
    RESUME = "resume"
    UNPAUSE = "unpause"
    PAUSE = "pause"
    SUSPEND = "suspend"
    RESET = "reset"
    SHUT_DOWN = "shut-down"
    STOP = "stop"
    DISCARD = "discard"
    GRAB = "grab"
    CTRL_ALT_DEL = "ctrl-alt-del"
    NMI = "nmi"
    LOG = "log"
    DELETE = "delete"
    ABOUT = "about"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One command. ``text`` and ``hint`` are source texts of the context ``Actions``.

    ``label`` is the shorter text of its button, where the menu's is too long for one.
    ``power`` is the row of the power table that decides; without one, ``needs_machine`` says
    whether a machine has to be chosen.
    """

    command: Command
    text: str
    hint: str
    shortcut: str = ""
    icon: str = ""
    power: Action | None = None
    needs_machine: bool = False
    checkable: bool = False
    label: str = ""

    def enabled_when(self, state: PowerState | None) -> bool:
        """Whether the command is possible; ``None``: no machine is chosen."""
        if self.power is not None:
            return state is not None and state in ALLOWED[self.power]
        return state is not None or not self.needs_machine


ACTIONS: Final[dict[Command, ActionSpec]] = {
    spec.command: spec
    for spec in (
        ActionSpec(
            Command.NEW,
            QT_TRANSLATE_NOOP("Actions", "&New Virtual Machine..."),
            QT_TRANSLATE_NOOP("Actions", "Put a new machine into the library"),
            "Ctrl+N",
            "new",
            label=QT_TRANSLATE_NOOP("Actions", "New"),
        ),
        ActionSpec(
            Command.CLOSE_TAB,
            QT_TRANSLATE_NOOP("Actions", "&Close Tab"),
            QT_TRANSLATE_NOOP("Actions", "Close this tab; its machine runs on"),
            "Ctrl+W",
            needs_machine=True,
        ),
        ActionSpec(
            Command.QUIT,
            QT_TRANSLATE_NOOP("Actions", "&Quit"),
            QT_TRANSLATE_NOOP("Actions", "Close the window"),
            "Ctrl+Q",
        ),
        ActionSpec(
            Command.COPY_SCREEN,
            QT_TRANSLATE_NOOP("Actions", "&Copy Screen Text"),
            QT_TRANSLATE_NOOP("Actions", "Copy the text on the machine's screen"),
            "Ctrl+Shift+T",
            power=Action.OBSERVE,
        ),
        ActionSpec(
            Command.SHOW_LIBRARY,
            QT_TRANSLATE_NOOP("Actions", "&Library"),
            QT_TRANSLATE_NOOP("Actions", "Show or hide the list of machines"),
            "F9",
            checkable=True,
        ),
        ActionSpec(
            Command.FULL_SCREEN,
            QT_TRANSLATE_NOOP("Actions", "F&ull Screen"),
            QT_TRANSLATE_NOOP("Actions", "Show nothing but the machine's screen; again: end that"),
            "Ctrl+Alt+Return",
            power=Action.OBSERVE,
            checkable=True,
        ),
        ActionSpec(
            Command.FIND,
            QT_TRANSLATE_NOOP("Actions", "&Find a Machine"),
            QT_TRANSLATE_NOOP("Actions", "Search the library"),
            "Ctrl+F",
        ),
        ActionSpec(
            Command.START,
            QT_TRANSLATE_NOOP("Actions", "&Start"),
            QT_TRANSLATE_NOOP("Actions", "Switch the machine on"),
            "Ctrl+B",
            "start",
            power=Action.START,
        ),
        ActionSpec(
            Command.RESUME,
            QT_TRANSLATE_NOOP("Actions", "&Resume"),
            QT_TRANSLATE_NOOP("Actions", "Bring the suspended machine back"),
            "Ctrl+Shift+J",
            "start",
            power=Action.RESUME,
        ),
        ActionSpec(
            Command.UNPAUSE,
            QT_TRANSLATE_NOOP("Actions", "&Continue"),
            QT_TRANSLATE_NOOP("Actions", "Let the paused machine run on"),
            "Ctrl+Shift+U",
            "start",
            power=Action.UNPAUSE,
        ),
        ActionSpec(
            Command.PAUSE,
            QT_TRANSLATE_NOOP("Actions", "&Pause"),
            QT_TRANSLATE_NOOP("Actions", "Stop the processor; memory stays as it is"),
            "Ctrl+Shift+P",
            "pause",
            power=Action.PAUSE,
        ),
        ActionSpec(
            Command.SUSPEND,
            QT_TRANSLATE_NOOP("Actions", "S&uspend"),
            QT_TRANSLATE_NOOP("Actions", "Save the machine's whole state and end its process"),
            "Ctrl+J",
            "suspend",
            power=Action.SUSPEND,
        ),
        ActionSpec(
            Command.RESET,
            QT_TRANSLATE_NOOP("Actions", "R&eset"),
            QT_TRANSLATE_NOOP("Actions", "Press the machine's reset button"),
            "Ctrl+R",
            "reset",
            power=Action.RESET,
        ),
        ActionSpec(
            Command.SHUT_DOWN,
            QT_TRANSLATE_NOOP("Actions", "Shut &Down Guest"),
            QT_TRANSLATE_NOOP("Actions", "Press the power button and let the guest shut down"),
            "Ctrl+Shift+E",
            "shutdown",
            power=Action.SHUT_DOWN,
            label=QT_TRANSLATE_NOOP("Actions", "Shut Down"),
        ),
        ActionSpec(
            Command.STOP,
            QT_TRANSLATE_NOOP("Actions", "Power &Off"),
            QT_TRANSLATE_NOOP("Actions", "Switch the machine off at once"),
            "Ctrl+E",
            "stop",
            power=Action.STOP,
        ),
        ActionSpec(
            Command.DISCARD,
            QT_TRANSLATE_NOOP("Actions", "Discard Suspended State..."),
            QT_TRANSLATE_NOOP("Actions", "Throw the saved state away; the machine is off then"),
            power=Action.DISCARD,
        ),
        ActionSpec(
            Command.GRAB,
            QT_TRANSLATE_NOOP("Actions", "&Grab Keyboard"),
            QT_TRANSLATE_NOOP(
                "Actions",
                "Give keyboard and, if need be, mouse to the machine; Ctrl+Alt takes them",
            ),
            "Ctrl+G",
            "keyboard",
            power=Action.INPUT,
            label=QT_TRANSLATE_NOOP("Actions", "Keyboard"),
        ),
        ActionSpec(
            Command.CTRL_ALT_DEL,
            QT_TRANSLATE_NOOP("Actions", "Send Ctrl+Alt+&Del"),
            QT_TRANSLATE_NOOP("Actions", "Press these keys in the machine (also Ctrl+Alt+Ins)"),
            power=Action.INPUT,
        ),
        ActionSpec(
            Command.NMI,
            QT_TRANSLATE_NOOP("Actions", "Send &NMI"),
            QT_TRANSLATE_NOOP(
                "Actions",
                "Press the NMI button of the board: many systems then tell what they are doing",
            ),
            power=Action.INPUT,
        ),
        ActionSpec(
            Command.LOG,
            QT_TRANSLATE_NOOP("Actions", "Show &Log..."),
            QT_TRANSLATE_NOOP("Actions", "The last lines of the machine's log"),
            "Ctrl+L",
            needs_machine=True,
        ),
        ActionSpec(
            Command.DELETE,
            QT_TRANSLATE_NOOP("Actions", "Delete from Disk..."),
            QT_TRANSLATE_NOOP("Actions", "Remove the machine and all its files"),
            power=Action.DELETE,
        ),
        ActionSpec(
            Command.ABOUT,
            QT_TRANSLATE_NOOP("Actions", "&About VM Workbench"),
            QT_TRANSLATE_NOOP("Actions", "Which version this is"),
        ),
    )
}

SEPARATOR: Final = None
MENUS: Final[tuple[tuple[str, tuple[Command | None, ...]], ...]] = (
    (
        QT_TRANSLATE_NOOP("Actions", "&File"),
        (Command.NEW, SEPARATOR, Command.CLOSE_TAB, Command.QUIT),
    ),
    (QT_TRANSLATE_NOOP("Actions", "&Edit"), (Command.COPY_SCREEN, Command.FIND)),
    (QT_TRANSLATE_NOOP("Actions", "&View"), (Command.SHOW_LIBRARY, Command.FULL_SCREEN)),
    (
        QT_TRANSLATE_NOOP("Actions", "&VM"),
        (
            *(Command.START, Command.RESUME, Command.UNPAUSE, SEPARATOR),
            *(Command.PAUSE, Command.SUSPEND, Command.RESET, SEPARATOR),
            *(Command.SHUT_DOWN, Command.STOP, Command.DISCARD, SEPARATOR),
            *(Command.GRAB, Command.CTRL_ALT_DEL, Command.NMI, SEPARATOR),
            *(Command.LOG, Command.DELETE),
        ),
    ),
    (QT_TRANSLATE_NOOP("Actions", "&Help"), (Command.ABOUT,)),
)
# A place of the tool bar shows the first of its commands that is possible, else the first.
TOOLBAR: Final[tuple[tuple[Command, ...] | None, ...]] = (
    (Command.NEW,),
    SEPARATOR,
    (Command.START, Command.RESUME, Command.UNPAUSE),
    (Command.PAUSE,),
    (Command.SUSPEND,),
    (Command.RESET,),
    SEPARATOR,
    (Command.SHUT_DOWN,),
    (Command.STOP,),
    SEPARATOR,
    (Command.GRAB,),
)
# The context menu of a machine in the library.
MACHINE_MENU: Final[tuple[Command | None, ...]] = MENUS[3][1]
# What may still be asked when the window shows one run of which nothing is kept.
NOT_IN_A_RUN: Final = frozenset(
    {Command.NEW, Command.SHOW_LIBRARY, Command.FIND, Command.SUSPEND, Command.RESUME}
    | {Command.DISCARD, Command.DELETE, Command.CLOSE_TAB, Command.START}
)


def translated(source: str) -> str:
    """A text of this file in the user's language."""
    return QCoreApplication.translate(CONTEXT, source)


def shown_in_slot(
    slot: tuple[Command, ...], state: PowerState | None, hidden: frozenset[Command] = frozenset()
) -> Command | None:
    """Which command of a place of the tool bar is shown in a state, if any."""
    there = [command for command in slot if command not in hidden]
    possible = [command for command in there if ACTIONS[command].enabled_when(state)]
    return next(iter(possible or there), None)
