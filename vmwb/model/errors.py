"""The error tree of VM Workbench.

Every error carries a stable ``code`` for programs, one human ``sentence`` that says what to do, a
``context`` of JSON values, and the exit code that the command line gives for it. Errors cross the
worker's socket as JSON and come out as the same class on the other side.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the command line; they are a contract and never change."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    WRONG_STATE = 4
    BUSY = 5
    TIMED_OUT = 124
    INTERRUPTED = 130


class VmwbError(Exception):
    """Base of all errors that reach a user.

    ``sentence`` is complete and ends with a full stop; ``context`` holds JSON values only.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, sentence: str, context: Mapping[str, object] | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.context: dict[str, object] = dict(context or {})

    def to_json(self) -> dict[str, object]:
        """Give the form of the wire and of ``--json``: ``code``, ``message``, ``context``."""
        return {"code": self.code, "message": self.sentence, "context": self.context}


class UsageError(VmwbError):
    """What was asked for makes no sense: an option, a size, a name."""

    code = "usage"
    exit_code = ExitCode.USAGE


class NotSupportedError(UsageError):
    """What was asked for does not exist yet in this version."""

    code = "not_supported"


class ConfigError(UsageError):
    """A machine definition breaks its rules; ``context["problems"]`` lists all of them."""

    code = "bad_config"


class NotFoundError(VmwbError):
    """No such machine, file or port."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class WrongStateError(VmwbError):
    """The machine's power state forbids the action."""

    code = "wrong_state"
    exit_code = ExitCode.WRONG_STATE


class BusyError(VmwbError):
    """Somebody else holds the machine, or the name is taken."""

    code = "busy"
    exit_code = ExitCode.BUSY


class NameTakenError(BusyError):
    """A machine of that name exists already in the library."""

    code = "name_taken"


class TimedOutError(VmwbError):
    """A deadline passed before what was waited for happened."""

    code = "timed_out"
    exit_code = ExitCode.TIMED_OUT


class CancelledByUserError(VmwbError):
    """The user interrupted the action."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


class StorageError(VmwbError):
    """The library or a file of it cannot be read or written (read-only, full, no permission)."""

    code = "storage"


class CorruptError(VmwbError):
    """A file of the library exists but does not make sense."""

    code = "corrupt"


class ProtocolError(VmwbError):
    """The other end of a socket speaks nonsense or another protocol version."""

    code = "protocol"


class WorkerError(VmwbError):
    """The worker process could not be started, or died."""

    code = "worker"


class WorkerGoneError(WorkerError):
    """The worker closed the connection: the machine has ended, or its process died."""

    code = "worker_gone"


class GuestCrashedError(VmwbError):
    """The guest cannot run on: triple fault, halted for good."""

    code = "guest_crashed"


class BootFileError(VmwbError):
    """A kernel or RAM disk is there and cannot be booted; ``context["reason"]`` says which way.

    Reasons are the core's words: ``bad_kernel`` (not a kernel), ``kernel_truncated``,
    ``bad_initrd``, ``too_large`` (for the memory given), ``read_error``.
    """

    code = "kernel"


class EngineFailedError(VmwbError):
    """The core refused or failed; the sentence is the core's own."""

    code = "engine"


_BY_CODE: dict[str, type[VmwbError]] = {
    error.code: error
    for error in (
        VmwbError,
        UsageError,
        NotSupportedError,
        ConfigError,
        NotFoundError,
        WrongStateError,
        BusyError,
        NameTakenError,
        TimedOutError,
        CancelledByUserError,
        StorageError,
        CorruptError,
        ProtocolError,
        WorkerError,
        WorkerGoneError,
        GuestCrashedError,
        BootFileError,
        EngineFailedError,
    )
}


def error_from_json(
    code: str, sentence: str, context: Mapping[str, object] | None = None
) -> VmwbError:
    """Rebuild an error that came over a wire; an unknown code becomes the base class.

    The unknown code is kept in ``context["remote_code"]`` so that nothing is lost.
    """
    kind = _BY_CODE.get(code)
    if kind is None:
        return VmwbError(sentence, {**(context or {}), "remote_code": code})
    return kind(sentence, context)
