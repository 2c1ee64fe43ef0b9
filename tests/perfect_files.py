"""Fail unless every branch of the files that must be perfect is run by their unit tests.

Run it from the root of the checkout: `python tests/perfect_files.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PERFECT_FILES: Final = (
    "vmwb/model/power.py",
    "vmwb/ipc/connection.py",
    "vmwb/ipc/framebuffer.py",
    "vmwb/ipc/framing.py",
    "vmwb/ipc/launch.py",
    "vmwb/ipc/messages.py",
    "vmwb/ipc/platform_linux.py",
)


def main() -> int:
    """Run the tests under coverage and name what is not covered."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = [
            *(sys.executable, "-m", "pytest", "--quiet", "tests/unit/ipc", "tests/unit/model"),
            *("--cov=vmwb.ipc", "--cov=vmwb.model", "--cov-branch", f"--cov-report=json:{report}"),
        ]
        tests = subprocess.run(command, cwd=ROOT, check=False)
        if tests.returncode != 0:
            return tests.returncode
        files = json.loads(report.read_text())["files"]
    faults = [fault for name in PERFECT_FILES for fault in uncovered(name, files.get(name))]
    print("\n".join(faults) or "All branches of the perfect files are tested.")
    return 1 if faults else 0


def uncovered(name: str, found: dict[str, object] | None) -> list[str]:
    """Give a line for each line and branch that no test runs."""
    if found is None:
        return [f"{name} is not imported by any test."]
    lines = [f"{name}:{line} is not run" for line in found["missing_lines"]]
    return lines + [f"{name}:{a} never goes on to {b}" for a, b in found["missing_branches"]]


if __name__ == "__main__":
    sys.exit(main())
