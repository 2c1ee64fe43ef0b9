"""Random images of every topic on both processors: counts, differences, seeds that repeat them.

    .venv/bin/python tests/conformance/campaign.py --count 200 [--topic "task switches"] [--seed 1]
    .venv/bin/python tests/conformance/campaign.py --topic "task switches" --only 123   # one image

A difference that known.py explains is counted apart; any other ends in a line with the command that
repeats it, and in the exit status. The images of a topic depend on the topic and the seed alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import known
import topics_memory
import topics_programs
import topics_segments
import topics_transfers
import topics_vectors
from bochs import Oracle
from compare import differences
from engine import Engine, build
from images import Image

TOPICS: dict[str, Callable[[Random], Image]] = {
    **topics_segments.TOPICS,
    **topics_transfers.TOPICS,
    **topics_memory.TOPICS,
    **topics_programs.TOPICS,
    **topics_vectors.TOPICS,
}


@dataclass(slots=True)
class Tally:
    """What a topic's images came to."""

    compared: int = 0
    steps: int = 0
    gave_up: int = 0
    known: Counter[str] = field(default_factory=Counter)
    vectors: Counter[int] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, list[str]]] = field(default_factory=list)


def image_of(topic: str, seed: int) -> Image:
    """Return the image that a seed names."""
    return TOPICS[topic](Random(seed << 32 | zlib.crc32(topic.encode())))


def seeds(seed: int, count: int) -> Iterator[int]:
    """Return the seeds of a run: `count` of them from `seed` times a million on."""
    return iter(range(seed * 1_000_000, seed * 1_000_000 + count))


def run(topic: str, numbers: Iterator[int], engine: Engine, oracle: Oracle) -> Tally:
    """Run images of a topic and return what they came to."""
    tally = Tally()
    for number in numbers:
        image = image_of(topic, number)
        theirs = oracle.run(image)
        if theirs.end.startswith(("the oracle gave up", "it loops")):
            tally.gave_up += 1
            continue
        ours = engine.run(image)
        tally.compared += 1
        tally.steps += len(theirs.trace)
        tally.vectors.update(vector for _, vector, _ in theirs.exceptions)
        texts = differences(image, ours, theirs)
        if not texts:
            tally.forms.update(ours.forms)
            continue
        why = known.reason(topic, image, ours, theirs, texts)
        if why:
            tally.known[why] += 1
        else:
            tally.wrong.append((number, texts))
    return tally


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 1 when anything differs without a reason."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topic", action="append", choices=sorted(TOPICS))
    parser.add_argument("--count", type=int, default=100, help="images of each topic")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one image; written to image.json")
    parser.add_argument("--json", type=Path, help="write the counts there")
    options = parser.parse_args(arguments)
    build()
    topics = options.topic or list(TOPICS)
    counts: dict[str, dict[str, object]] = {}
    bad = 0
    oracle = Oracle()
    with Engine() as engine:
        for topic in topics:
            numbers = (
                iter([options.only])
                if options.only is not None
                else seeds(options.seed, options.count)
            )
            tally = run(topic, numbers, engine, oracle)
            bad += len(tally.wrong)
            _print(topic, tally)
            counts[topic] = {
                "compared": tally.compared,
                "steps": tally.steps,
                "gave_up": tally.gave_up,
                "known": dict(tally.known),
                "wrong": len(tally.wrong),
                "forms": dict(tally.forms),
            }
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(counts, indent=1), encoding="utf-8")
    if options.only is not None:
        path = Path("build") / "conformance" / "image.json"
        path.write_text(json.dumps(image_of(topics[0], options.only).to_json()), encoding="utf-8")
        print(f"image in {path}: show.py --file {path}")
    return int(bad > 0)


def _print(topic: str, tally: Tally) -> None:
    known_count = sum(tally.known.values())
    print(
        f"{topic:<28} {tally.compared:7} compared {tally.steps:8} steps "
        f"{len(tally.wrong):5} differ {known_count:5} known {tally.gave_up:4} given up",
        flush=True,
    )
    shapes: dict[str, list[tuple[int, list[str]]]] = {}
    for number, texts in tally.wrong:
        shapes.setdefault(_shape(texts), []).append((number, texts))
    for cases in sorted(shapes.values(), key=len, reverse=True)[:12]:
        number, texts = cases[0]
        print(f"  {len(cases)} x  --topic {topic!r} --only {number}")
        for text in texts[:4]:
            print(f"      {text}")


def _shape(texts: list[str]) -> str:
    """Return what differs without the values, to tell kinds of differences apart."""
    return " ".join(
        text.split()[2] if text.startswith("step") else text.split()[0] for text in texts
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
