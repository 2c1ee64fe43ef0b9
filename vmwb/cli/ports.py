"""How the command line names the ports that a terminal attaches to."""

from __future__ import annotations

from typing import Final

import typer

from vmwb.model.config import CONSOLE_PORT

CONSOLE_NAME: Final = "hvc0"


def port_number(text: str | int) -> int:
    """Read a serial port's number, counted from 0, or the name of the virtio console.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text == CONSOLE_NAME:
        return CONSOLE_PORT
    number = str(text)
    if number.isascii() and number.isdigit():
        return int(number)
    raise typer.BadParameter(f"give a number from 0, or {CONSOLE_NAME}, not {number[:40]!r}.")
