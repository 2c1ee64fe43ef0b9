from __future__ import annotations

from vmwb.model.backlog import Backlog
from vmwb.model.events import Event, LogEvent, PointerEvent, PowerEvent
from vmwb.model.power import PowerState


def kept(most: int, *events: Event) -> list[int]:
    backlog = Backlog(most)
    for event in events:
        backlog.add(event)
    return [event.seq for event in backlog]


def line(seq: int) -> LogEvent:
    return LogEvent(seq=seq, level="info", message="")


def test_backlog_with_room_keeps_everything() -> None:
    assert kept(3, line(1), line(2), line(3)) == [1, 2, 3]


def test_full_backlog_drops_the_oldest() -> None:
    assert kept(2, line(1), line(2), line(3)) == [2, 3]


def test_full_backlog_keeps_the_last_of_what_lasts() -> None:
    events = (
        PowerEvent(seq=1, state=PowerState.RUNNING),
        PointerEvent(seq=2, absolute=True),
        PointerEvent(seq=3, absolute=False),
        PowerEvent(seq=4, state=PowerState.PAUSED),
        *(line(seq) for seq in range(5, 9)),
    )

    assert kept(2, *events) == [3, 4, 7, 8]


def test_what_lasts_stays_in_the_order_of_its_numbers() -> None:
    events = (
        PointerEvent(seq=1, absolute=True),
        PowerEvent(seq=2, state=PowerState.RUNNING),
        PointerEvent(seq=3, absolute=False),
        line(4),
    )

    assert kept(1, *events) == [2, 3, 4]
