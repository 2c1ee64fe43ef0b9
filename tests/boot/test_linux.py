"""Stock Debian kernels, as they come out of their packages, to their shells."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import first_run
import guests
import initramfs
import pytest
from command import BOOT_SECONDS, SHELL, Vmwb

pytestmark = [pytest.mark.boot, pytest.mark.timeout(BOOT_SECONDS * 3)]

ON_SERIAL = "console=ttyS0 rdinit=/bin/sh"
#: A first process that does something, says so, and switches the machine off: at a point of its own
#: choice, or, with `hold=1` on the kernel's command line, when it has read a line (until then it
#: says so every second).
SHORT_INIT = b"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
/bin/busybox sha256sum /bin/busybox
echo "the end is reached"
while [ "$hold" ] && ! read -t 1 line; do echo "the end is reached"; done
/bin/busybox poweroff -f
"""
LAST_WORDS = "the end is reached"


@dataclass(frozen=True, slots=True)
class ShortRun:
    """What must be the same each time a deterministic machine runs: its output, to the count."""

    output: str
    retired: int


def machine(architecture: str, append: str = ON_SERIAL) -> list[str]:
    """Return the machine options that boot a stock kernel."""
    guest = guests.linux(architecture)
    return ["--kernel", str(guest.kernel), "--initrd", str(guest.initrd), "--append", append]


def short_machine(
    folder: Path,
    kernel: Path | None = None,
    architecture: str = "amd64",
    append: str = "console=ttyS0",
) -> list[str]:
    """Return the options of a machine whose first process ends by itself."""
    busybox = guests.busybox(architecture).read_bytes()
    entries = [
        *(initramfs.folder(name) for name in ("bin", "dev")),
        *(
            initramfs.console(),
            initramfs.program("bin/busybox", busybox),
            initramfs.program("init", SHORT_INIT),
        ),
    ]
    image = folder / "short.cpio.gz"
    image.write_bytes(initramfs.archive(entries))
    chosen = str(kernel or guests.linux(architecture).kernel)
    return ["--kernel", chosen, "--initrd", str(image), "--append", append]


def run_short(vmwb: Vmwb, folder: Path) -> ShortRun:
    """Run the short machine in deterministic mode to the point where it switches itself off."""
    stats = folder / "stats.json"
    options = ("--deterministic", "--stats", stats, *short_machine(folder))
    done = vmwb.run("run", "--headless", *options, seconds=BOOT_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert LAST_WORDS in done.stdout
    return ShortRun(done.stdout, json.loads(stats.read_text())["retired"])


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> ShortRun:
    """Give the first run of the short machine: tests compare with it and take moments from it."""
    with TemporaryDirectory(prefix="vmwb-") as home:
        return run_short(Vmwb(Path(home)), tmp_path_factory.mktemp("short"))


@pytest.mark.parametrize("architecture", ["amd64", "i386"])
def test_run_stock_kernel_reaches_its_shell(vmwb: Vmwb, architecture: str) -> None:
    options = machine(architecture)

    done = vmwb.run("run", "--headless", *options, "--until-serial", SHELL, seconds=BOOT_SECONDS)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert SHELL in done.stdout


@pytest.mark.parametrize(
    ("flavour", "architecture"), [("cloud-amd64", "amd64"), ("686-pae", "i386")]
)
def test_run_other_stock_kernels_reach_their_end(
    vmwb: Vmwb, tmp_path: Path, flavour: str, architecture: str
) -> None:
    options = short_machine(tmp_path, guests.kernel(flavour, architecture), architecture)

    done = vmwb.run("run", "--headless", *options, seconds=BOOT_SECONDS)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert LAST_WORDS in done.stdout


def test_library_machine_answers_on_both_consoles(vmwb: Vmwb) -> None:
    vmwb.ok("create", "deb", *machine("amd64", first_run.COMMAND_LINE))
    vmwb.ok("start", "deb", "--headless")
    vmwb.wait("deb", "--serial", SHELL, seconds=BOOT_SECONDS)

    vmwb.ok("send", "deb", "uname -a\n")
    vmwb.wait("deb", "--serial", "x86_64", seconds=60)

    vmwb.ok("type", "deb", "echo screen $((6*7))\n")
    vmwb.wait("deb", "--screen", "screen 42", seconds=60)
    assert "screen 42" in vmwb.ok("text", "deb")

    vmwb.ok("suspend", "deb", seconds=120)
    vmwb.ok("resume", "deb", seconds=120)
    vmwb.ok("send", "deb", "echo again $((7*8))\n")
    vmwb.wait("deb", "--serial", "again 56", seconds=60)
    vmwb.ok("stop", "deb")


def test_run_deterministic_twice_is_the_same_run(
    vmwb: Vmwb, tmp_path: Path, short_run: ShortRun
) -> None:
    assert run_short(vmwb, tmp_path) == short_run


@pytest.mark.timeout(0)  # a soak asks for many points; each wait below has its own deadline
def test_suspend_at_random_points_of_a_boot_resumes_in_a_new_process(
    vmwb: Vmwb, tmp_path: Path, short_run: ShortRun, pytestconfig: pytest.Config
) -> None:
    # Letters only: numbers in the kernel's messages differ from boot to boot.
    boot = short_run.output.partition(LAST_WORDS)[0]
    messages = sorted(set(re.findall(r"\] ([A-Z][A-Za-z ]{11,30})", boot)))
    seed = random.SystemRandom().randrange(1 << 32)
    marks = random.Random(seed).choices(messages, k=pytestconfig.getoption("--suspend-points"))
    print(f"seed {seed}: suspending at {marks}")
    # It holds at its end, so that it is still there to be looked at, however late it was suspended.
    vmwb.ok("create", "deb", *short_machine(tmp_path, append="console=ttyS0 hold=1"))

    for mark in marks:
        vmwb.ok("start", "deb", "--headless")
        vmwb.wait("deb", "--serial", mark, seconds=BOOT_SECONDS)
        vmwb.ok("suspend", "deb", seconds=120)
        vmwb.ok("resume", "deb", seconds=120)
        vmwb.wait("deb", "--serial", LAST_WORDS, seconds=BOOT_SECONDS)
        vmwb.ok("send", "deb", "\n")
        vmwb.wait("deb", "--state", "off", seconds=60)
