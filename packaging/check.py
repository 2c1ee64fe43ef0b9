"""Run the checks of a checkout in lanes, and close with seconds and counts per lane.

`full` is `make test`, `quick` is `make quick`, `lint` is `make lint`. A lane that fails does not
stop the others, except the set-up, without which none can run. The last line is "N passed, N
failed"; the exit status is 1 if anything failed. Each check without tests of its own (a formatter,
a linter) counts as one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "reports"
PYTHON = ROOT / ".venv" / "bin" / "python"
PYTHON_WITHOUT_QT = ROOT / "build" / "venv-without-qt" / "bin" / "python"
#: Folders of tests, by what they need.
PLAIN_TESTS = ("tests/unit", "tests/contract", "tests/tooling")
QT_TESTS = ("tests/ui",)
BOOT_TESTS = ("tests/boot",)
CONFORMANCE_TESTS = ("tests/conformance",)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many checks of a lane passed and failed."""

    passed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One command, and how to read its result."""

    name: str
    command: Sequence[str]
    count: Callable[[str, int], Counts]
    environment: tuple[tuple[str, str], ...] = ()
    needed: bool = False


def one(_output: str, status: int) -> Counts:
    """Count a command without tests of its own."""
    return Counts(int(status == 0), int(status != 0))


def cargo(output: str, status: int) -> Counts:
    """Add up the summaries that cargo's test runners (its own, or nextest) print."""
    passed = failed = 0
    for match in re.finditer(
        r"^test result: \w+\. (\d+) passed; (\d+) failed", output, re.MULTILINE
    ):
        passed, failed = passed + int(match[1]), failed + int(match[2])
    nextest = re.search(
        r"Summary \[.*?\] +\d+ tests? run: (\d+) passed(?:.*?, (\d+) failed)?", output
    )
    if nextest is not None:
        passed, failed = passed + int(nextest[1]), failed + int(nextest[2] or 0)
    return Counts(passed, failed if failed or status == 0 else 1)


def pytest_report(report: Path) -> Callable[[str, int], Counts]:
    """Return a counter that reads the JUnit report which pytest writes.

    A skipped test counts as failed: the set-up installs what a test needs, so a skip is a hole.
    """

    def count(_output: str, status: int) -> Counts:
        try:
            suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - our own
        except (OSError, ET.ParseError):
            suite = None
        if suite is None:
            return Counts(0, 1)
        failed = sum(int(suite.get(kind, "0")) for kind in ("failures", "errors", "skipped"))
        return Counts(int(suite.get("tests", "0")) - failed, failed if failed or status == 0 else 1)

    return count


def pytest_lane(
    name: str, python: Path, arguments: Sequence[str], environment: Sequence[tuple[str, str]] = ()
) -> Lane:
    """Return a lane that runs pytest in the given environment."""
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "--quiet", f"--junitxml={report}", *arguments]
    return Lane(name, command, pytest_report(report), tuple(environment))


def lanes(kind: str) -> list[Lane]:
    """Return the lanes of `full`, `quick` or `lint`, in the order in which they run."""
    manifest = ("--manifest-path", "core/Cargo.toml")
    setup = Lane("setup", [sys.executable, "packaging/setup.py"], one, needed=True)
    fmt = Lane("rust format", ["cargo", "fmt", *manifest, "--all", "--check", "--", "-l"], one)
    clippy_arguments = ("--workspace", "--all-targets", "--quiet", "--", "-D", "warnings")
    clippy = Lane("clippy", ["cargo", "clippy", *manifest, *clippy_arguments], one)
    nextest = shutil.which("cargo-nextest") is not None
    test = ["cargo", *(["nextest", "run"] if nextest else ["test", "--quiet"]), *manifest]
    rust = Lane("rust tests", [*test, "--workspace", "--no-fail-fast"], cargo)
    profile = "--cargo-profile" if nextest else "--profile"
    # Builds without optimization have no sibling calls, and must run all the same.
    loop = [*test, profile, "unoptimized", "--package", "vmwb-x86", "--test", "basics"]
    rust_loop = Lane("rust unoptimized", loop, cargo)
    python_lint = [
        Lane("ruff", [str(PYTHON), "-m", "ruff", "check", "--quiet", "."], one),
        Lane(
            "python format", [str(PYTHON), "-m", "ruff", "format", "--quiet", "--check", "."], one
        ),
        Lane("mypy", [str(PYTHON), "-m", "mypy"], one),
        Lane("doors", [str(PYTHON.with_name("lint-imports")), "--no-logo"], one),
    ]
    stubs = Lane("stubs", [str(PYTHON), "-m", "mypy.stubtest", "vmwb_core"], one)
    offscreen = (("QT_QPA_PLATFORM", "offscreen"),)
    no_boots = ("-m", "not boot and not soak")
    if kind == "lint":
        return [setup, fmt, clippy, *python_lint, stubs]
    if kind == "quick":
        plain = pytest_lane("python", PYTHON, [*PLAIN_TESTS, *no_boots])
        guest = pytest_lane("guest", PYTHON, [*BOOT_TESTS, "-m", "guest"])
        return [setup, fmt, *python_lint, plain, guest, rust]
    without_qt = Lane(
        "setup without Qt", [sys.executable, "packaging/setup.py", "--without-qt"], one
    )
    return [
        *(setup, fmt, clippy, *python_lint, stubs, rust, rust_loop, without_qt),
        pytest_lane(
            "python without Qt", PYTHON_WITHOUT_QT, ["-p", "no_qt", *PLAIN_TESTS, *no_boots]
        ),
        Lane("perfect files", [str(PYTHON), "tests/perfect_files.py"], one),
        pytest_lane("conformance", PYTHON, [*CONFORMANCE_TESTS]),
        pytest_lane("qt offscreen", PYTHON, [*QT_TESTS, *no_boots], offscreen),
        pytest_lane("guest", PYTHON, [*BOOT_TESTS, "-m", "guest"]),
        pytest_lane("boots", PYTHON, [*BOOT_TESTS, "-m", "boot"]),
    ]


def run(lane: Lane) -> tuple[Counts, float]:
    """Run one lane with its output shown, and return its counts and seconds."""
    print(f"\n=== {lane.name}", flush=True)
    started = time.monotonic()
    kept: list[str] = []
    try:
        process = subprocess.Popen(
            lane.command,
            cwd=ROOT,
            env={**os.environ, **dict(lane.environment)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        print(f"{lane.command[0]}: {error.strerror}", flush=True)
        return Counts(0, 1), 0.0
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            kept.append(line)
            print(line, end="", flush=True)
    status = process.wait()
    return lane.count("".join(kept), status), time.monotonic() - started


def main(arguments: Sequence[str]) -> int:
    """Run the lanes of the kind that was asked for, and sum up."""
    if len(arguments) != 1 or arguments[0] not in {"full", "quick", "lint"}:
        print("usage: check.py full|quick|lint", file=sys.stderr)
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, Counts, float]] = []
    for lane in lanes(arguments[0]):
        counts, seconds = run(lane)
        rows.append((lane.name, counts, seconds))
        if lane.needed and counts.failed:
            print(f"\nNothing else can run before {lane.name!r} succeeds.")
            break
    print(f"\n{'lane':<20}{'seconds':>9}{'passed':>9}{'failed':>9}")
    for name, counts, seconds in rows:
        print(f"{name:<20}{seconds:>9.1f}{counts.passed:>9}{counts.failed:>9}")
    passed, failed = (sum(getattr(row[1], part) for row in rows) for part in ("passed", "failed"))
    print(f"{'all':<20}{sum(row[2] for row in rows):>9.1f}\n\n{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
