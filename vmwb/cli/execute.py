"""From a command's function to services, output and exit code.

Services are imported when a command runs, so that ``--help`` and errors of usage are quick.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.model.errors import ExitCode, NotFoundError, UsageError, VmwbError

if TYPE_CHECKING:
    from vmwb.app import FrontendRequest, Paths
    from vmwb.services.api import Services
    from vmwb.services.types import RunRequest

FRONTENDS = "vmwb.frontends"

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LibraryOption = Annotated[
    Path | None, typer.Option("--library", help="Another library than ~/Virtual Machines.")
]
Machine = Annotated[str, typer.Argument(metavar="NAME", help="A machine's name or id.")]


@dataclass(frozen=True, slots=True)
class Settings:
    """What was said before the verb; ``worker_command`` is for tests of the whole command."""

    library: Path | None = None
    worker_command: tuple[str, ...] | None = None


def paths_of(settings: Settings, library: Path | None = None) -> Paths:
    """Choose the library: said after the verb, before it, by the environment, or the default."""
    from vmwb.app import default_paths

    return default_paths(os.environ, library or settings.library)


def execute(
    context: typer.Context, library: Path | None, work: Callable[[Services], Awaitable[int | None]]
) -> None:
    """Run one command's work with the services of its library; leaves with its exit code.

    Raises:
        VmwbError: what the work raises; the root of the command line renders it.
        typer.Exit: the work's exit code, unless it is 0.
    """
    from vmwb.app import WORKER_COMMAND, build_services

    settings = context.obj if isinstance(context.obj, Settings) else Settings()
    paths = paths_of(settings, library)

    async def main() -> int:
        services = build_services(paths, worker_command=settings.worker_command or WORKER_COMMAND)
        try:
            return await work(services) or 0
        finally:
            await services.close()

    code = asyncio.run(main())
    if code != ExitCode.OK:
        raise typer.Exit(code)


def confirmed(question: str, refusal: str, *, yes: bool) -> bool:
    """Ask before something is destroyed, unless ``--yes`` was given.

    Raises:
        UsageError: there is no terminal to ask on; ``refusal`` says what would have happened.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{refusal}: add --yes.")
    return typer.confirm(question, err=True)


def show(data: Mapping[str, object] | list[Mapping[str, object]], text: str, as_json: bool) -> None:
    """Print a result: one JSON value, or text."""
    if as_json:
        print(json.dumps(data, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
    elif text:
        print(text)


def show_line(data: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print one item of a stream at once."""
    print(json.dumps(data, ensure_ascii=False) if as_json else text, flush=True)


def fail(error: VmwbError, *, as_json: bool) -> int:
    """Print an error where errors go and give its exit code."""
    if as_json:
        print(json.dumps(error.to_json(), ensure_ascii=False, default=str), file=sys.stderr)
    else:
        print(error.sentence, file=sys.stderr)
    return int(error.exit_code)


def open_frontend(
    settings: Settings,
    *,
    library: Path | None = None,
    machine: str | None = None,
    run: RunRequest | None = None,
) -> int:
    """Open the window and give its exit code.

    Raises:
        NotFoundError: no front end is installed, or there is no display for it.
    """
    from vmwb.app import FrontendRequest

    frontend = load_frontend()
    if not has_display():
        # Looked at here, because a toolkit without a display ends the process without a word.
        raise NotFoundError(
            "There is no display for a window: use the command line (`vmwb --help`; `vmwb run` "
            "and `vmwb start` take --headless)."
        )
    return frontend(FrontendRequest(paths_of(settings, library), machine, run))


def load_frontend() -> Callable[[FrontendRequest], int]:
    """Load the installed front end.

    Raises:
        NotFoundError: none is installed, or it does not load.
    """
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=FRONTENDS), key=lambda item: item.name):
        try:
            loaded: Callable[[FrontendRequest], int] = entry.load()
        except ImportError as error:
            raise NotFoundError(
                f"The window cannot be loaded ({error}): install vmwb-ui again, or use --headless."
            ) from error
        return loaded
    raise NotFoundError(
        "There is no window installed: install the package vmwb-ui, or use the command line "
        "(`vmwb --help`; `vmwb run` and `vmwb start` take --headless)."
    )


def has_display() -> bool:
    """Tell whether a window could be shown; a platform that was named is believed."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return any(os.environ.get(name) for name in names)
