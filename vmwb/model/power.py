"""Power states of a machine and what may be done in which.

This is the one table: the command line, the services and the window's buttons ask it. The core has
a table of its own for its requests; a contract test compares the two.

::

    off/crashed --start--> starting --> running <--pause/unpause--> pausing/paused
    running/paused --suspend--> suspending --> suspended --resume--> resuming --> running
    running/paused --stop--> stopping --> off
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vmwb.model.errors import WrongStateError


class PowerState(StrEnum):
    """The power state of a machine; the words are those of the wire and of ``--json``."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    RESUMING = "resuming"
    STOPPING = "stopping"
    CRASHED = "crashed"

    @property
    def has_worker(self) -> bool:
        """Whether a worker process normally exists in this state."""
        return self not in AT_REST

    @property
    def is_transient(self) -> bool:
        """Whether the state ends by itself."""
        return self in TRANSIENT


AT_REST: Final = frozenset({PowerState.OFF, PowerState.SUSPENDED, PowerState.CRASHED})
TRANSIENT: Final = frozenset(
    {
        PowerState.STARTING,
        PowerState.PAUSING,
        PowerState.SUSPENDING,
        PowerState.RESUMING,
        PowerState.STOPPING,
    }
)


class Action(StrEnum):
    """What a user can ask of a machine, as far as its power state decides."""

    START = "start"
    STOP = "stop"
    SHUT_DOWN = "shut-down"
    RESET = "reset"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    SUSPEND = "suspend"
    RESUME = "resume"
    DISCARD = "discard"
    INPUT = "input"
    MEDIA = "media"
    OBSERVE = "observe"
    DEBUG = "debug"
    STEP = "step"
    EDIT = "edit"
    RENAME = "rename"
    DELETE = "delete"


_VERB: Final = {
    Action.START: "started",
    Action.STOP: "stopped",
    Action.SHUT_DOWN: "shut down",
    Action.RESET: "reset",
    Action.PAUSE: "paused",
    Action.UNPAUSE: "unpaused",
    Action.SUSPEND: "suspended",
    Action.RESUME: "resumed",
    Action.DISCARD: "discarded",
    Action.INPUT: "given input",
    Action.MEDIA: "given other media",
    Action.OBSERVE: "watched",
    Action.DEBUG: "debugged",
    Action.STEP: "changed by a debugger",
    Action.EDIT: "edited",
    Action.RENAME: "renamed",
    Action.DELETE: "deleted",
}

# The table itself. A state that is not listed refuses the action.
_LIVE: Final = frozenset({PowerState.RUNNING, PowerState.PAUSED})
ALLOWED: Final[dict[Action, frozenset[PowerState]]] = {
    Action.START: frozenset({PowerState.OFF, PowerState.CRASHED}),
    Action.STOP: _LIVE | {PowerState.STARTING, PowerState.PAUSING, PowerState.RESUMING},
    Action.SHUT_DOWN: frozenset({PowerState.RUNNING}),
    Action.RESET: _LIVE,
    Action.PAUSE: frozenset({PowerState.RUNNING}),
    Action.UNPAUSE: frozenset({PowerState.PAUSED}),
    Action.SUSPEND: _LIVE,
    Action.RESUME: frozenset({PowerState.SUSPENDED}),
    Action.DISCARD: frozenset({PowerState.SUSPENDED}),
    Action.INPUT: frozenset({PowerState.RUNNING}),
    Action.MEDIA: _LIVE | {PowerState.OFF, PowerState.CRASHED},
    Action.OBSERVE: frozenset(PowerState) - AT_REST,
    Action.DEBUG: _LIVE,
    Action.STEP: frozenset({PowerState.PAUSED}),
    Action.EDIT: frozenset({PowerState.OFF, PowerState.CRASHED}),
    Action.RENAME: AT_REST,
    Action.DELETE: AT_REST,
}

# What helps instead: shown after the refusal. Keys without an entry fall back to the state's hint.
_HINTS: Final[dict[tuple[Action, PowerState], str]] = {
    (Action.START, PowerState.RUNNING): "it runs already",
    (Action.START, PowerState.PAUSED): "unpause it instead",
    (Action.PAUSE, PowerState.PAUSED): "it is paused already",
    (Action.UNPAUSE, PowerState.RUNNING): "it runs already",
    (Action.UNPAUSE, PowerState.SUSPENDED): "resume it instead",
    (Action.RESUME, PowerState.PAUSED): "unpause it instead",
    (Action.RESUME, PowerState.RUNNING): "it runs already",
    (Action.RESUME, PowerState.OFF): "it has no suspended state, start it instead",
    (Action.RESUME, PowerState.CRASHED): "it has no suspended state, start it instead",
    (Action.SHUT_DOWN, PowerState.PAUSED): "unpause it first",
    (Action.INPUT, PowerState.PAUSED): "unpause it first",
    (Action.STEP, PowerState.RUNNING): "pause it first",
    (Action.STOP, PowerState.OFF): "it is off already",
    (Action.STOP, PowerState.CRASHED): "its guest has stopped already",
    (Action.STOP, PowerState.SUSPENDED): "resume it first, or discard its suspended state "
    "(`vmwb discard`)",
    (Action.START, PowerState.SUSPENDED): "resume it instead",
    (Action.DISCARD, PowerState.OFF): "it has no suspended state",
    (Action.DISCARD, PowerState.CRASHED): "it has no suspended state",
    (Action.EDIT, PowerState.SUSPENDED): "resume it and shut it down first",
}
_STATE_HINTS: Final[dict[PowerState, str]] = {
    PowerState.OFF: "start it first",
    PowerState.CRASHED: "start it again first",
    PowerState.SUSPENDED: "resume it first",
    PowerState.RUNNING: "stop or suspend it first",
    PowerState.PAUSED: "unpause or stop it first",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action is not possible now; ``sentence`` is for people."""

    action: Action
    state: PowerState
    sentence: str


def refusal(action: Action, state: PowerState, name: str = "The machine") -> Refusal | None:
    """Say why an action is refused in a state, or ``None`` when it is allowed.

    ``name`` begins the sentence: the machine's name, or a neutral word.
    """
    if state in ALLOWED[action]:
        return None
    hint = _HINTS.get((action, state)) or _STATE_HINTS.get(state) or "wait until that is done"
    sentence = f"{name} is {state} and cannot be {_VERB[action]}: {hint}."
    return Refusal(action, state, sentence)


def require(action: Action, state: PowerState, name: str) -> None:
    """Raise the refusal of an action, if there is one.

    Raises:
        WrongStateError: the state forbids the action.
    """
    refused = refusal(action, state, name)
    if refused is not None:
        raise WrongStateError(refused.sentence, {"machine": name, "state": state, "action": action})


def allowed_actions(state: PowerState) -> frozenset[Action]:
    """All actions that a state allows; for enabling menus and buttons."""
    return frozenset(action for action, states in ALLOWED.items() if state in states)
