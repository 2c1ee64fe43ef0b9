"""Media of machines at rest and of machines that run, and the pointer, around the fake core."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from contract.bench import Bench

from vmwb.library.layout import Bundle
from vmwb.model.drives import DriveConfig, DriveKind, ImageFile
from vmwb.model.errors import BusyError, ConfigError, NotFoundError, UsageError, WrongStateError
from vmwb.model.events import EjectedEvent, PointerEvent
from vmwb.services.types import MachineEvent, Motion, Place, WaitFor, WaitKind

DEADLINE = 20.0
CDROM = DriveConfig("ide2", DriveKind.CDROM)
FLOPPY = DriveConfig("floppy0", DriveKind.FLOPPY)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "image.img"
    made.write_bytes(b"contents of an image")
    return made


@pytest.fixture
def odd(image: Path) -> Path:
    """Give an image whose name is no UTF-8."""
    return image.rename(os.fsdecode(os.fsencode(image) + b"\xff"))


async def create(bench: Bench, *drives: DriveConfig) -> None:
    await bench.services.machines.create(replace(bench.config(), drives=drives))


async def screen(bench: Bench, text: str) -> None:
    """Wait until a text stands on the screen."""
    await bench.services.watch.wait("deb", WaitFor(WaitKind.SCREEN, text), timeout_s=DEADLINE)


async def drives(bench: Bench) -> tuple[DriveConfig, ...]:
    config = (await bench.services.machines.show("deb")).config
    assert config is not None
    return config.drives


async def event(bench: Bench, kind: type[EjectedEvent] | type[PointerEvent]) -> MachineEvent:
    async for told in bench.services.watch.events("deb"):
        if isinstance(told.event, kind):
            return told
    raise AssertionError("the machine ended")


async def test_medium_of_a_machine_at_rest_is_in_its_definition(bench: Bench, image: Path) -> None:
    await create(bench, CDROM, FLOPPY)

    await bench.services.media.insert("deb", "floppy", image, read_only=True)
    assert await drives(bench) == (
        CDROM,
        replace(FLOPPY, image=ImageFile(str(image)), read_only=True),
    )
    await bench.services.media.eject("deb", "floppy0")
    assert (await drives(bench))[1].image is None


async def test_medium_of_a_running_machine_reaches_the_guest_and_stays(
    bench: Bench, image: Path
) -> None:
    await create(bench, CDROM, FLOPPY)
    await bench.services.power.start("deb")

    await bench.services.media.insert("deb", "cdrom", image)
    await screen(bench, "ide2 contents")
    await bench.services.media.insert("deb", "floppy", image)
    await screen(bench, "floppy0 contents writable")
    await bench.services.power.pause("deb")
    await bench.services.media.eject("deb", "ide2")
    await bench.services.power.stop("deb")

    assert await drives(bench) == (CDROM, replace(FLOPPY, image=ImageFile(str(image))))


async def test_folder_becomes_a_cd(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("hello")
    await create(bench, CDROM)
    summary = await bench.services.power.start("deb")

    await bench.services.media.insert("deb", "cdrom", folder)

    made = Bundle(summary.path).media / "ide2.iso"
    assert made.read_bytes()[32_769:32_774] == b"CD001"
    await bench.services.power.stop("deb")
    made.unlink()
    await bench.services.power.start("deb")
    assert made.exists()


async def test_tray_that_the_guest_holds_opens_by_force_only(bench: Bench, image: Path) -> None:
    await create(bench, replace(CDROM, image=ImageFile(str(image))))
    await bench.services.power.start("deb")
    await bench.services.console.send("deb", b"lock ide2\nscreen locked\n")
    await screen(bench, "locked")

    with pytest.raises(BusyError, match="tray") as refused:
        await bench.services.media.eject("deb", "cdrom")
    assert refused.value.context["reason"] == "tray_held"
    assert (await drives(bench))[0].image is not None
    await bench.services.media.eject("deb", "cdrom", force=True)

    assert (await drives(bench))[0].image is None


async def test_what_cannot_be_inserted_is_refused_with_a_sentence(
    bench: Bench, image: Path, tmp_path: Path
) -> None:
    disk = DriveConfig("ide0", DriveKind.DISK, ImageFile(str(image)))
    await create(bench, disk, CDROM, FLOPPY)
    media = bench.services.media

    with pytest.raises(NotFoundError, match=r"ide2 \(cdrom\), floppy0 \(floppy\)"):
        await media.insert("deb", "ide0", image)
    with pytest.raises(NotFoundError, match="does not exist"):
        await media.insert("deb", "cdrom", tmp_path / "nothing")
    with pytest.raises(UsageError, match="only a CD"):
        await media.insert("deb", "floppy", tmp_path)


async def test_medium_of_a_suspended_machine_stays(bench: Bench, image: Path) -> None:
    await create(bench, CDROM)
    await bench.services.power.start("deb")
    await bench.services.power.suspend("deb")

    with pytest.raises(WrongStateError, match="other media"):
        await bench.services.media.insert("deb", "cdrom", image)


async def test_guest_that_opens_its_tray_tells(bench: Bench) -> None:
    await create(bench, CDROM)
    await bench.services.power.start("deb")
    await bench.services.console.send("deb", b"eject ide2\n")

    told = (await event(bench, EjectedEvent)).event

    assert isinstance(told, EjectedEvent)
    assert told.slot == "ide2"


async def test_pointer_goes_to_places_and_moves(bench: Bench) -> None:
    await create(bench, CDROM)
    await bench.services.power.start("deb")
    await bench.services.console.send("deb", b"tablet\n")
    told = (await event(bench, PointerEvent)).event

    await bench.services.console.point("deb", Motion(-3, 4), wheel=1, buttons=5)
    await screen(bench, 'motion {"buttons": 5, "dx": -3, "dy": 4, "wheel": 1}')
    await bench.services.console.point("deb", Place(0, 65_535))
    await screen(bench, 'position {"buttons": 0, "wheel": 0, "x": 0, "y": 65535}')

    assert isinstance(told, PointerEvent)
    assert told.absolute


async def test_pointer_of_a_paused_machine_is_refused(bench: Bench) -> None:
    await create(bench, CDROM)
    await bench.services.power.start("deb")
    await bench.services.power.pause("deb")

    with pytest.raises(WrongStateError):
        await bench.services.console.point("deb", Motion(1, 1))


async def test_image_whose_name_is_no_utf8_is_refused_before_the_guest_sees_it(
    bench: Bench, odd: Path
) -> None:
    await create(bench, FLOPPY)
    await bench.services.power.start("deb")

    with pytest.raises(ConfigError, match="not valid UTF-8"):
        await bench.services.media.insert("deb", "floppy", odd)
    await bench.services.console.send("deb", b"screen nothing\n")
    await screen(bench, "nothing")

    assert "contents" not in (await bench.services.console.screen_text("deb") or "")
    assert await drives(bench) == (FLOPPY,)


async def test_floppy_is_write_protected_where_it_lies(bench: Bench, image: Path) -> None:
    await create(bench, replace(FLOPPY, image=ImageFile(str(image))))
    await bench.services.power.start("deb")

    await bench.services.media.insert("deb", "floppy", image, read_only=True)
    assert (await drives(bench))[0].read_only
    await bench.services.media.insert("deb", "floppy", image)
    assert not (await drives(bench))[0].read_only

    shown = await bench.services.console.screen_text("deb") or ""
    told = [line.rstrip() for line in shown.splitlines() if line.startswith("floppy0")]
    out = "floppy0 empty"
    assert told == [out, "floppy0 contents", out, "floppy0 contents writable"]
