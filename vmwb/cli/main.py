"""The command ``vmwb``: its verbs, and how errors leave it.

Exit codes are those of ``vmwb.model.errors.ExitCode``. An error is one sentence on standard error,
or with ``--json`` one object with ``code``, ``message`` and ``context``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from vmwb import __version__
from vmwb.cli import (
    commands_console,
    commands_debug,
    commands_library,
    commands_media,
    commands_power,
    commands_run,
    commands_watch,
)
from vmwb.cli.execute import Settings, fail, open_frontend
from vmwb.model.config import DEBUG_EXIT_PORT_DEFAULT
from vmwb.model.errors import CancelledByUserError, ExitCode, UsageError, VmwbError

_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")

app = typer.Typer(
    name="vmwb",
    help="VM Workbench: virtual machines on a desktop and on the command line.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
)
for module in (
    commands_run,
    commands_library,
    commands_media,
    commands_power,
    commands_console,
    commands_watch,
    commands_debug,
):
    module.register(app)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    library: Annotated[
        Path | None, typer.Option(help="Another library than ~/Virtual Machines.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Open the workbench's window, or run a command."""
    settings = context.obj if isinstance(context.obj, Settings) else Settings()
    context.obj = replace(settings, library=library)
    if version:
        typer.echo(f"vmwb {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(open_frontend(context.obj))


def run(arguments: Sequence[str], settings: Settings | None = None) -> int:
    """Run one command and give the exit code."""
    given = with_json_behind_the_verb(with_debug_exit_port(arguments))
    as_json = "--json" in given
    try:
        result = app(args=given, prog_name="vmwb", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader that has enough (`vmwb list | head`) is no error; nothing more can be said to it.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - its descriptor is what counts
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return ExitCode.OK
    except VmwbError as error:
        return fail(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return fail(CancelledByUserError("Interrupted."), as_json=as_json)
    except typer.Exit as leave:
        return leave.exit_code
    except Exception as error:
        # Errors of the option parser have no public base class in all versions that we accept.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return fail(UsageError(_sentence(message())), as_json=as_json)
    return result if isinstance(result, int) else ExitCode.OK


def with_debug_exit_port(arguments: Sequence[str]) -> list[str]:
    """Give ``--debug-exit`` its default port where none follows."""
    given: list[str] = []
    for index, word in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        if word == "--debug-exit" and _NUMBER.fullmatch(following) is None:
            given.append(f"--debug-exit={DEBUG_EXIT_PORT_DEFAULT:#x}")
        else:
            given.append(word)
    return given


def with_json_behind_the_verb(arguments: Sequence[str]) -> list[str]:
    """Move ``--json`` from before the verb, where it means the same, to behind it."""
    before: list[str] = []
    after = list(arguments)
    moved = False
    while after and after[0].startswith("-"):
        word = after.pop(0)
        if word == "--json":
            moved = True
            continue
        before.append(word)
        if word == "--library" and after:
            before.append(after.pop(0))
    if not after:
        return list(arguments)
    return [*before, after[0], *(["--json"] if moved and "--json" not in after else []), *after[1:]]


def _sentence(message: str) -> str:
    one_line = " ".join(message.split()).rstrip(".")
    return f"{one_line}: `vmwb --help` and `vmwb COMMAND --help` show what there is."


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
