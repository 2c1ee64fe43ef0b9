"""Verbs of the library: create, list, show, edit, rename, delete, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.cli.execute import (
    DryRun,
    Json,
    LibraryOption,
    Machine,
    Yes,
    confirmed,
    execute,
    show,
)
from vmwb.cli.options import MachineOptions, machine_options
from vmwb.model.config import VmConfig
from vmwb.model.errors import ConfigError, ExitCode, NotSupportedError, UsageError
from vmwb.model.power import PowerState

if TYPE_CHECKING:
    from vmwb.services.api import Services

CRASH_LOG_LINES = 10


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(create)
    app.command(name="list")(list_machines)
    app.command(name="show")(show_machine)
    app.command()(edit)
    app.command()(rename)
    app.command()(delete)
    app.command()(doctor)


@machine_options
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new machine.")],
    options: MachineOptions,
    os: Annotated[str | None, typer.Option("--os", help="Not available yet.")] = None,
    disk_size: Annotated[str | None, typer.Option(help="Not available yet.")] = None,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Put a new machine into the library."""
    for option, value in (("--os", os), ("--disk-size", disk_size)):
        if value is not None:
            raise NotSupportedError(f"The option {option} is not possible yet: leave it out.")
    config = options.apply(VmConfig(name=name)).validated()

    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json

        machine = await services.machines.create(config)
        show(machine_json(machine), f"Created {machine.name} in {machine.path}.", json)

    execute(context, library, work)


def list_machines(
    context: typer.Context, library: LibraryOption = None, json: Json = False
) -> None:
    """List the machines of the library."""

    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json, machine_table

        machines = await services.machines.list()
        show([machine_json(machine) for machine in machines], machine_table(machines), json)

    execute(context, library, work)


def show_machine(
    context: typer.Context, name: Machine, library: LibraryOption = None, json: Json = False
) -> None:
    """Show a machine's definition and state."""

    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json, machine_text

        machine = await services.machines.show(name)
        log: list[str] = []
        if machine.state is PowerState.CRASHED:
            log = (await services.watch.logs(machine.name, lines=CRASH_LOG_LINES)).splitlines()
        text = "\n".join([machine_text(machine), *(f"{'log':14}{line}" for line in log)])
        show({**machine_json(machine), "log": log}, text, json)

    execute(context, library, work)


@machine_options
def edit(
    context: typer.Context,
    name: Machine,
    options: MachineOptions,
    dry_run: DryRun = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Change a machine's definition; what is not named stays."""
    if not options.given:
        raise UsageError("Nothing to change was named: `vmwb edit --help` shows the options.")

    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json

        before = await services.machines.show(name)
        if before.config is None:
            raise ConfigError(before.problem or f"The definition of {name} is damaged.")
        machine = await services.machines.edit(name, options.apply(before.config), dry_run=dry_run)
        done = "Would change" if dry_run else "Changed"
        show(machine_json(machine), f"{done} {machine.name}.", json)

    execute(context, library, work)


def rename(
    context: typer.Context,
    name: Machine,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Give a machine another name."""

    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json

        machine = await services.machines.rename(name, new_name)
        show(machine_json(machine), f"Renamed {name} to {machine.name}.", json)

    execute(context, library, work)


def delete(
    context: typer.Context,
    name: Machine,
    dry_run: DryRun = False,
    yes: Yes = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Remove a machine and all its files for good."""

    async def work(services: Services) -> int:
        from vmwb.cli.render import plan_json

        plan = await services.machines.delete(name, dry_run=True)
        files = "1 file" if plan.files == 1 else f"{plan.files} files"
        extent = f"{files}, {plan.bytes // 1024:,} KiB in {plan.path}"
        if dry_run:
            show(plan_json(plan), f"Would delete {plan.name}: {extent}.", json)
            return ExitCode.OK
        if not confirmed(
            f"Delete {plan.name} for good ({extent})?",
            f"This would delete {plan.name} ({extent})",
            yes=yes,
        ):
            return ExitCode.FAILURE
        plan = await services.machines.delete(name)
        show(plan_json(plan), f"Deleted {plan.name}.", json)
        return ExitCode.OK

    execute(context, library, work)


def doctor(context: typer.Context, library: LibraryOption = None, json: Json = False) -> None:
    """Say what this host offers, and what is missing."""

    async def work(services: Services) -> int:
        findings = await services.doctor.findings()
        show(
            [
                {"subject": item.subject, "level": item.level.value, "message": item.sentence}
                for item in findings
            ],
            "\n".join(f"{item.level:8}{item.subject:18}{item.sentence}" for item in findings),
            json,
        )
        missing = any(item.level == "missing" for item in findings)
        return ExitCode.FAILURE if missing else ExitCode.OK

    execute(context, library, work)
