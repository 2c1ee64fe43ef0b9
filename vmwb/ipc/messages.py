"""Messages of the control socket, typed, and their JSON.

A client begins with ``Hello``; the worker answers with ``Welcome``, or a ``Failure`` without id and
closes. Then requests with ids, each answered by one ``Reply`` or ``Failure``; events come in
between once they are subscribed to. The protocol's major version must match; the build informs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vmwb.model.errors import ProtocolError, VmwbError, error_from_json

PROTOCOL_MAJOR: Final = 1
PROTOCOL_MINOR: Final = 1
MAX_HANDLES: Final = 2
MAX_REQUEST_ID: Final = 1 << 53


class Op(StrEnum):
    """Requests that a worker answers; their arguments are documented in ``docs/protocol.md``."""

    STATE = "state"
    POWER = "power"
    SUSPEND = "suspend"
    STATS = "stats"
    EVENTS = "events"
    KEYS = "keys"
    SERIAL_SEND = "serial_send"
    SERIAL_HISTORY = "serial_history"
    CONSOLE = "console"
    FRAME = "frame"
    TEXT = "text"
    WAIT = "wait"
    DEBUG = "debug"
    TRACE = "trace"
    MEDIA = "media"
    POINTER = "pointer"


class PowerVerb(StrEnum):
    """Argument ``verb`` of ``Op.POWER``; the core's requests."""

    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"
    POWER_BUTTON = "power_button"
    POWER_OFF = "power_off"


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a client."""

    build: str
    major: int = PROTOCOL_MAJOR
    minor: int = PROTOCOL_MINOR

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {"t": "hello", "major": self.major, "minor": self.minor, "build": self.build}


@dataclass(frozen=True, slots=True)
class Welcome:
    """The worker's answer to a hello."""

    build: str
    machine_id: str
    machine: str
    pid: int
    state: str
    major: int = PROTOCOL_MAJOR
    minor: int = PROTOCOL_MINOR

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {
            "t": "welcome",
            "major": self.major,
            "minor": self.minor,
            "build": self.build,
            "machine_id": self.machine_id,
            "machine": self.machine,
            "pid": self.pid,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Request:
    """A client asks for something; ``id`` is the client's own and comes back in the answer.

    ``handles`` descriptors travel with its first byte.
    """

    id: int
    op: str
    args: Mapping[str, object] = field(default_factory=dict)
    handles: int = 0

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {
            "t": "request",
            "id": self.id,
            "op": self.op,
            "args": dict(self.args),
            "handles": self.handles,
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request. ``handles`` descriptors travel with its first byte."""

    id: int
    result: Mapping[str, object] = field(default_factory=dict)
    handles: int = 0

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {
            "t": "reply",
            "id": self.id,
            "result": dict(self.result),
            "handles": self.handles,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """A request failed, or (without an id) the connection as a whole."""

    id: int | None
    error: VmwbError

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {"t": "failure", "id": self.id, "error": self.error.to_json()}


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event of the machine, in the form of ``vmwb.model.events``."""

    event: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """Give the wire's object."""
        return {"t": "event", "event": dict(self.event)}


Message = Hello | Welcome | Request | Reply | Failure | EventMessage


def parse_message(data: Mapping[str, object]) -> Message:
    """Read a message that came over the wire.

    Raises:
        ProtocolError: it is none of the known ones, or a field is wrong.
    """
    match data.get("t"):
        case "hello":
            return Hello(text(data, "build"), number(data, "major"), number(data, "minor"))
        case "welcome":
            return Welcome(
                build=text(data, "build"),
                machine_id=text(data, "machine_id"),
                machine=text(data, "machine"),
                pid=number(data, "pid"),
                state=text(data, "state"),
                major=number(data, "major"),
                minor=number(data, "minor"),
            )
        case "request":
            return Request(_identifier(data), text(data, "op"), table(data, "args"), _handles(data))
        case "reply":
            return Reply(_identifier(data), table(data, "result"), _handles(data))
        case "failure":
            error = table(data, "error")
            built = error_from_json(
                text(error, "code"), text(error, "message"), table(error, "context")
            )
            return Failure(None if data.get("id") is None else _identifier(data), built)
        case "event":
            return EventMessage(table(data, "event"))
        case _:
            raise ProtocolError("A message of an unknown kind came over the socket.")


def check_major(major: int) -> None:
    """Refuse another major version of the protocol.

    Raises:
        ProtocolError: the versions do not match; the sentence says what helps.
    """
    if major != PROTOCOL_MAJOR:
        raise ProtocolError(
            f"The other side speaks version {major} of the worker protocol, this program version "
            f"{PROTOCOL_MAJOR}: stop the machine with the program that started it, then start it "
            "again.",
            {"theirs": major, "ours": PROTOCOL_MAJOR},
        )


def text(data: Mapping[str, object], key: str) -> str:
    """Take a text out of an object of the wire.

    Raises:
        ProtocolError: there is none.
    """
    value = data.get(key)
    if not isinstance(value, str):
        raise ProtocolError(f"A message has no text {key!r}.", {"field": key})
    return value


def number(data: Mapping[str, object], key: str, default: int | None = None) -> int:
    """Take a whole number out of an object of the wire.

    Raises:
        ProtocolError: there is none, and no default.
    """
    value = data.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProtocolError(f"A message has no whole number {key!r}.", {"field": key})
    return value


def boolean(data: Mapping[str, object], key: str, default: bool) -> bool:
    """Take a truth value out of an object of the wire.

    Raises:
        ProtocolError: it is something else.
    """
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise ProtocolError(f"A message has no truth value {key!r}.", {"field": key})
    return value


def table(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Take an object out of an object of the wire; a missing one is empty.

    Raises:
        ProtocolError: it is something else.
    """
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise ProtocolError(f"A message has no object {key!r}.", {"field": key})
    return value


def _handles(data: Mapping[str, object]) -> int:
    handles = number(data, "handles", 0)
    if not 0 <= handles <= MAX_HANDLES:
        raise ProtocolError(f"A message announces {handles} handles.")
    return handles


def _identifier(data: Mapping[str, object]) -> int:
    value = number(data, "id")
    if not 0 <= value < MAX_REQUEST_ID:
        raise ProtocolError("A message has an id out of range.")
    return value
