"""`make bench`: our engine beside QEMU's translator and the host, in turn, in one go.

Builds the workload, runs every peer as often as asked, checks that all checksums agree, prints the
tables and writes docs/benchmarks.md (only a complete run does). `--kernels`, `--architecture`,
`--disks`, `--screen` and `--repeats` narrow it down for work.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence, Set
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))

import disks
import footprint
import peers
import publishing
import report
import workload

DOCUMENT = peers.ROOT / "docs" / "benchmarks.md"
#: What is measured beside boots and kernels, and can be measured alone.
PARTS = ("disks", "screen")
SUITE_SECONDS = 1800.0
BOOT_SECONDS = 300.0


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; 1 if a checksum differs or a peer fails."""
    options = _options(arguments)
    kernels = tuple(options.kernels.split(",")) if options.kernels else ()
    unknown = [name for name in kernels if name not in workload.KERNELS]
    if unknown:
        print(f"No such kernel: {', '.join(unknown)}", file=sys.stderr)
        return 2
    architectures: Sequence[str] = workload.ARCHITECTURES
    if options.architecture:
        architectures = [options.architecture]
    alone = {part for part in PARTS if getattr(options, part)}
    if alone:
        architectures = []
    complete = not kernels and len(architectures) == len(workload.ARCHITECTURES)
    parts = set(PARTS) if complete else alone
    if architectures or "disks" in parts:
        _build_runner()
    with tempfile.TemporaryDirectory(prefix="vmwb-bench-") as folder:
        try:
            text, equal = _measure(
                architectures, kernels, options.repeats, complete, parts, Path(folder)
            )
        except peers.PeerError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"\n{text}")
    if complete:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(text, encoding="utf-8")
    return int(not equal)


def _measure(
    architectures: Sequence[str],
    kernels: tuple[str, ...],
    repeats: int,
    complete: bool,
    parts: Set[str],
    folder: Path,
) -> tuple[str, bool]:
    """Run everything; return the document and whether all checksums agree."""
    all_results: list[report.Results] = []
    loads = {name: workload.build(name, folder) for name in architectures}
    for name, load in loads.items():
        results = report.Results(name)
        for repeat in range(1, repeats + 1):
            _round(load, results, kernels, folder, f"{name} {repeat}/{repeats}")
        all_results.append(results)
    moved = disks.measure(folder, repeats) if "disks" in parts else None
    worker = footprint.measure(loads["amd64"]) if complete else None
    screen = publishing.measure() if "screen" in parts else None
    equal = all(row.equal for results in all_results for row in report.rows(results))
    equal = equal and (moved is None or moved.equal)
    return report.document(all_results, moved, worker, screen, repeats), equal


def _round(
    load: workload.Workload,
    results: report.Results,
    kernels: tuple[str, ...],
    folder: Path,
    label: str,
) -> None:
    """Let every peer run once."""
    print(f"{label}: native", flush=True)
    results.suites.setdefault("native", []).append(peers.run_native(load, kernels, folder))
    for peer in peers.PEERS:
        print(f"{label}: {peer}", flush=True)
        boot = peers.run(peer, load, "boot", (), BOOT_SECONDS)
        results.boots.setdefault(peer, []).append(boot)
        mode = "some" if kernels else "all"
        suite = peers.run(peer, load, mode, kernels, SUITE_SECONDS)
        results.suites.setdefault(peer, []).append(suite)


def _build_runner() -> None:
    """Build the Rust-only runner with the profile of the product."""
    command = ["cargo", "build", "--quiet", "--release", "--package", "vmwb-run"]
    subprocess.run(command, cwd=peers.ROOT / "core", check=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure this engine beside QEMU and the host.")
    parser.add_argument("--repeats", type=int, default=3, help="runs of every peer (default: 3)")
    parser.add_argument("--kernels", help="only these, with commas; writes no document")
    parser.add_argument("--architecture", choices=workload.ARCHITECTURES, help="only this one")
    for part in PARTS:
        only = f"only the {part}; writes no document"
        parser.add_argument(f"--{part}", action="store_true", help=only)
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
