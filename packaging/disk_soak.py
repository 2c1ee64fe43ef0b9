"""The soak of disks: a Debian that lives on its disk is used hard, and its file system looked at.

For each architecture and bus a copy of the disk of debian_disk.py boots by SeaBIOS and GRUB; then
the guest

1. reboots itself again and again, with a log-in on the serial port each time (and on the screen
   the first time);
2. loses its power while it writes: after its journal is replayed, a full check of the file system
   finds nothing;
3. boots from that file system, writes 1 GiB and reads it back from the disk, not from its cache:
   the checksum is the one that the host computes of the same bytes.

The first thing that is not as it must be raises SoakError.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

import debian_disk

from vmwb.automation.script import workbench
from vmwb.model.config import VmConfig
from vmwb.model.drives import DriveBus, DriveConfig, DriveKind, ImageFile, free_slot
from vmwb.model.errors import VmwbError
from vmwb.model.keyboard import text_presses
from vmwb.services.api import SerialStream, Services
from vmwb.services.types import StopKind, WaitFor, WaitKind

ARCHITECTURES = ("amd64", "i386")
BUSES = ("virtio", "ide")
REBOOTS = 10
BOOT_SECONDS = 900.0
COMMAND_SECONDS = 1800.0
MACHINE = "disk"
MEMORY_MIB = 512
#: The first bytes of this are written: no two sectors of it are alike, so that one that lands in
#: another's place is seen.
WRITTEN_BYTES = 1 << 30
_SOURCE = f"seq 1 200000000 | head -c {WRITTEN_BYTES}"
#: Creates, writes, renames and deletes for ever, and says how far it is.
_LOAD = (
    "mkdir -p /root/load; cd /root/load; n=0; while :; do n=$((n+1)); "
    "head -c 300000 /dev/urandom > new.$n; mv new.$n kept.$((n%200)); "
    "[ $((n%7)) = 0 ] && rm -f kept.$((n%50)); [ $((n%20)) = 0 ] && sync && echo pass''ed $n; done"
)
#: The power goes when the load has come so far.
_LOAD_MARK = "passed 300"


class SoakError(Exception):
    """A guest did not do, or a disk did not keep, what it had to; the text says what."""


class Terminal:
    """The serial port of a guest with a shell: what was read once is not found again."""

    def __init__(self, stream: SerialStream) -> None:
        self._stream = stream
        self._unread = bytearray()

    @classmethod
    async def open(cls, services: Services) -> Self:
        """Attach to the machine's port, with what came out of it since power-on."""
        return cls(await services.console.open_serial(MACHINE))

    def close(self) -> None:
        """Leave the port."""
        self._stream.close()

    async def expect(self, text: str, seconds: float = BOOT_SECONDS) -> str:
        """Return what comes before a text. Raises SoakError when it does not come in time."""
        mark = text.encode()
        try:
            async with asyncio.timeout(seconds):
                while mark not in self._unread:
                    data = await self._stream.read()
                    if not data:
                        raise SoakError(f"The machine ended before {text!r} came.")
                    self._unread += data
        except TimeoutError:
            last = self._unread[-500:].decode(errors="replace")
            raise SoakError(f"{text!r} did not come in {seconds:g} s, but: {last}") from None
        before, _, self._unread = self._unread.partition(mark)
        return before.decode(errors="replace")

    async def send(self, text: str) -> None:
        """Write to the port."""
        await self._stream.write(text.encode())

    async def log_in(self) -> float:
        """Wait for the log-in and log in; return the seconds until the shell asks for a line."""
        begun = time.monotonic()
        await self.expect(f"{debian_disk.HOST_NAME} login:")
        await self.send("root\n")
        await self.expect("Password:")
        await self.send(f"{debian_disk.ROOT_PASSWORD}\n")
        await self.expect(f"root@{debian_disk.HOST_NAME}:")
        seconds = time.monotonic() - begun
        # Messages of the kernel would stand in the middle of answers.
        await self.command("dmesg --console-off")
        return seconds

    async def command(self, line: str) -> str:
        """Run a line in the shell and return what it writes. Raises SoakError when it fails."""
        # The echo of the line does not hold the mark, which has no quotes in it.
        await self.send(f"{line}; echo ''end''=$?=\n")
        output = await self.expect("end=", COMMAND_SECONDS)
        status = await self.expect("=", COMMAND_SECONDS)
        if status != "0":
            raise SoakError(f"{line!r} ended with {status}: {output[-500:]}")
        return output


