"""`make conformance`: compare the processor with every oracle, and write docs/conformance.md.

Runs the comparisons of the Rust tests (host in 64-, 32- and 16-bit code, lockstep, hostile states)
and the images of tests/conformance with as many samples as asked for, from seeds that no run had
before. What they counted is added to docs/conformance.json, from which the page is written, so that
the counts are those of the project's life. A difference is counted too, named with its seed, and
makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "conformance.json"
PAGE = ROOT / "docs" / "conformance.md"
FOLDER = ROOT / "build" / "conformance"
RUNNER = ROOT / "core" / "target" / "debug" / "vmwb-conform"
sys.path.insert(0, str(ROOT / "tests" / "conformance"))

#: Samples of a run with scale 1: of each form, programs of each mode, states, images of each topic.
SAMPLES = {"differential": 400, "compat": 150, "lockstep": 40, "hostile": 600}
IMAGES = 100
#: Columns of the page.
ORACLES = ("host, 64-bit code", "host, 32-bit code", "host, 16-bit code", "Bochs")

HEAD = """# Conformance

What the processor has been compared with, and how often, over the life of the project. Written by
`make conformance` and by every round of `make soak` from docs/conformance.json.

{runs} runs, the last on {last}. {known} of {all} instruction forms have been compared, {total:,}
times together; the others have a reason in the table, and a test fails when one has neither.

## System level: images beside the Bochs processor

An image is a random state with tables and a short program; registers with hidden parts are compared
behind each step, memory at the end. `known`: images that differ for a reason of the list below;
`differ`: without one, and so looked into and mended, or given one, since.

| topic | images | steps | known | differ | oracle gave up |
|---|--:|--:|--:|--:|--:|"""
LIMITS = """
The oracle's limits: no hardware interrupts, no breakpoints by debug registers, no ports (an IN or
OUT ends it). Those have tests of their own under `core/crates/vmwb-x86/tests`.

### Differences with a reason

| images | reason |
|--:|---|"""
ENGINES = """
## Engines

- Lockstep of cached traces and single steps: {lockstep:,} random programs of 20,000 instructions,
  with code that changes itself, faults, devices, interrupts and NMIs at random counts.
- Hostile states run to the end of their budget: {hostile:,}.

## Instruction forms
"""


def main(arguments: Sequence[str]) -> int:
    """Run everything once, record it, and return the exit status."""
    parser = argparse.ArgumentParser(description="Compare the processor with every oracle.")
    parser.add_argument("--scale", type=float, default=1.0, help="times the samples of make test")
    parser.add_argument("--page-only", action="store_true", help="write the page from the counts")
    options = parser.parse_args(arguments)
    data = read()
    same = True
    if not options.page_only:
        same = run(options.scale, data)
        data["runs"] += 1
        data["last"] = f"{datetime.now(UTC):%Y-%m-%d}"
        DATA.write_text(json.dumps(data, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")
    return int(not same)


def read() -> dict[str, Any]:
    """Return the counts so far."""
    empty = {"runs": 0, "last": "", "forms": {}, "topics": {}, "engines": {}, "known": {}}
    return json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else empty


def run(scale: float, data: dict[str, Any]) -> bool:
    """Run all comparisons and add up what they counted; tell whether nothing differed."""
    seed = int(time.time())
    same = True
    counts = FOLDER / "counts"
    for old in counts.glob("*.json"):
        old.unlink()
    for test, samples in SAMPLES.items():
        package = "vmwb-x86" if test in {"differential", "compat"} else "vmwb-conformance"
        wanted = max(1, int(samples * scale))
        environment = {
            **os.environ,
            "VMWB_SEED": str(seed),
            "VMWB_SAMPLES": str(wanted),
            "VMWB_COUNTS": str(counts),
        }
        print(f"=== {test}: {wanted} samples, VMWB_SEED={seed}", flush=True)
        command = ["cargo", "test", "--quiet", "--manifest-path", "core/Cargo.toml", "-p", package]
        done = subprocess.run([*command, "--test", test], cwd=ROOT, env=environment, check=False)
        same = same and done.returncode == 0
        if package == "vmwb-conformance":
            engines = data["engines"]
            engines[test] = engines.get(test, 0) + wanted * (3 if test == "lockstep" else 1)
    images = FOLDER / "campaign.json"
    command = [sys.executable, "tests/conformance/campaign.py", "--seed", str(seed % 1_000_000)]
    command += ["--count", str(max(1, int(IMAGES * scale))), "--json", str(images)]
    print("=== images beside Bochs", flush=True)
    done = subprocess.run(command, cwd=ROOT, check=False)
    add(data, counts, json.loads(images.read_text(encoding="utf-8")))
    return same and done.returncode == 0


def add(data: dict[str, Any], counts: Path, topics: dict[str, Any]) -> None:
    """Add what one run counted."""
    for file in sorted(counts.glob("*.json")):
        part = json.loads(file.read_text(encoding="utf-8"))
        for form, count in part["forms"].items():
            _bump(data["forms"].setdefault(form, {}), part["oracle"], count)
    for topic, part in topics.items():
        entry = data["topics"].setdefault(topic, {})
        for key in ("compared", "steps", "gave_up", "wrong"):
            _bump(entry, key, part[key])
        _bump(entry, "known", sum(part["known"].values()))
        for why, count in part["known"].items():
            _bump(data["known"], why, count)
        for form, count in part["forms"].items():
            _bump(data["forms"].setdefault(form, {}), "Bochs", count)


def _bump(entry: dict[str, int], key: str, count: int) -> None:
    entry[key] = entry.get(key, 0) + count


def forms() -> list[str]:
    """Return the names of all forms of the instruction table."""
    done = subprocess.run([str(RUNNER), "--forms"], capture_output=True, text=True, check=True)
    return sorted(set(json.loads(done.stdout)))


def page(data: dict[str, Any]) -> str:
    """Return docs/conformance.md."""
    import reasons  # type: ignore[import-not-found]  # beside the tests

    everything = forms()
    total = sum(sum(entry.values()) for entry in data["forms"].values())
    known = sum(any(data["forms"].get(form, {}).values()) for form in everything)
    lines = [
        HEAD.format(
            runs=data["runs"], last=data["last"], known=known, all=len(everything), total=total
        )
    ]
    for topic, entry in sorted(data["topics"].items()):
        cells = [entry[key] for key in ("compared", "steps", "known", "wrong", "gave_up")]
        lines.append(f"| {topic} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    lines.append(LIMITS)
    lines += [f"| {count:,} | {why} |" for why, count in sorted(data["known"].items())]
    engines = {name: data["engines"].get(name, 0) for name in ("lockstep", "hostile")}
    lines.append(ENGINES.format(**engines))
    lines.append(f"| form | {' | '.join(ORACLES)} | else |")
    lines.append(f"|---|{'--:|' * len(ORACLES)}---|")
    for form in everything:
        entry = data["forms"].get(form, {})
        cells = [f"{entry[o]:,}" if entry.get(o) else "" for o in ORACLES]
        why = "" if any(cells) else reasons.reason(form)
        lines.append(f"| `{form}` | {' | '.join(cells)} | {why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
