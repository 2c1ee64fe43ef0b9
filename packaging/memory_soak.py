"""memtest86+ to the end of its first pass: both widths, on one and on four processors.

A part of every round of `make soak`; alone: ``.venv/bin/python packaging/memory_soak.py``. The
program itself says what it found: a line with ``Pass:  1`` when the pass is over, and a count of
errors, which must stay 0.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import debian_guests
import debian_packages

MEMORY = "32M"
PROCESSORS = (1, 4)
#: The pass takes about a minute of a processor that does nothing else.
PASS_SECONDS = 1800
PASSED = "Pass:  1"
_ERRORS = re.compile(r"Errors: (\d+)")


class MemtestError(Exception):
    """The first pass did not end, or found errors; the text says what."""


def first_pass(kernel: Path, processors: int, folder: Path) -> float:
    """Run the program until its first pass is over and return the worker's CPU seconds.

    Raises MemtestError when the pass does not end in time, finds errors or the machine stops.
    """
    serial, stats = folder / "serial", folder / "stats.json"
    command: list[str | Path] = [
        *(Path(sys.executable).with_name("vmwb"), "run", "--headless", "--kernel", kernel),
        *("--append", "console=ttyS0,115200", "--memory", MEMORY, "--cpus", str(processors)),
        *("--serial", f"file:{serial}", "--until-serial", PASSED, "--stats", stats),
        *("--timeout", str(PASS_SECONDS)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = serial.read_text(errors="replace") if serial.exists() else ""
    if done.returncode != 0:
        last = done.stderr or said[-500:]
        raise MemtestError(f"The pass did not end ({done.returncode}): {last}")
    found = {int(count) for count in _ERRORS.findall(said)}
    if found != {0}:
        raise MemtestError(f"It counted errors: {sorted(found)}.")
    return float(json.loads(stats.read_text())["cpu_seconds"])


def main() -> int:
    """Run all and tell how long each took; 1 if one failed."""
    for width in ("x64", "ia32"):
        for processors in PROCESSORS:
            with tempfile.TemporaryDirectory(prefix="vmwb-") as folder:
                try:
                    seconds = first_pass(
                        debian_guests.memtest(width=width), processors, Path(folder)
                    )
                except (MemtestError, debian_packages.FetchError) as error:
                    print(f"{width} on {processors}: {error}", file=sys.stderr)
                    return 1
            print(f"{width} on {processors}: first pass in {seconds:.0f} CPU seconds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