async def soak(architecture: str, bus: str, folder: Path, reboots: int = REBOOTS) -> str:
    """Run one round with files in the folder, and return a sentence with what was measured.

    Raises SoakError, DiskError, or an error of the services.
    """
    made = await asyncio.to_thread(debian_disk.disk, architecture)
    image = folder / "disk.img"
    await asyncio.to_thread(debian_disk.copy, made, image)
    begun = time.monotonic()
    async with defined(image, bus, folder) as services:
        boots = await _boot_again_and_again(services, f"{architecture} on {bus}", reboots)
        replayed = check_after_power_cut(image, folder)
        print(f"{architecture} on {bus}: clean after the power cut", flush=True)
        written, read = await _write_and_read(services)
    check_file_system(image, folder)
    mean = sum(boots) / len(boots)
    return (
        f"{architecture} on {bus}: {len(boots)} boots to a shell in {mean:.0f} s on average, "
        f"{'journal replayed and ' if replayed else ''}file system clean after the power cut, "
        f"1 GiB written in {written:.0f} s and read in {read:.0f} s with the right checksum, "
        f"{(time.monotonic() - begun) / 60:.0f} minutes"
    )


@contextlib.asynccontextmanager
async def defined(image: Path, bus: str, folder: Path, cpus: int = 1) -> AsyncIterator[Services]:
    """Define the machine, off, in a library of its own in the folder; leave none running."""
    slot = free_slot((), DriveKind.DISK, DriveBus(bus))
    drive = DriveConfig(slot, DriveKind.DISK, ImageFile(str(image)))
    async with workbench(folder / "library") as services:
        await services.machines.create(
            VmConfig(MACHINE, memory_mib=MEMORY_MIB, cpus=cpus, drives=(drive,))
        )
        try:
            yield services
        finally:
            if (await services.machines.show(MACHINE)).pid is not None:
                await services.power.stop(MACHINE, StopKind.HARD)


async def _boot_again_and_again(services: Services, what: str, reboots: int) -> list[float]:
    """Boot, reboot, and cut the power under load; return the seconds that the boots took."""
    await services.power.start(MACHINE)
    terminal = await Terminal.open(services)
    try:
        boots = [await terminal.log_in()]
        await _log_in_on_screen(services, terminal)
        for count in range(reboots):
            await terminal.send("systemctl reboot\n")
            boots.append(await terminal.log_in())
            print(f"{what}: reboot {count + 1} of {reboots}: {boots[-1]:.0f} s", flush=True)
        await terminal.send(f"{_LOAD}\n")
        await terminal.expect(_LOAD_MARK, COMMAND_SECONDS)
        await services.power.stop(MACHINE, StopKind.HARD)
    finally:
        terminal.close()
    return boots


async def _log_in_on_screen(services: Services, terminal: Terminal) -> None:
    """Log in with the keyboard on the guest's first virtual terminal.

    It is in a graphics mode, where we see no letters; the guest tells what it shows there.
    """
    for shown, typed in (
        (f"{debian_disk.HOST_NAME} login:", "root\n"),
        ("Password:", f"{debian_disk.ROOT_PASSWORD}\n"),
        (f"root@{debian_disk.HOST_NAME}:", "exit\n"),
    ):
        await terminal.command(f"until grep -aq {shown!r} /dev/vcs1; do sleep 0.2; done")
        await services.console.press(MACHINE, text_presses(typed))


