"""Verbs of waiting and looking: wait, events, stats, logs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.cli.execute import Json, LibraryOption, Machine, execute, show, show_line
from vmwb.cli.ports import port_number
from vmwb.model.errors import UsageError

if TYPE_CHECKING:
    from vmwb.services.api import Services

Follow = Annotated[bool, typer.Option("--follow", help="Go on until interrupted.")]
STATS_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(wait)
    app.command()(events)
    app.command()(stats)
    app.command()(logs)


def wait(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    name: Machine,
    state: Annotated[str | None, typer.Option(help="Wait for a power state.")] = None,
    serial: Annotated[str | None, typer.Option(help="Wait for a text on the serial port.")] = None,
    screen: Annotated[str | None, typer.Option(help="Wait for a text on the screen.")] = None,
    port: Annotated[str | None, typer.Option(help="Not available yet.")] = None,
    serial_port: Annotated[
        int,
        typer.Option(
            "--serial-port",
            parser=port_number,
            metavar="N|hvc0",
            help="Which port --serial means.",
        ),
    ] = 0,
    new: Annotated[bool, typer.Option("--new", help="Ignore past serial output.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds; then exit 124.")] = None,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Wait for a machine's state, or for a text of its guest."""
    given = [
        (kind, text)
        for kind, text in (
            ("state", state),
            ("serial", serial),
            ("screen", screen),
            ("port", port),
        )
        if text is not None
    ]
    if len(given) != 1:
        raise UsageError("Give exactly one of --state, --serial, --screen and --port.")
    kind, text = given[0]
    if serial_port and kind != "serial":
        raise UsageError("The option --serial-port belongs to --serial: leave it out.")
    if not text:
        raise UsageError(f"Give a text to wait for after --{kind}.")

    async def work(services: Services) -> None:
        from vmwb.services.types import WaitFor, WaitKind

        result = await services.watch.wait(
            name,
            WaitFor(WaitKind(kind), text, port=serial_port, only_new=new),
            timeout_s=timeout,
        )
        show({"machine": name, kind: text, "seconds": round(result.seconds, 3)}, "", json)

    execute(context, library, work)


def events(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One machine only.")] = None,
    follow: Follow = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Print the events of machines, one a line."""

    async def work(services: Services) -> None:
        from vmwb.cli.render import event_text

        async for item in services.watch.events(name, follow=follow):
            show_line(item.to_json(), f"{item.machine} {event_text(item.event)}", json)

    execute(context, library, work)


def stats(
    context: typer.Context,
    name: Machine,
    follow: Follow = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Show what a running machine has done so far."""

    async def work(services: Services) -> None:
        from vmwb.cli.render import stats_text

        if not follow:
            reading = await services.watch.stats(name)
            show(reading.to_json(), stats_text(reading), json)
            return
        while True:
            reading = await services.watch.stats(name)
            rate = reading.instructions_per_second / 1e6
            line = f"{reading.state}  {reading.retired:,} instructions  {rate:.1f} million a second"
            show_line(reading.to_json(), line, json)
            await asyncio.sleep(STATS_SECONDS)

    execute(context, library, work)


def logs(
    context: typer.Context,
    name: Machine,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 200,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Show the log of a machine's last run."""

    async def work(services: Services) -> None:
        log = await services.watch.logs(name, lines=lines)
        show({"machine": name, "lines": log.splitlines()}, log, json)

    execute(context, library, work)
