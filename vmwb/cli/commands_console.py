"""Verbs of keyboard, screen and serial ports: send, type, keys, console, text, screenshot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.cli.execute import Json, LibraryOption, Machine, execute, show
from vmwb.cli.ports import port_number
from vmwb.model.errors import NotSupportedError
from vmwb.model.keyboard import combinations, text_presses

if TYPE_CHECKING:
    from vmwb.services.api import Services

Port = Annotated[
    int,
    typer.Option(
        "--port", parser=port_number, metavar="N|hvc0", help="Serial port from 0, or the console."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(send)
    app.command(name="type")(type_text)
    app.command()(keys)
    app.command()(console)
    app.command()(text)
    app.command()(screenshot)


def send(
    context: typer.Context,
    name: Machine,
    data: Annotated[str, typer.Argument(metavar="TEXT", help="What to send.")],
    port: Port = 0,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Write a text to a serial port of the guest."""
    raw = os.fsencode(data)

    async def work(services: Services) -> None:
        await services.console.send(name, raw, port=port)
        show({"machine": name, "port": port, "bytes": len(raw)}, "", json)

    execute(context, library, work)


def type_text(
    context: typer.Context,
    name: Machine,
    data: Annotated[str, typer.Argument(metavar="TEXT", help="What to type.")],
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Type a text on the guest's keyboard (US layout)."""
    presses = text_presses(data)

    async def work(services: Services) -> None:
        await services.console.press(name, presses)
        show({"machine": name, "presses": len(presses)}, "", json)

    execute(context, library, work)


def keys(
    context: typer.Context,
    name: Machine,
    combos: Annotated[list[str], typer.Argument(metavar="KEYS...", help="Such as ctrl-alt-del.")],
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Press keys and combinations on the guest's keyboard."""
    presses = combinations(combos)

    async def work(services: Services) -> None:
        await services.console.press(name, presses)
        show({"machine": name, "presses": len(presses)}, "", json)

    execute(context, library, work)


def console(
    context: typer.Context,
    name: Machine,
    port: Port = 0,
    replay: Annotated[
        bool, typer.Option("--replay/--new", help="Begin with past output, or only new.")
    ] = True,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Show a serial port in this terminal; Ctrl-] leaves."""
    if json:
        raise NotSupportedError(
            "A console is a conversation and has no JSON: leave --json out, or use `vmwb send` and "
            "`vmwb wait`.",
            {"option": "--json"},
        )

    async def work(services: Services) -> None:
        from vmwb.cli.terminal import Terminal

        stream = await services.console.open_serial(name, port=port, replay=replay)
        try:
            with Terminal() as terminal:
                await terminal.converse(stream)
        finally:
            stream.close()

    execute(context, library, work)


def text(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Print the text on the guest's screen."""

    async def work(services: Services) -> None:
        shown = await services.console.screen_text(name)
        show({"machine": name, "text": shown}, shown or "", json)

    execute(context, library, work)


def screenshot(
    context: typer.Context,
    name: Machine,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PNG file to write.")],
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Write the guest's screen to a PNG file."""

    async def work(services: Services) -> None:
        from vmwb.cli.files import write_output

        picture = await services.console.screenshot(name)
        write_output(file, picture)
        show({"machine": name, "file": str(file), "bytes": len(picture)}, "", json)

    execute(context, library, work)