async def _write_and_read(services: Services) -> tuple[float, float]:
    """Boot, write, drop the guest's cache, read, power off; return the seconds of both."""
    done = await asyncio.to_thread(_run, "sh", "-c", f"{_SOURCE} | sha256sum")
    expected = done.split()[0]
    await services.power.start(MACHINE)
    terminal = await Terminal.open(services)
    try:
        await terminal.log_in()
        await terminal.command("rm -rf /root/load")
        begun = time.monotonic()
        await terminal.command(
            f"{_SOURCE} | dd of=/root/big bs=1M iflag=fullblock conv=fsync status=none"
        )
        written = time.monotonic() - begun
        await terminal.command("echo 3 > /proc/sys/vm/drop_caches")
        begun = time.monotonic()
        answer = await terminal.command("dd if=/root/big bs=1M status=none | sha256sum")
        read = time.monotonic() - begun
        if expected not in answer:
            raise SoakError(f"The checksum of what was read is {answer.strip()}, not {expected}.")
        await power_off(services, terminal)
    finally:
        terminal.close()
    return written, read


async def power_off(services: Services, terminal: Terminal) -> None:
    """Let the system power the machine off. Raises an error of the services if it does not."""
    await terminal.send("systemctl poweroff\n")
    off = WaitFor(WaitKind.STATE, "off")
    await services.watch.wait(MACHINE, off, timeout_s=BOOT_SECONDS)


def check_after_power_cut(image: Path, folder: Path) -> bool:
    """Replay the journal of a copy of the file system, then check all of it; whether one was there.

    Raises SoakError if the check finds anything.
    """
    partition = _partition(image, folder)
    done = _e2fsck("-p", partition)
    if done.returncode > 1 or "with errors" in done.stdout:
        raise SoakError(f"The journal could not be replayed: {done.stdout}")
    _check(partition)
    return "recovering journal" in done.stdout


def check_file_system(image: Path, folder: Path) -> None:
    """Check the file system of a disk whose guest was shut down. Raises SoakError."""
    _check(_partition(image, folder))


def _check(partition: Path) -> None:
    done = _e2fsck("-fn", partition)
    if done.returncode != 0:
        raise SoakError(f"The file system is damaged: {done.stdout[-2000:]}")
    partition.unlink()


def _e2fsck(how: str, partition: Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("e2fsck", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    if tool is None:
        raise SoakError("The package e2fsprogs is not installed.")
    return subprocess.run([tool, how, partition], capture_output=True, text=True, check=False)


def _partition(image: Path, folder: Path) -> Path:
    """Copy the partition out of a disk: the check must not change what the guest boots from."""
    partition = folder / "partition.img"
    skip = debian_disk.PARTITION_SECTOR * debian_disk.SECTOR_BYTES
    copied = (f"if={image}", f"of={partition}", f"skip={skip}", "iflag=skip_bytes")
    _run("dd", *copied, "bs=1M", "conv=sparse", "status=none")
    return partition


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(arguments: Sequence[str]) -> int:
    """Run the rounds that were asked for and tell what was measured; 1 if one failed."""
    parser = argparse.ArgumentParser(description="Use guests that live on disks, and check these.")
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append")
    parser.add_argument("--bus", choices=BUSES, action="append")
    parser.add_argument("--reboots", type=int, default=REBOOTS)
    options = parser.parse_args(arguments)
    for architecture in options.architecture or ARCHITECTURES:
        for bus in options.bus or BUSES:
            with tempfile.TemporaryDirectory(prefix="vmwb-") as folder:
                try:
                    told = asyncio.run(soak(architecture, bus, Path(folder), options.reboots))
                except (SoakError, debian_disk.DiskError, VmwbError) as error:
                    print(f"{architecture} on {bus}: {error}", file=sys.stderr)
                    return 1
            print(told, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
