"""The events that are kept for those who come later.

Bounded, but what still holds does not get lost with age: of an event that tells a lasting state,
such as how the guest takes the pointer, the last one stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from vmwb.model.events import DisplayEvent, Event, PointerEvent, PowerEvent

#: What these say holds until the next of their kind.
LASTING: Final = (PowerEvent, PointerEvent, DisplayEvent)


class Backlog:
    """The last events in their order, and before them the last of each lasting kind."""

    def __init__(self, most: int) -> None:
        """Keep ``most`` events, beside the lasting ones that are older."""
        self._most = most
        self._lasting: dict[str, Event] = {}
        self._recent: deque[Event] = deque()

    def add(self, event: Event) -> None:
        """Keep an event; the oldest makes room."""
        self._recent.append(event)
        if len(self._recent) > self._most:
            oldest = self._recent.popleft()
            if isinstance(oldest, LASTING):
                # The newest goes to the end, so that the order stays that of the numbers.
                self._lasting.pop(oldest.kind, None)
                self._lasting[oldest.kind] = oldest

    def __iter__(self) -> Iterator[Event]:
        """Give what is kept, in the order of its numbers."""
        yield from self._lasting.values()
        yield from self._recent
