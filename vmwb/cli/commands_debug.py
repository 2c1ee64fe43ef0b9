"""Verbs of the debugger: debug, gdb."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeVar

import typer

from vmwb.cli.execute import Json, LibraryOption, Machine, execute, show_line
from vmwb.model.errors import CancelledByUserError, UsageError, VmwbError

if TYPE_CHECKING:
    from vmwb.cli.debugger import Debugger
    from vmwb.services.api import Services

PROMPT: Final = "(vmwb) "
_Result = TypeVar("_Result")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(debug)
    app.command()(gdb)


def debug(
    context: typer.Context,
    name: Machine,
    command: Annotated[
        list[str], typer.Option("--command", "-c", help="Carry out this line; `help` lists them.")
    ] = [],  # noqa: B006
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Look at a machine's processor and memory, stop it, step it."""

    async def work(services: Services) -> None:
        from vmwb.cli.debugger import Debugger

        await services.debug.status(name)
        debugger = Debugger(services, name)
        if command:
            for line in command:
                outcome = await debugger.command(line)
                _print(outcome.data, outcome.text, as_json=json)
            return
        await _prompt(debugger, as_json=json)

    execute(context, library, work)


def gdb(
    context: typer.Context,
    name: Machine,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="TCP port on 127.0.0.1, for every user of this host."),
    ] = None,
    socket: Annotated[Path | None, typer.Option(help="Unix socket instead of our own.")] = None,
    arch: Annotated[
        str, typer.Option(help="auto, i386 or x86-64: the registers that gdb sees.")
    ] = "auto",
    once: Annotated[bool, typer.Option("--once", help="End with the first connection.")] = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Let gdb attach to a machine, until interrupted."""
    from vmwb.services.gdb.target import View

    if port is not None and socket is not None:
        raise UsageError("Give one of --port and --socket.")
    if arch not in set(View):
        raise UsageError(f"There is no view {arch[:40]!r}: choose {', '.join(View)}.")

    def listening(place: str) -> None:
        text = f"Listening. In gdb: target remote {place}"
        show_line({"machine": name, "listening": place}, text, json)

    async def work(services: Services) -> None:
        stop = asyncio.Event()
        with _interrupts(stop.set):
            await services.debug.serve_gdb(
                name,
                socket=None if socket is None else socket.absolute(),
                port=port,
                view=View(arch),
                once=once,
                listening=listening,
                stop=stop,
            )

    execute(context, library, work)


@contextlib.contextmanager
def _interrupts(act: Callable[[], None]) -> Iterator[None]:
    """Call something at Ctrl-C and at the request to end, instead of dying."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _print(data: Mapping[str, object], text: str, *, as_json: bool) -> None:
    if as_json or text:
        show_line(data, text, as_json)


async def _prompt(debugger: Debugger, *, as_json: bool) -> None:
    """Read lines until the end of input, or ``quit``; an error costs its line and no more.

    Ctrl-C stops a machine that runs. A second one leaves.
    """
    lines = _Lines(interactive=sys.stdin.isatty() and not as_json)
    pressed = asyncio.Event()
    with lines, _interrupts(pressed.set):
        while True:
            line = await _first(lines.next(), pressed)
            if line is None:
                await debugger.interrupt()
                raise CancelledByUserError("Interrupted: the machine stands still.")
            words = line.split()
            if not line or words[:1] in (["quit"], ["q"], ["exit"]):
                return
            if not words:
                continue
            try:
                outcome = await _first(debugger.command(line), pressed)
                if outcome is None:
                    await debugger.interrupt()
                    outcome = await debugger.command("status")
                _print(outcome.data, outcome.text, as_json=as_json)
            except VmwbError as error:
                print(error.sentence, file=sys.stderr, flush=True)


async def _first(work: Coroutine[None, None, _Result], pressed: asyncio.Event) -> _Result | None:
    """Give a result, or ``None`` when Ctrl-C came first."""
    pressed.clear()
    task = asyncio.create_task(work)
    stop = asyncio.create_task(pressed.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for each in (task, stop):
            each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)


class _Lines:
    """Lines of standard input, read by a thread of their own; with editing on a terminal."""

    def __init__(self, *, interactive: bool) -> None:
        self._interactive = interactive
        self._loop = asyncio.get_running_loop()
        self._saved: list[object] | None = None

    def __enter__(self) -> Self:
        if self._interactive:
            import readline
            import termios

            readline.set_history_length(1000)
            self._saved = termios.tcgetattr(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            import termios

            # The thread may still stand in an edited line.
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]

    async def next(self) -> str:
        """Give the next line; an empty text is the end."""
        answer: asyncio.Future[str] = self._loop.create_future()

        def deliver(line: str) -> None:
            if not answer.done():
                answer.set_result(line)

        def read() -> None:
            try:
                line = input(PROMPT) + "\n" if self._interactive else sys.stdin.readline()
            except (EOFError, OSError, ValueError):
                line = ""
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(deliver, line)

        threading.Thread(target=read, name="lines", daemon=True).start()
        return await answer
