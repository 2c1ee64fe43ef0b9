"""The verb ``run``: one machine in the foreground, nothing kept."""

from __future__ import annotations

import asyncio
import json as jsonlib
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.cli.execute import Json, LibraryOption, Settings, execute, open_frontend
from vmwb.cli.options import MachineOptions, machine_options, reply
from vmwb.model.config import SerialKind, VmConfig
from vmwb.model.debug import TRACE_LIMIT_DEFAULT, TRACE_LIMIT_MAX, TraceSettings
from vmwb.model.errors import ExitCode, NotSupportedError, UsageError

if TYPE_CHECKING:
    from vmwb.services.api import SerialStream, Services
    from vmwb.services.types import RunRequest, RunResult

ANSWERED = "TEXT=ANSWER"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(run)


@machine_options
def run(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    options: MachineOptions,
    headless: Annotated[bool, typer.Option("--headless", help="Without a window.")] = False,
    name: Annotated[str, typer.Option(help="A name for the window and messages.")] = "run",
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds; then exit 124.")] = None,
    until_serial: Annotated[list[str], typer.Option(help="End when it is on the port.")] = [],  # noqa: B006
    until_screen: Annotated[list[str], typer.Option(help="End when it is on screen.")] = [],  # noqa: B006
    on_serial: Annotated[list[str], typer.Option(metavar=ANSWERED, help="Answer once.")] = [],  # noqa: B006
    on_screen: Annotated[list[str], typer.Option(metavar="TEXT=KEYS", help="Press once.")] = [],  # noqa: B006
    screenshot: Annotated[Path | None, typer.Option(help="PNG of the screen at the end.")] = None,
    stats: Annotated[Path | None, typer.Option(help="JSON of what the run did.")] = None,
    trace: Annotated[Path | None, typer.Option(help="JSON lines of what happened.")] = None,
    trace_events: Annotated[
        str, typer.Option(metavar="CLASSES", help="Comma-separated; see docs/trace-points.md.")
    ] = "default",
    trace_limit: Annotated[
        int, typer.Option(min=1, max=TRACE_LIMIT_MAX, help="So many of the latest events.")
    ] = TRACE_LIMIT_DEFAULT,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Run one machine in the foreground and keep nothing of it."""
    from vmwb.services.types import Reply, RunRequest, TraceRequest

    recorded = TraceSettings(tuple(trace_events.split(",")), trace_limit)
    for problem in recorded.problems():
        raise UsageError(problem, {"option": "--trace-events"})
    config = options.apply(VmConfig(name=name)).validated()
    request = RunRequest(
        config=config,
        until_serial=tuple(until_serial),
        until_screen=tuple(until_screen),
        on_serial=tuple(Reply(*reply("--on-serial", text)) for text in on_serial),
        on_screen=tuple(Reply(*reply("--on-screen", text)) for text in on_screen),
        timeout_s=timeout,
        screenshot=None if screenshot is None else screenshot.absolute(),
        trace=None if trace is None else TraceRequest(trace.absolute(), recorded),
    )
    if not headless:
        for option, given in (("--stats", stats is not None), ("--json", json)):
            if given:
                raise NotSupportedError(
                    f"The option {option} is not possible with a window yet: add --headless.",
                    {"option": option},
                )
        settings = context.obj if isinstance(context.obj, Settings) else Settings()
        raise typer.Exit(open_frontend(settings, library=library, run=request))

    async def work(services: Services) -> int:
        result = await _run_here(services, request, quiet=json)
        _report(result, stats, as_json=json)
        return result.exit_code

    execute(context, library, work)


async def _run_here(services: Services, request: RunRequest, *, quiet: bool) -> RunResult:
    """Run with this terminal as the serial port; interrupts end the run in good order."""
    from vmwb.cli.terminal import Terminal

    interrupt = asyncio.Event()
    loop = asyncio.get_running_loop()
    interrupts: list[signal.Signals] = []

    def interrupted(number: signal.Signals) -> None:
        interrupts.append(number)
        interrupt.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted, number)
    left = asyncio.Event()

    def leave() -> None:
        left.set()
        interrupt.set()

    feeding: list[asyncio.Task[None]] = []
    on_terminal = not quiet and any(
        port.kind is SerialKind.STDIO for _, port in request.config.ports
    )
    with Terminal() as terminal:

        def attached(stream: SerialStream) -> None:
            feeding.append(asyncio.create_task(terminal.feed(stream, leave)))

        try:
            result = await services.runs.run(
                request,
                output=terminal.write if on_terminal else None,
                attached=attached if on_terminal else None,
                noticed=terminal.notice,
                interrupt=interrupt,
            )
            if left.is_set():
                # Ctrl-] is a way out, not an interruption.
                return replace(result, exit_code=0, sentence="")
            if interrupts and result.exit_code == ExitCode.INTERRUPTED:
                # Which signal it was tells the user's Ctrl-C from somebody else's kill.
                name = interrupts[0].name
                return replace(result, sentence=f"The run was interrupted by {name}.")
            return result
        finally:
            for task in feeding:
                task.cancel()
            await asyncio.gather(*feeding, return_exceptions=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _report(result: RunResult, stats: Path | None, *, as_json: bool) -> None:
    from vmwb.cli.files import write_output

    report: dict[str, object] = {
        "ended_by": result.ended_by.value,
        "exit_code": result.exit_code,
        "message": result.sentence,
        **({} if result.stats is None else result.stats.to_json()),
        **({} if result.trace is None else {"trace": result.trace.to_json()}),
    }
    if stats is not None:
        write_output(stats, (jsonlib.dumps(report, indent=2) + "\n").encode())
    if as_json:
        print(jsonlib.dumps({**report, "screen": result.text}, ensure_ascii=False))
    if result.sentence and not as_json:
        print(result.sentence, file=sys.stderr)
