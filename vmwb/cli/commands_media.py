"""The verb media: put an image into a drive of a machine, take it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vmwb.cli.execute import Json, LibraryOption, Machine, execute, show
from vmwb.model.errors import UsageError

if TYPE_CHECKING:
    from vmwb.services.api import Services

INSERT = "insert"
EJECT = "eject"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(media)


def media(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    name: Machine,
    drive: Annotated[str, typer.Argument(metavar="cdrom|floppy|SLOT", help="Which drive.")],
    action: Annotated[str, typer.Argument(metavar="insert|eject", help="What to do.")],
    image: Annotated[
        Path | None, typer.Argument(metavar="[FILE|FOLDER]", help="What to insert.")
    ] = None,
    readonly: Annotated[bool, typer.Option("--readonly", help="Write-protect it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overrule the guest's lock.")] = False,
    library: LibraryOption = None,
    json: Json = False,
) -> None:
    """Put an image (or a folder, as a CD) into a drive, or take it out."""
    if action not in {INSERT, EJECT}:
        raise UsageError(f"A drive cannot {action!r}: say insert FILE, or eject.")
    if (action == INSERT) != (image is not None):
        raise UsageError("To insert needs a file or a folder, to eject needs none.")

    async def work(services: Services) -> None:
        from vmwb.cli.render import machine_json

        if image is not None:
            machine = await services.media.insert(
                name, drive, image, read_only=readonly, force=force
            )
            done = f"Inserted {image} into {machine.name}."
        else:
            machine = await services.media.eject(name, drive, force=force)
            done = f"Ejected the medium of {machine.name}."
        show(machine_json(machine), done, json)

    execute(context, library, work)
