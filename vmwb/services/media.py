"""Use cases of removable media: put an image into a drive, take it out."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from vmwb.library.disc import DISC_SUFFIX, build_disc
from vmwb.library.files import image_format, open_image
from vmwb.library.layout import Bundle
from vmwb.model.config import VmConfig
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile
from vmwb.model.errors import ConfigError, NotFoundError, UsageError
from vmwb.model.power import Action, require
from vmwb.services.sessions import Sessions
from vmwb.services.types import MachineSummary


class Media:
    """Implements ``api.MediaService``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._engine = sessions.engine

    async def look(self, path: Path, kind: DriveKind) -> ImageFile:
        """Look at an image before a drive of a new machine is given it."""
        return await asyncio.to_thread(_looked_at, path, kind)

    async def insert(
        self, machine: str, drive: str, path: Path, *, read_only: bool = False, force: bool = False
    ) -> MachineSummary:
        """Put an image into a drive; of a folder a CD is made."""
        summary, chosen = await self._drive(machine, drive)
        absolute = await asyncio.to_thread(_checked, path, chosen.kind)
        wanted = replace(chosen, image=ImageFile(str(absolute)), read_only=read_only)
        return await self._change(summary, wanted, force)

    async def eject(self, machine: str, drive: str, *, force: bool = False) -> MachineSummary:
        """Empty a drive."""
        summary, chosen = await self._drive(machine, drive)
        return await self._change(summary, replace(chosen, image=None), force)

    async def _drive(self, machine: str, drive: str) -> tuple[MachineSummary, DriveConfig]:
        summary = await self._engine.find(machine)
        require(Action.MEDIA, summary.state, summary.name)
        if summary.config is None:
            raise ConfigError(summary.problem or f"The definition of {summary.name} is damaged.")
        removable = [one for one in summary.config.drives if one.kind is not DriveKind.DISK]
        for one in removable:
            if drive in {one.slot, one.kind.value}:
                return summary, one
        have = ", ".join(f"{one.slot} ({one.kind})" for one in removable) or "none"
        raise NotFoundError(
            f"{summary.name} has no drive {drive!r} with removable media: it has {have}.",
            {"machine": summary.name},
        )

    async def _change(
        self, summary: MachineSummary, drive: DriveConfig, force: bool
    ) -> MachineSummary:
        config = summary.config
        if config is None:
            raise ConfigError(f"The definition of {summary.name} is damaged.")
        # Before the guest sees anything of it.
        changed = _with(config, drive).validated()
        if summary.state.has_worker:
            session = await self._sessions.of(summary)
            handle = await asyncio.to_thread(_open, summary, drive)
            try:
                if await asyncio.to_thread(_lies_there, config, drive):
                    # Its lock is against its own machine, too: it comes out first.
                    await session.change_medium(drive.slot, None, read_only=True, force=force)
                    empty = _with(config, replace(drive, image=None))
                    await self._engine.replace_media(summary, empty)
            except BaseException:
                if handle is not None:
                    os.close(handle)
                raise
            writable = drive.kind is DriveKind.FLOPPY and not drive.read_only
            await session.change_medium(drive.slot, handle, read_only=not writable, force=force)
        await self._engine.replace_media(summary, changed)
        return await self._engine.find(summary.name)


def _with(config: VmConfig, drive: DriveConfig) -> VmConfig:
    drives = tuple(drive if one.slot == drive.slot else one for one in config.drives)
    return replace(config, drives=drives)


def _lies_there(config: VmConfig, drive: DriveConfig) -> bool:
    """Whether the floppy that is to be put into a drive is in it already."""
    before = next(one for one in config.drives if one.slot == drive.slot)
    if drive.kind is not DriveKind.FLOPPY or before.image is None or drive.image is None:
        return False
    try:
        return Path(before.image.path).samefile(drive.image.path)
    except OSError:
        # What lay there has been moved or removed: it is another file now.
        return False


def _checked(path: Path, kind: DriveKind) -> Path:
    absolute = path.expanduser().absolute()
    if absolute.is_dir() and kind is not DriveKind.CDROM:
        raise UsageError(
            f"{absolute} is a folder: only a CD can be made of one.",
            {"path": str(absolute), "reason": "is_folder"},
        )
    if not absolute.exists():
        raise NotFoundError(
            f"The image {absolute} does not exist: check the path.", {"path": str(absolute)}
        )
    return absolute


def _looked_at(path: Path, kind: DriveKind) -> ImageFile:
    absolute = _checked(path, kind)
    if kind is not DriveKind.DISK:
        return ImageFile(str(absolute))
    return ImageFile(str(absolute), image_format(absolute))


def _open(summary: MachineSummary, drive: DriveConfig) -> int | None:
    if drive.image is None:
        return None
    path = Path(drive.image.path)
    if path.is_dir():
        made = Bundle(summary.path).media / f"{drive.slot}{DISC_SUFFIX}"
        build_disc(path, made)
        path = made
    return open_image(path, writable=drive.kind is DriveKind.FLOPPY and not drive.read_only)
