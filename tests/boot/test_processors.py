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
#: A first process that starts one process a processor, each bound to its own. They count in one
#: file under one lock, a folder that only one of them can make, and fork all the time.
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
    while [ $n -lt 25 ]; do
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
/bin/busybox poweroff -f
"""


def machine(folder: Path, processors: int) -> list[str]:
    """Return the options of a machine that counts and switches itself off."""
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        initramfs.console(),
        initramfs.program("bin/busybox", guests.busybox("amd64").read_bytes()),
        initramfs.program("init", COUNTING_INIT),
    ]
    image = folder / "counting.cpio.gz"
    image.write_bytes(initramfs.archive(entries))
    kernel = str(guests.kernel("cloud-amd64", "amd64"))
    options = ["--kernel", kernel, "--initrd", str(image), "--append", "console=ttyS0"]
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


def test_suspend_of_two_processors_at_work_resumes_them(vmwb: Vmwb, tmp_path: Path) -> None:
    vmwb.ok("create", "two", *machine(tmp_path, 2))
    vmwb.ok("start", "two", "--headless")
    vmwb.wait("two", "--serial", "processors: 2", seconds=BOOT_SECONDS)

    vmwb.ok("suspend", "two", seconds=120)
    vmwb.ok("resume", "two", seconds=120)

    vmwb.wait("two", "--serial", f"counted: {2 * ROUNDS}", seconds=BOOT_SECONDS)
