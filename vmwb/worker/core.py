"""The door to the core: the ``Machine`` class as the worker sees it.

The worker takes the core as a value, so that its tests run against a fake of the same contract.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from vmwb.model.errors import (
    BootFileError,
    BusyError,
    CorruptError,
    EngineFailedError,
    VmwbError,
    error_from_json,
)
from vmwb.worker.sandbox import LockedDown, locked_down_from_json

# The core's codes about what a machine boots.
_BOOT_FILES: Final = frozenset(
    {"bad_kernel", "kernel_truncated", "bad_initrd", "too_large", "read_error"}
)

# What is busy is not the machine: an image that somebody else uses, a tray that the guest holds.
_IN_THE_WAY: Final = frozenset({"in_use", "tray_held"})


class CoreMachine(Protocol):
    """A machine of the core. Requests return at once; their effects are told by events."""

    def start(self) -> None:
        """Switch on."""
        ...

    def pause(self) -> None:
        """Stand still at the next instruction boundary."""
        ...

    def resume(self) -> None:
        """Run on."""
        ...

    def reset(self) -> None:
        """Press the reset button."""
        ...

    def power_button(self) -> None:
        """Press the ACPI power button."""
        ...

    def power_off(self) -> None:
        """Pull the plug."""
        ...

    def save(self, handles: dict[str, int]) -> None:
        """Write the state of a paused machine; blocks until it is written."""
        ...

    def inject(self, data: bytes) -> None:
        """Give the guest a key or serial bytes: one JSON object."""
        ...

    def drain_events(self) -> list[str]:
        """Take the events that wait, as JSON objects."""
        ...

    def event_handle(self) -> int:
        """Give the descriptor that is readable while events wait; it stays the machine's."""
        ...

    def frame_handle(self) -> int | None:
        """Give a new descriptor of the framebuffer's memory."""
        ...

    def console_handle(self, n: int) -> int:
        """Give a new stream socket of a serial port."""
        ...

    def attach(
        self, slot: str, handle: int | None, *, read_only: bool = True, force: bool = False
    ) -> None:
        """Put an image into a drive with removable media; without a handle, empty it."""
        ...

    def stats(self) -> str:
        """Give statistics as a JSON object."""
        ...

    def screen_text(self) -> str | None:
        """Give the text on the screen."""
        ...

    def debug(self, request: str) -> str:
        """Carry out a request of a debugger or of the trace points; both are JSON objects."""
        ...

    def close(self) -> None:
        """Stop the threads; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Core:
    """The parts of the core that the worker uses.

    ``build`` informs clients; ``create`` and ``restore`` take a spec and handles, and their threads
    lock themselves in; ``lock`` locks in the calling thread and those it makes from then on, in the
    folder behind a handle; ``host`` tells what the kernel offers for that (JSON); ``error`` is the
    class of the core's errors, which have ``code`` and ``sentence``.
    """

    build: str
    create: Callable[[str, dict[str, int]], CoreMachine]
    restore: Callable[[str, dict[str, int]], CoreMachine]
    lock: Callable[[int], LockedDown]
    host: Callable[[], str]
    error: type[Exception]

    @contextlib.contextmanager
    def errors(self, context: Mapping[str, object] | None = None) -> Iterator[None]:
        """Turn the core's errors into those of this program.

        Raises:
            VmwbError: of the class that belongs to the core's code.
        """
        try:
            yield
        except self.error as error:
            sentence = str(getattr(error, "sentence", error))
            code = str(getattr(error, "code", "engine"))
            if code in _BOOT_FILES:
                raise BootFileError(sentence, {**(context or {}), "reason": code}) from error
            if code == "bad_state":
                raise CorruptError(sentence, context) from error
            if code in _IN_THE_WAY:
                raise BusyError(sentence, {**(context or {}), "reason": code}) from error
            built = error_from_json(code, sentence, context)
            if type(built) is VmwbError:
                built = EngineFailedError(sentence, built.context)
            raise built from error


def native_core() -> Core:
    """Load the real core.

    Raises:
        EngineFailedError: it is not installed, or does not load on this host.
    """
    try:
        import vmwb_core
    except ImportError as error:
        raise EngineFailedError(
            f"The emulator core cannot be loaded ({error}): install the package vmwb-core."
        ) from error
    return Core(
        build=vmwb_core.build_hash(),
        create=partial(vmwb_core.Machine, confined=True),
        restore=partial(vmwb_core.Machine.restore, confined=True),
        lock=lambda folder: locked_down_from_json(vmwb_core.lock_down(folder)),
        host=vmwb_core.host_sandbox_json,
        error=vmwb_core.CoreError,
    )
