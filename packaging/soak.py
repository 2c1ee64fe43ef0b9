"""`make soak HOURS=n`: rounds of the long tests until the hours are over; a line for docs/soak.md.

A round boots a stock kernel again and again, suspends it at random points, resumes it in a new
process and insists that the boot completes; then it cuts the power of disk images again and again
and opens damaged ones, and lets hostile guests loose on whole boards (board/fuzz in vmwb-machine);
then Debian lives on disks of its own (packaging/disk_soak.py) and its
desktop is used beside QEMU (packaging/desktop_soak.py), and stress-ng keeps several processors busy
(packaging/stress_soak.py; all three need the rights of root for debootstrap); then memtest86+
makes its first pass (packaging/memory_soak.py); then it compares the processor with every oracle
(packaging/conformance.py), which adds to docs/conformance.md. At least one round always runs, and
the first failure ends the soak.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import system_packages

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "soak.md"
HEADING = """# Soak

What `make soak` ran and how it ended. Hours and rounds add up over the life of the project.

| date | commit | hours | rounds | suspended and resumed | power cuts of disks | result |
|---|---|--:|--:|--:|--:|---|
"""
#: Random points of a boot per round.
POINTS = 50
#: Power cuts of disk images per round, and damaged images.
CUTS = 20_000
DAMAGED = 20_000
#: Programs of hostile guests per round.
HOSTILE = 5_000
#: Samples of the comparisons per round, times those of `make test`.
SCALE = 20.0


def main(arguments: Sequence[str]) -> int:
    """Run rounds and record them; 1 if one failed."""
    parser = argparse.ArgumentParser(description="Run the long tests.")
    parser.add_argument("--hours", type=float, default=1.0, help="begin no round after this")
    parser.add_argument("--points", type=int, default=POINTS, help="suspends per round")
    parser.add_argument("--cuts", type=int, default=CUTS, help="power cuts per round")
    parser.add_argument("--scale", type=float, default=SCALE, help="samples of conformance")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    rounds, status = 0, 0
    while status == 0 and (rounds == 0 or time.monotonic() - started < options.hours * 3600):
        rounds += 1
        print(f"=== round {rounds}", flush=True)
        status = (
            _round(options.points)
            or _images(options.cuts)
            or _boards()
            or _guest("disks", "disk_soak.py")
            or _guest("desktop", "desktop_soak.py")
            or _guest("disks", "stress_soak.py")
            or _memory()
            or _conformance(options.scale)
        )
    hours = (time.monotonic() - started) / 3600
    _record(hours, rounds, options.points, options.cuts, passed=status == 0)
    return int(status != 0)


def _round(points: int) -> int:
    tests = ["tests/boot/test_linux.py", "-k", "suspend or deterministic"]
    command = [sys.executable, "-m", "pytest", *tests, f"--suspend-points={points}"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _images(cuts: int) -> int:
    """Cut the power of disk images and open damaged ones; every round takes other cuts."""
    seed = random.SystemRandom().randrange(1 << 40)
    print(f"power cuts from seed {seed}", flush=True)
    command = ["cargo", "test", "--manifest-path=core/Cargo.toml", "--package=vmwb-block"]
    asked = {
        "VMWB_POWER_CUTS": str(cuts),
        "VMWB_POWER_SEED": str(seed),
        "VMWB_FUZZ_CASES": str(DAMAGED),
    }
    tests = ["--test=power", "--test=hostile"]
    environment = {**os.environ, **asked}
    return subprocess.run([*command, *tests], cwd=ROOT, check=False, env=environment).returncode


def _boards() -> int:
    """Run programs of hostile guests on whole boards; every round draws others."""
    command = ["cargo", "test", "--manifest-path=core/Cargo.toml", "--package=vmwb-machine"]
    environment = {**os.environ, "VMWB_FUZZ_CASES": str(HOSTILE)}
    return subprocess.run(
        [*command, "board::fuzz"], cwd=ROOT, check=False, env=environment
    ).returncode


def _guest(group: str, program: str) -> int:
    """Run one of the soaks of Debian guests, with the group of system packages that it needs."""
    try:
        system_packages.ensure([group])
    except system_packages.MissingPackagesError as error:
        print(error, file=sys.stderr)
        return 1
    command = [sys.executable, f"packaging/{program}"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _memory() -> int:
    """Run memtest86+ to the end of its first pass."""
    command = [sys.executable, "packaging/memory_soak.py"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _conformance(scale: float) -> int:
    command = [sys.executable, "packaging/conformance.py", f"--scale={scale}"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _record(hours: float, rounds: int, points: int, cuts: int, *, passed: bool) -> None:
    """Append one line to the record."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    RECORD.parent.mkdir(exist_ok=True)
    known = RECORD.read_text(encoding="utf-8") if RECORD.exists() else HEADING
    result = "passed" if passed else "failed in the last round"
    cells = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        commit,
        f"{hours:.1f}",
        rounds,
        rounds * points,
        rounds * cuts,
        result,
    ]
    # The table comes first; sections may follow it.
    table, section, rest = known.partition("\n## ")
    row = f"| {' | '.join(map(str, cells))} |\n"
    RECORD.write_text(f"{table}{row}{section}{rest}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
