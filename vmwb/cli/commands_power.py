"""Verbs of the power buttons: start, stop, reset, pause, unpause, suspend, resume, discard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.cli.execute import (
    DryRun,
    Json,
    LibraryOption,
    Machine,
    Settings,
    Yes,
    confirmed,
    execute,
    has_display,
    load_frontend,
    open_frontend,
    show,
)
from vmwb.model.errors import ExitCode, NotFoundError, UsageError
from vmwb.model.power import Action, require

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from vmwb.services.api import Services
    from vmwb.services.types import MachineSummary


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(start)
    app.command()(stop)
    app.command()(reset)
    app.command()(pause)
    app.command()(unpause)
    app.command()(suspend)
    app.command()(resume)
    app.command()(discard)


def start(
    context: typer.Context,
    name: Machine,
    headless: Annotated[bool, typer.Option("--headless", help="Without a window.")] = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Switch a machine on; it runs on when this command has ended."""
    _do(context, library, json, lambda services: services.power.start(name), "{0} runs.")
    if headless or json:
        return
    try:
        load_frontend()
    except NotFoundError:
        return
    if not has_display():
        print(f"There is no display for a window: `vmwb console {name}` shows it.", file=sys.stderr)
        return
    settings = context.obj if isinstance(context.obj, Settings) else Settings()
    raise typer.Exit(open_frontend(settings, library=library, machine=name))


def stop(
    context: typer.Context,
    name: Machine,
    hard: Annotated[bool, typer.Option("--hard", help="Pull the plug (default).")] = False,
    soft: Annotated[bool, typer.Option("--soft", help="Press the power button.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds for --soft.")] = 60.0,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Switch a machine off."""
    if hard and soft:
        raise UsageError("Give --hard or --soft, not both.")

    def work(services: Services) -> Awaitable[MachineSummary]:
        from vmwb.services.types import StopKind

        kind = StopKind.SOFT if soft else StopKind.HARD
        return services.power.stop(name, kind, timeout_s=timeout)

    _do(context, library, json, work, "{0} is {1}.")


def reset(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Press a machine's reset button."""
    _do(context, library, json, lambda services: services.power.reset(name), "{0} was reset.")


def pause(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Let a machine stand still."""
    _do(context, library, json, lambda services: services.power.pause(name), "{0} is {1}.")


def unpause(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Let a paused machine run on."""
    _do(context, library, json, lambda services: services.power.unpause(name), "{0} is {1}.")


def suspend(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Write a machine's whole state to disk and end its process."""
    _do(context, library, json, lambda services: services.power.suspend(name), "{0} is {1}.")


def resume(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Bring a suspended machine back."""
    _do(context, library, json, lambda services: services.power.resume(name), "{0} is {1}.")


def discard(
    context: typer.Context,
    name: Machine,
    dry_run: DryRun = False,
    yes: Yes = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Throw a machine's suspended state away: it is off then, as after a power cut."""

    async def work(services: Services) -> int:
        from vmwb.cli.render import machine_json

        machine = await services.machines.show(name)
        require(Action.DISCARD, machine.state, machine.name)
        state = f"the suspended state of {machine.name}"
        if dry_run:
            show(machine_json(machine), f"Would discard {state}.", json)
            return ExitCode.OK
        if not confirmed(
            f"Discard {state}, and what its guest has not written to a disk?",
            f"This would discard {state}",
            yes=yes,
        ):
            return ExitCode.FAILURE
        machine = await services.power.discard(machine.id or name)
        show(machine_json(machine), f"{machine.name} is {machine.state}.", json)
        return ExitCode.OK

    execute(context, library, work)


def _do(
    context: typer.Context,
    library: LibraryOption,
    json: bool,
    call: Callable[[Services], Awaitable[MachineSummary]],
    done: str,
) -> None:
    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json

        machine = await call(services)
        show(machine_json(machine), done.format(machine.name, machine.state), json)

    execute(context, library, work)
