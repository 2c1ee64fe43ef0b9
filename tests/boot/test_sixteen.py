"""Our own 16-bit programs, booted from a floppy by SeaBIOS: BIOS services, VGA modes, bare devices.

Each program (``tests/guest``) writes its checks to COM1, a line each, and the number of those that
failed to the debug exit port. Pictures are compared dot by dot with what the program's head says
that it draws, computed here.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import guests
import pytest
from command import BOOT_SECONDS, Vmwb

from vmwb.automation.script import Script, workbench
from vmwb.services.types import Motion

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 2)]

FLOPPY_BYTES = 1440 << 10
DISK_BYTES = 8 << 20
#: Byte of the boot sector by which a test tells a program what to do.
MODE_BYTE = 508
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Outcome:
    """What a program said on COM1, and the picture and the floppy that it left."""

    lines: list[str]
    screenshot: Path
    floppy: Path

    def picture(self) -> tuple[int, int, bytes]:
        """Return width, height and three bytes a dot of the screenshot."""
        png = self.screenshot.read_bytes()
        width, height = struct.unpack_from(">II", png, 16)  # IHDR is the first chunk
        start = png.index(b"IDAT")
        (length,) = struct.unpack_from(">I", png, start - 4)
        rows = zlib.decompress(png[start + 4 : start + 4 + length])
        step = width * 3 + 1
        assert set(rows[::step]) == {0}  # the filter of each row
        dots = b"".join(rows[at + 1 : at + step] for at in range(0, len(rows), step))
        return width, height, dots

    def shows(self, width: int, height: int, dot: Callable[[int, int], Colour]) -> None:
        """Insist that the screenshot has this size and that each dot has the colour of ``dot``."""
        expected = bytes(part for y in range(height) for x in range(width) for part in dot(x, y))
        got_width, got_height, got = self.picture()
        assert (got_width, got_height) == (width, height)
        wrong = [n // 3 for n in range(0, len(got), 3) if got[n : n + 3] != expected[n : n + 3]]
        sample = [
            (n % width, n // width, tuple(got[n * 3 : n * 3 + 3]), dot(n % width, n // width))
            for n in wrong[:5]
        ]
        assert not wrong, f"{len(wrong)} dots differ: x, y, shown, expected: {sample}"


def dac(components: tuple[int, int, int]) -> Colour:
    """Return a colour of 6-bit components as the monitor shows it: 63 is full."""
    red, green, blue = (value << 2 | value >> 4 for value in components)
    return red, green, blue


def cga_colour(number: int) -> Colour:
    """Return one of the sixteen colours as a BIOS sets them up; 6 is brown, not dark yellow."""
    bright = 21 * (number >> 3)
    red, green, blue = (42 * (number >> bit & 1) + bright for bit in (2, 1, 0))
    return dac((red, 21 if number == 6 else green, blue))


def floppy_sector(cylinder: int, head: int, sector: int) -> int:
    """Return the number of a sector from the beginning of a 1.44M floppy."""
    return (cylinder * 2 + head) * 18 + sector - 1


def put_sector(image: bytearray, sector: int, data: bytes) -> None:
    """Write 512 bytes into an image."""
    image[sector * 512 : (sector + 1) * 512] = data


def run(
    vmwb: Vmwb,
    folder: Path,
    program: str,
    *options: str | Path,
    floppy: bytes | None = None,
    mode: int = 3,
    end: str = "debug_exit",
) -> Outcome:
    """Run a program to its end, insist that no check failed, and return what it left."""
    image, serial, shot = folder / "floppy.img", folder / "serial", folder / "shot.png"
    sectors = bytearray(guests.sixteen(program))
    sectors[MODE_BYTE] = mode
    image.write_bytes(sectors + (floppy or bytes(FLOPPY_BYTES))[len(sectors) :])

    done = vmwb.run(
        *("run", "--headless", "--json", "--debug-exit", "--memory", "64M"),
        *("--serial", f"file:{serial}", "--floppy", image, "--boot", "floppy"),
        *("--screenshot", shot, "--timeout", str(BOOT_SECONDS), *options),
        seconds=BOOT_SECONDS + 30,
    )

    lines = serial.read_text(errors="replace").splitlines() if serial.exists() else []
    said = "\n".join([*lines, done.stdout, done.stderr])
    assert json.loads(done.stdout)["ended_by"] == end, said
    assert not [line for line in lines if line.startswith("BAD")], said
    # The debug exit gives (number of failed checks << 1) | 1.
    assert done.returncode == (1 if end == "debug_exit" else 0), said
    assert any(line.startswith("ok ") for line in lines), said
    return Outcome(lines, shot, image)


def test_mode_13h_shows_its_palette_and_dots(vmwb: Vmwb, tmp_path: Path) -> None:
    palette = [dac((n & 63, n >> 2, 63 - (n & 63))) for n in range(256)]

    outcome = run(vmwb, tmp_path, "mode13")

    outcome.shows(640, 400, lambda x, y: palette[(3 * (x // 2) ^ (y // 2)) & 255])


def test_mode_x_flips_pages_splits_the_screen_and_pans(vmwb: Vmwb, tmp_path: Path) -> None:
    palette = [dac((n & 63, n >> 2, 63 - (n & 63))) for n in range(256)]

    def dot(x: int, y: int) -> Colour:
        if y >= 360:
            return palette[x // 2 + (y - 360) // 2 & 255]
        # The last dot of a panned line comes from where the next line begins.
        down, across = divmod(x // 2 + 1, 320)
        return palette[(2 * across ^ 3 * (y // 2 + down)) & 255]

    outcome = run(vmwb, tmp_path, "modex")

    outcome.shows(640, 480, dot)


def test_mode_12h_draws_by_every_write_mode(vmwb: Vmwb, tmp_path: Path) -> None:
    palette = [dac((4 * n, 63 - 4 * n, n * n // 4)) for n in range(16)]
    dots = [[1] * 640 for _ in range(480)]

    def draw(columns: range, lines: range, change: Callable[[int, int, int], int]) -> None:
        for y in lines:
            for x in range(columns.start * 8, columns.stop * 8):
                dots[y][x] = change(dots[y][x], x, y)

    def bit(byte: int, x: int) -> int:
        return byte >> (7 - x % 8) & 1

    for y in range(10, 60):
        dots[y][13:107] = [12] * 94
    draw(range(8, 30), range(40, 100), lambda old, _x, _y: old ^ 5)
    draw(range(4, 12), range(110, 140), lambda old, x, _y: old | 2 * bit(0xC3, x))
    draw(range(8, 16), range(120, 150), lambda old, x, _y: old & ~bit(0x0F, x))
    for y in range(160):
        dots[200 + y][320:640] = dots[y][0:320]
    draw(
        range(5, 75),
        range(400, 448),
        lambda old, x, y: 14 if bit(0x7E & (0x80 >> (y & 7) | 0x18), x) else old,
    )

    outcome = run(vmwb, tmp_path, "planar")

    outcome.shows(640, 480, lambda x, y: palette[dots[y][x]])


def test_bios_services_keep_their_promises(vmwb: Vmwb, tmp_path: Path) -> None:
    pattern = bytes(n * n + 7 & 255 for n in range(512))
    complement = bytes(255 - byte for byte in pattern)
    floppy, disk = bytearray(FLOPPY_BYTES), bytearray(DISK_BYTES)
    put_sector(floppy, floppy_sector(40, 1, 7), pattern)
    put_sector(disk, 1000, pattern)
    image = tmp_path / "disk.img"
    image.write_bytes(disk)
    today = datetime.now(UTC).date()

    outcome = run(
        vmwb,
        tmp_path,
        "bios",
        *("--disk", f"{image},bus=ide", "--on-screen", "press two keys=kQ"),
        floppy=bytes(floppy),
    )

    said = datetime.strptime(outcome.lines[-1], "%Y%m%d").replace(tzinfo=UTC).date()
    assert abs(said - today) <= timedelta(days=1)
    # What it wrote stands in the images, and nothing else changed.
    put_sector(floppy, floppy_sector(70, 0, 18), complement)
    assert outcome.floppy.read_bytes()[guests.TRACK_BYTES :] == floppy[guests.TRACK_BYTES :]
    put_sector(disk, 2001, complement)
    assert image.read_bytes() == disk


def test_vbe_mode_is_drawn_from_unreal_mode(vmwb: Vmwb, tmp_path: Path) -> None:
    outcome = run(vmwb, tmp_path, "vbe")

    outcome.shows(1024, 768, lambda x, y: (x // 4, y // 4, (x ^ y) & 255))


def test_processor_reset_keeps_memory_and_goes_on(vmwb: Vmwb, tmp_path: Path) -> None:
    run(vmwb, tmp_path, "shutdown")


def test_floppy_is_driven_by_its_own_commands_and_dma(vmwb: Vmwb, tmp_path: Path) -> None:
    pattern = bytes(n * n + 7 & 255 for n in range(512))
    complement = bytes(255 - byte for byte in pattern)
    floppy = bytearray(FLOPPY_BYTES)
    put_sector(floppy, floppy_sector(20, 1, 3), pattern)

    outcome = run(vmwb, tmp_path, "fdc", floppy=bytes(floppy))

    put_sector(floppy, floppy_sector(79, 0, 17), complement)
    put_sector(floppy, floppy_sector(79, 0, 18), complement)
    assert outcome.floppy.read_bytes()[guests.TRACK_BYTES :] == floppy[guests.TRACK_BYTES :]


def test_devices_answer_programs_that_use_no_bios(vmwb: Vmwb, tmp_path: Path) -> None:
    run(vmwb, tmp_path, "direct", "--on-screen", "press a key=k")


def test_function_interrupts_by_messages(vmwb: Vmwb, tmp_path: Path) -> None:
    run(vmwb, tmp_path, "msi")


def test_text_mode_shows_a_font_of_the_program(vmwb: Vmwb, tmp_path: Path) -> None:
    def dot(x: int, y: int) -> Colour:
        column, row = x // 9, y // 8
        character, attribute = column + 3 * row & 255, 5 * column + row & 255
        bits = 7 * character + 31 * (y % 8) & 255
        # The ninth dot is blank, but line graphics go on to the next cell.
        shown = bits >> (7 - x % 9) & 1 if x % 9 < 8 else bits & (0xC0 <= character <= 0xDF)
        return cga_colour(attribute & 15 if shown else attribute >> 4)

    outcome = run(vmwb, tmp_path, "modes", mode=0x03)

    outcome.shows(720, 400, dot)


@pytest.mark.parametrize(
    ("mode", "dot_width", "bits", "colours"),
    [(0x04, 2, 2, (0, 11, 13, 15)), (0x06, 1, 1, (0, 15))],
)
def test_interleaved_mode_shows_packed_dots(
    vmwb: Vmwb, tmp_path: Path, mode: int, dot_width: int, bits: int, colours: tuple[int, ...]
) -> None:
    def dot(x: int, y: int) -> Colour:
        byte = 3 * (x // 8) + 5 * (y // 2) & 255
        place = x % 8 // dot_width
        return cga_colour(colours[byte >> (8 - bits * (place + 1)) & (1 << bits) - 1])

    outcome = run(vmwb, tmp_path, "modes", mode=mode)

    outcome.shows(640, 400, dot)


@pytest.mark.parametrize(
    ("mode", "height", "dot_width", "dot_height"),
    [(0x0D, 400, 2, 2), (0x0E, 400, 1, 2), (0x10, 350, 1, 1)],
)
def test_sixteen_colour_mode_shows_dots_of_the_bios(
    vmwb: Vmwb, tmp_path: Path, mode: int, height: int, dot_width: int, dot_height: int
) -> None:
    def dot(shown_x: int, shown_y: int) -> Colour:
        x, y = shown_x // dot_width, shown_y // dot_height
        drawn = 40 <= x < 296 and 50 <= y < 178
        changed = 48 <= x < 80 and 60 <= y < 92
        return cga_colour((x // 2 + y & 15 if drawn else 0) ^ (5 if changed else 0))

    outcome = run(vmwb, tmp_path, "modes", mode=mode)

    outcome.shows(640, height, dot)


#: The EGA's attribute palette: DAC entries of the sixteen colours.
EGA = (*range(6), 0x14, 7, *range(0x38, 0x40))


def own_colour(number: int) -> Colour:
    """Return a DAC entry as ``tables`` loads them."""
    return dac((number & 63, number >> 2, 63 - (number & 63)))


@pytest.mark.parametrize(
    ("table", "columns", "lines", "cell", "cursor"),
    [
        (0, 40, 16, 18, (0x00A0, 13, 14)),
        (1, 40, 8, 18, (0x0460, 6, 7)),
        (2, 80, 16, 9, (0x0050, 13, 14)),
        (3, 80, 8, 9, (0x0140, 6, 7)),
        (4, 90, 16, 8, (0, 13, 14)),
        (5, 90, 8, 8, (0, 6, 7)),
    ],
)
def test_text_mode_is_set_by_a_table_of_registers(
    vmwb: Vmwb,
    tmp_path: Path,
    table: int,
    columns: int,
    lines: int,
    cell: int,
    cursor: tuple[int, int, int],
) -> None:
    at, first, last = cursor

    def dot(x: int, y: int) -> Colour:
        column, row, line = x // cell, y // lines, y % lines
        place = x % cell // (2 if cell == 18 else 1)
        character, attribute = column + 3 * row & 255, 5 * column + row & 255
        bits = 7 * character + 31 * line & 255
        shown = bits >> (7 - place) & 1 if place < 8 else bits & (0xC0 <= character <= 0xDF)
        if row * columns + column == at and first <= line <= last:
            shown = 1
        # Attribute bit 7 is for blinking, which is shown steady.
        return own_colour(EGA[attribute & 15 if shown else attribute >> 4 & 7])

    outcome = run(vmwb, tmp_path, "tables", mode=table)

    outcome.shows(columns * cell, 480 if columns == 90 else 400, dot)


def table_byte(x: int, y: int) -> int:
    """Return the byte that ``tables`` writes for pixels of one bit, in plane 0."""
    return 3 * (x // 8) + 5 * y & 255


def table_planes(x: int, y: int) -> int:
    """Return the pixel that ``tables`` makes of four planes."""
    planes = (table_byte(x, y) + 77 * plane & 255 for plane in range(4))
    return sum((byte >> (7 - x % 8) & 1) << plane for plane, byte in enumerate(planes))


def table_pair(x: int, y: int) -> int:
    """Return the pixel that ``tables`` packs into two bits, for doubled dots."""
    return table_byte(x, y // 2) >> (6 - x % 8 // 2 * 2) & 3


@pytest.mark.parametrize(
    ("table", "width", "height", "index"),
    [
        (6, 640, 480, lambda x, y: 0x3F * (table_byte(x, y) >> (7 - x % 8) & 1)),
        (7, 640, 400, lambda x, y: (0x00, 0x13, 0x15, 0x17)[table_pair(x, y)]),
        (8, 640, 480, lambda x, y: EGA[table_planes(x, y)]),
        (9, 720, 480, table_planes),
        (10, 640, 400, lambda x, y: (x // 2 ^ 3 * (y // 2)) & 255),
        (11, 640, 400, lambda x, y: (x // 2 ^ 3 * (y // 2)) & 255),
    ],
)
def test_graphics_mode_is_set_by_a_table_of_registers(
    vmwb: Vmwb,
    tmp_path: Path,
    table: int,
    width: int,
    height: int,
    index: Callable[[int, int], int],
) -> None:
    outcome = run(vmwb, tmp_path, "tables", mode=table)

    outcome.shows(width, height, lambda x, y: own_colour(index(x, y)))


async def test_mouse_is_followed_by_movements_of_the_pointer(vmwb: Vmwb, tmp_path: Path) -> None:
    image = tmp_path / "floppy.img"
    image.write_bytes(guests.sixteen("mouse").ljust(FLOPPY_BYTES, b"\0"))
    vmwb.ok(
        *("create", "mouse", "--memory", "64M", "--serial", "none"),
        *("--floppy", image, "--boot", "floppy"),
    )

    async with workbench(vmwb.library, vmwb.environment) as services:
        guest = Script(services, "mouse")
        await guest.start()
        await guest.expect_screen("move the mouse", timeout_s=BOOT_SECONDS)
        # Each step, and all of the way that the guest has seen then.
        for step, wheel, buttons, seen in (
            (Motion(100, 50), 0, 0, "x=0064 y=0032 w=00 b=00"),
            (Motion(-700, -60), 0, 1, "x=FDA8 y=FFF6 w=00 b=01"),
            (Motion(0, 0), -2, 3, "x=FDA8 y=FFF6 w=02 b=03"),
            (Motion(1, 0), 1, 0, "x=FDA9 y=FFF6 w=01 b=00"),
        ):
            await services.console.point("mouse", step, wheel=wheel, buttons=buttons)
            await guest.expect_screen(seen)
        assert "BAD" not in await guest.screen()


def test_disk_and_cd_are_driven_by_their_own_commands(vmwb: Vmwb, tmp_path: Path) -> None:
    pattern = bytes(n * n + 7 & 255 for n in range(512))
    complement = bytes(255 - byte for byte in pattern)
    image, cdrom = tmp_path / "disk.img", tmp_path / "cd.iso"
    disk = bytearray(DISK_BYTES)
    put_sector(disk, 1000, pattern)
    image.write_bytes(disk)
    cdrom.write_bytes((bytes(20 * 2048) + pattern).ljust(40 * 2048, b"\0"))

    run(vmwb, tmp_path, "ata", "--disk", f"{image},bus=ide", "--cdrom", cdrom)

    put_sector(disk, 3000, complement)
    put_sector(disk, 3001, complement)
    assert image.read_bytes() == disk


def test_disk_of_another_machine_is_counted_as_its_partitions_are(
    vmwb: Vmwb, tmp_path: Path
) -> None:
    cylinders, heads, sectors = 615, 4, 17
    total = cylinders * heads * sectors
    disk = bytearray(total * 512)
    for at in range(total - 3, total):
        put_sector(disk, at, bytes(n * n + 7 & 255 for n in range(512)))
    last = cylinders - 1
    end = (heads - 1, sectors | last >> 8 << 6, last & 255)
    disk[446:462] = struct.pack("<BBBBBBBBII", 0, 1, 1, 0, 1, *end, sectors, total - sectors)
    disk[510:512] = b"\x55\xaa"
    image = tmp_path / "disk.img"
    image.write_bytes(disk)

    run(vmwb, tmp_path, "chs", "--disk", f"{image},bus=ide")

    assert image.read_bytes() == disk


def test_large_disks_are_read_to_their_ends(vmwb: Vmwb, tmp_path: Path) -> None:
    # Sectors of the disk, and the heads that the BIOS counts.
    shapes = {"600M": (600 << 11, 32), "10G": (10 << 21, 255), "200G": (200 << 21, 255)}
    options: list[str] = []
    for name, (sectors, heads) in shapes.items():
        image = tmp_path / name
        with image.open("wb") as file:
            file.truncate(sectors * 512)
            cylinders = min(sectors // (heads * 63), 1024)
            for sector in (cylinders * heads * 63 - 1, sectors - 1):
                file.seek(sector * 512)
                file.write(sector.to_bytes(8, "little"))
        options += ["--disk", f"{image},bus=ide"]

    run(vmwb, tmp_path, "extents", *options)


def test_apm_switches_the_machine_off(vmwb: Vmwb, tmp_path: Path) -> None:
    run(vmwb, tmp_path, "poweroff", end="guest_power_off")
