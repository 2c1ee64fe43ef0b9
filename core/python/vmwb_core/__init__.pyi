"""Types of the core. The contract of each method is in its docstring here."""

from typing import Final, final

__all__: Final = [
    "CoreError",
    "Machine",
    "attempt_escape",
    "build_hash",
    "framebuffer_layout_json",
    "host_sandbox_json",
    "lock_down",
    "power_table_json",
    "spec_schema_json",
]

class CoreError(Exception):
    """An error of the core.

    ``code`` is stable: ``bad_spec``, ``no_kernel``, ``bad_kernel``, ``kernel_truncated``,
    ``bad_initrd``, ``bad_append``, ``too_large``, ``read_error``, ``no_memory``, ``bad_state``,
    ``wrong_state``, ``busy``, ``not_found``, ``bad_argument``, ``host_error``, ``sandbox`` or
    ``closed``.
    ``sentence`` is for the user.
    """

    code: str
    sentence: str

@final
class Machine:
    """One virtual machine."""

    def __new__(cls, spec_json: str, handles: dict[str, int], *, confined: bool = False) -> Machine:
        """Make a machine that is off.

        ``handles``: file descriptors ``kernel`` and, where there are such, ``initrd`` and
        ``module.0`` and so on, as many as the definition has lines for. They stay the caller's;
        the core duplicates them, because every start and reset loads them again.
        ``confined`` threads of the machine lock themselves in before they begin: they open no
        file, and make few system calls.

        Raises:
            CoreError: the definition, the kernel or the host is at fault.
        """

    @staticmethod
    def restore(spec_json: str, handles: dict[str, int], *, confined: bool = False) -> Machine:
        """Make a machine from a saved state; it is paused.

        ``handles``: ``devices`` and ``ram``, and ``kernel`` and ``initrd`` as for a new machine.
        Without ``kernel`` a reset ends the guest with a sentence.
        """

    def start(self) -> None:
        """Power on. Effects of all power requests are told by events.

        Raises:
            CoreError: code ``wrong_state`` when the power table forbids the request.
        """

    def pause(self) -> None:
        """Let the guest and its time stand still."""

    def resume(self) -> None:
        """Let a paused or suspended machine run on."""

    def reset(self) -> None:
        """Press the reset button."""

    def power_button(self) -> None:
        """Press the ACPI power button; the guest decides what to do."""

    def power_off(self) -> None:
        """Pull the plug."""

    def save(self, handles: dict[str, int]) -> None:
        """Write the paused machine's state to the descriptors ``devices`` and ``ram``.

        Blocks until both are on disk. The machine is ``suspended`` afterwards: it can be resumed
        or switched off. After a failure it is ``paused`` again.
        """

    def inject(self, data: bytes) -> None:
        """Give the guest one input, as a JSON object.

        ``{"kind": "key", "code": N, "down": bool}``, code of scan code set 1, extended keys
        0xE0xx; or ``{"kind": "serial", "port": N, "data": "<base64>"}``, at most 64 KiB.

        Raises:
            CoreError: ``wrong_state`` when the guest does not run, ``busy`` when it does not read.
        """

    def drain_events(self) -> list[str]:
        """Take all waiting events out, as JSON objects with ``seq``, ``retired`` and ``kind``."""

    def event_handle(self) -> int:
        """Descriptor that is readable while events wait; the machine owns it."""

    def attach(
        self, slot: str, handle: int | None, *, read_only: bool = True, force: bool = False
    ) -> None:
        """Put a raw image into a drive with removable media; without a handle, empty it.

        Raises:
            CoreError: there is no such drive, the image is none for it, or the guest holds the tray
                and ``force`` is not set.
        """

    def frame_handle(self) -> int | None:
        """Give a new descriptor of the framebuffer's memory, or ``None`` without a display."""

    def console_handle(self, n: int) -> int:
        """Give a new stream socket of serial port ``n``, or of the virtio console, 4.

        The caller owns it. Reads give the guest's output from now on, writes are its input.
        """

    def stats(self) -> str:
        """Statistics as a JSON object."""

    def screen_text(self) -> str | None:
        """Text of the screen, rows joined by newlines; ``None`` in graphics modes."""

    def debug(self, request: str) -> str:
        """Carry out one request of a debugger or of the trace points; give its answer.

        Both are JSON objects, bounded and described in ``docs/debugger.md``. Waits for the
        driver's thread, which answers between two slices.

        Raises:
            CoreError: ``bad_argument``, ``not_found`` for memory that cannot be read, or
                ``wrong_state``: a running guest is not changed, and one that is off not looked at.
        """

    def close(self) -> None:
        """End the machine's threads. May be called again."""

def attempt_escape(role: str, attempt: str, path: str, pid: int, address: int) -> int:
    """Try to leave the sandbox, and give the error number of the refusal; 0 is a way out.

    ``role`` is ``driver`` or ``device``, for a new thread that is locked in like the machine's, or
    anything else for the calling thread as it is. A call that is trapped ends the process.

    Raises:
        CoreError: code ``not_found`` when there is no such attempt.
    """

def host_sandbox_json() -> str:
    """What the kernel offers: ``landlock_abi`` (0 for none) and ``seccomp``."""

def lock_down(bundle: int) -> str:
    """Lock in the calling thread and those that it makes from now on; there is no way back.

    Of all files only those below the folder behind the handle can be reached, and the system calls
    are those of a worker's control thread. Gives what is in force: ``files`` (``full``,
    ``partial``, ``no``), ``landlock_abi``, ``calls``.

    Raises:
        CoreError: code ``sandbox`` when the kernel offers it and refuses.
    """

def build_hash() -> str:
    """Tell one build of the core from another."""

def power_table_json() -> str:
    """The power table: states, commands, and for each pair the next state or the refusal."""

def framebuffer_layout_json() -> str:
    """The framebuffer's layout: field name to offset and size."""

def spec_schema_json() -> str:
    """The JSON schema of a machine's definition."""
