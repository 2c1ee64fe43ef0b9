"""A stock kernel on several processors finds them, uses them, and what they share stays true."""

from __future__ import annotations

import json
from pathlib import Path

import guests
import initramfs
import pytest
from command import BOOT_SECONDS, Vmwb

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 3)]

PROCESSORS = 4
ROUNDS = 25
FLOPPY_BYTES = 1440 << 10
#: Byte of the boot sector by which our own program is told how many processors there must be.
COUNT_BYTE = 508
SLEEP_INSTRUCTIONS = 500_000_000
#: A first process that starts one process a processor, each bound to its own. They count in one
#: file under one lock, a folder that only one of them can make, and fork all the time. The kernel
#: hands on what it does not know of its command line: how many rounds, and whether to stay.
COUNTING_INIT = b"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
echo "processors: $(/bin/busybox nproc)"
echo 0 > /tmp/count
cpu=0
while [ $cpu -lt $(/bin/busybox nproc) ]; do
  /bin/busybox taskset -c $cpu /bin/busybox sh -c '
    n=0
    while [ $n -lt ${rounds:-25} ]; do
      until /bin/busybox mkdir /tmp/lock 2>/dev/null; do :; done
      read c < /tmp/count
      echo $((c + 1)) > /tmp/count
      /bin/busybox rmdir /tmp/lock
      n=$((n + 1))
    done' &
  cpu=$((cpu + 1))
done
wait
echo "counted: $(/bin/busybox cat /tmp/count)"
[ -n "$stay" ] && /bin/busybox sleep 100000
/bin/busybox poweroff -f
"""


def machine(folder: Path, processors: int, wishes: str = "") -> list[str]:
    """Return the options of a machine that counts, and switches itself off if it may."""
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", guests.busybox("amd64").read_bytes()),
        initramfs.program("init", COUNTING_INIT),
    ]
    image = folder / "counting.cpio.gz"
    image.write_bytes(initramfs.archive(entries))
    kernel = str(guests.kernel("cloud-amd64", "amd64"))
    options = ["--kernel", kernel, "--initrd", str(image), "--append"]
    options.append(f"console=ttyS0 {wishes}".rstrip())
    return [*options, "--cpus", str(processors)]


def run(vmwb: Vmwb, folder: Path) -> tuple[str, list[int]]:
    """Run the machine in deterministic mode; give its output and each processor's share."""
    stats = folder / "stats.json"
    options = ("--deterministic", "--stats", stats, *machine(folder, PROCESSORS))
    done = vmwb.run("run", "--headless", *options, seconds=BOOT_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    shares = json.loads(stats.read_text())["processors"]
    return done.stdout, [share["retired"] for share in shares]


def test_run_four_processors_count_under_one_lock_and_repeat_exactly(
    vmwb: Vmwb, tmp_path: Path
) -> None:
    output, shares = run(vmwb, tmp_path)

    assert f"processors: {PROCESSORS}" in output
    assert f"counted: {PROCESSORS * ROUNDS}" in output
    assert len(shares) == PROCESSORS
    assert min(shares) > 0
    assert run(vmwb, tmp_path) == (output, shares)


def run_bare(vmwb: Vmwb, folder: Path, processors: int) -> tuple[list[str], list[int]]:
    """Run our own program for several processors; give its lines and each processor's share."""
    folder.mkdir()
    image, serial, stats = folder / "floppy.img", folder / "serial", folder / "stats.json"
    sectors = bytearray(guests.sixteen("smp"))
    sectors[COUNT_BYTE] = processors
    image.write_bytes(sectors + bytes(FLOPPY_BYTES - len(sectors)))
    done = vmwb.run(
        *("run", "--headless", "--json", "--debug-exit", "--deterministic", "--memory", "64M"),
        *("--cpus", str(processors), "--cpu-model", "max", "--floppy", image, "--boot", "floppy"),
        *("--serial", f"file:{serial}", "--stats", stats, "--timeout", str(BOOT_SECONDS)),
        seconds=BOOT_SECONDS + 30,
    )
    lines = serial.read_text().splitlines() if serial.exists() else []
    # The debug exit gives (number of failed checks << 1) | 1.
    assert done.returncode == 1, "\n".join([*lines, done.stdout, done.stderr])
    shares = json.loads(stats.read_text())["processors"]
    return lines, [share["retired"] for share in shares]


@pytest.mark.parametrize("processors", [1, 2, 8])
def test_run_bare_program_finds_starts_and_drives_every_processor(
    vmwb: Vmwb, tmp_path: Path, processors: int
) -> None:
    lines, shares = run_bare(vmwb, tmp_path / "once", processors)

    assert not [line for line in lines if not line.startswith("ok ")]
    assert lines[-1] == "ok no interrupt came that was not asked for"
    # A second of sleep would be a thousand million instructions of whoever does not sleep.
    assert sum(shares) < SLEEP_INSTRUCTIONS
    assert min(shares) > 0


def test_run_bare_program_of_four_processors_repeats_to_the_instruction(
    vmwb: Vmwb, tmp_path: Path
) -> None:
    once = run_bare(vmwb, tmp_path / "once", PROCESSORS)

    assert run_bare(vmwb, tmp_path / "again", PROCESSORS) == once


def test_suspend_of_two_processors_at_work_resumes_them(vmwb: Vmwb, tmp_path: Path) -> None:
    vmwb.ok("create", "two", *machine(tmp_path, 2, f"rounds={8 * ROUNDS} stay=1"))
    vmwb.ok("start", "two", "--headless")
    vmwb.wait("two", "--serial", "processors: 2", seconds=BOOT_SECONDS)

    vmwb.ok("suspend", "two", seconds=120)
    vmwb.ok("resume", "two", seconds=120)

    vmwb.wait("two", "--serial", f"counted: {2 * 8 * ROUNDS}", seconds=BOOT_SECONDS)
    vmwb.ok("stop", "two", "--hard")
