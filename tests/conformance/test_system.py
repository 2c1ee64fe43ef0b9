"""A sample of random images of every topic on both processors; `make soak` runs millions."""

from __future__ import annotations

from collections.abc import Iterator

import campaign
import known
import pytest
from bochs import Oracle
from engine import Engine, build
from images import Image, Outcome, Registers

#: Images of each topic, and their first seed.
COUNT = 40
SEED = 1


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    build()
    with Engine() as running:
        yield running


@pytest.mark.parametrize("topic", sorted(campaign.TOPICS))
def test_topic_does_what_the_oracle_does(topic: str, engine: Engine, oracle: Oracle) -> None:
    tally = campaign.run(topic, campaign.seeds(SEED, COUNT), engine, oracle)

    assert tally.wrong == [], f"campaign.py --topic '{topic}' --only <number> repeats one"
    assert tally.compared >= COUNT // 2


def test_images_depend_on_topic_and_seed_alone() -> None:
    first = [campaign.image_of(topic, 7) for topic in campaign.TOPICS]
    again = [campaign.image_of(topic, 7) for topic in campaign.TOPICS]

    assert first == again


def test_oracle_tells_a_triple_fault(oracle: Oracle) -> None:
    base = campaign.image_of("exceptions", 1)
    image = Image(base.registers.but(idtr=(0, 0)), (*base.memory, (0x8000, b"\x0f\x0b")), 3)

    assert oracle.run(image).end == "triple"


def test_difference_is_found(engine: Engine, oracle: Oracle) -> None:
    image = campaign.image_of("16-bit arithmetic", 1)
    ours, theirs = engine.run(image), oracle.run(image)
    wrong = Outcome(
        tuple(Registers.but(r, rdx=r.gpr[2] ^ 1) for r in ours.trace), ours.end, ours.memory
    )

    assert campaign.differences(image, ours, theirs) == []
    assert campaign.differences(image, wrong, theirs) != []


def test_no_reason_is_given_for_a_difference_without_one() -> None:
    image = campaign.image_of("16-bit arithmetic", 1)
    outcome = Outcome((), "halt", ())

    assert known.reason("x", image, outcome, outcome, ["step 1: rax 1, theirs 2"]) == ""
