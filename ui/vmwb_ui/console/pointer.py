"""The pointer of a screen: places or movements for the guest, and how many of them. Pure logic.

A guest either takes places (it has a driver for an absolute pointer) or movements, as from a mouse.
A hand and a fast mouse give a thousand of them a second; ``Steps`` joins what still waits, so that
the newest place and the sum of all movements arrive, and every press of a button where it happened.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from vmwb.services.types import Motion, Place

LEFT: Final = 1
RIGHT: Final = 2
MIDDLE: Final = 4
PLACE_MAX: Final = 0xFFFF
WHEEL_MAX: Final = 127
WHEEL_STEP: Final = 120
# Presses that wait for a machine that does not take them; more than a hand makes in a second.
STEPS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the pointer: where it is or how it moved, steps of the wheel, buttons down."""

    place: Place | Motion
    wheel: int = 0
    buttons: int = 0


def place_of(x: float, y: float, width: float, height: float) -> Place:
    """Give the place on the guest's screen of a point in its picture; outside, the nearest."""
    return Place(_scaled(x, width), _scaled(y, height))


def _scaled(at: float, length: float) -> int:
    return max(0, min(PLACE_MAX, round(at * PLACE_MAX / max(1.0, length - 1))))


class Wheel:
    """Makes whole steps of the fine turns that some mice and all touch pads report."""

    def __init__(self) -> None:
        self._rest = 0

    def turned(self, angle: int) -> int:
        """Turn by eighths of a degree, away from the user; give the steps that are full."""
        self._rest += angle
        steps = int(self._rest / WHEEL_STEP)
        self._rest -= steps * WHEEL_STEP
        return steps


class Steps:
    """Steps on their way to the guest, in order."""

    def __init__(self) -> None:
        self._waiting: deque[Step] = deque()
        self._buttons = 0
        self._last_pressed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, step: Step) -> None:
        """Queue a step; it is joined with the one before if neither moved a button."""
        pressed = step.buttons != self._buttons
        self._buttons = step.buttons
        last = self._waiting[-1] if self._waiting else None
        full = len(self._waiting) >= STEPS_MAX
        if last is not None and (full or not (pressed or self._last_pressed)):
            self._waiting[-1] = _joined(last, step)
            return
        self._waiting.append(step)
        self._last_pressed = pressed

    def take(self) -> Step:
        """Take the oldest step out."""
        return self._waiting.popleft()


def _joined(first: Step, second: Step) -> Step:
    place: Place | Motion = second.place
    if isinstance(first.place, Motion) and isinstance(second.place, Motion):
        place = Motion(
            _bounded(first.place.dx + second.place.dx, PLACE_MAX),
            _bounded(first.place.dy + second.place.dy, PLACE_MAX),
        )
    return Step(place, _bounded(first.wheel + second.wheel, WHEEL_MAX), second.buttons)


def _bounded(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


class Travel:
    """Movements of a mouse whose cursor is put back to the middle before it meets an edge.

    Events from before a jump of the cursor may still arrive after it; they are told apart by which
    of the two ends of the jump they are nearer to.
    """

    def __init__(self, x: int, y: int) -> None:
        self._last = (x, y)
        self._left: tuple[int, int] | None = None

    def moved(self, x: int, y: int) -> Motion:
        """Come to a point; give the way from the one before."""
        at = (x, y)
        if self._left is not None:
            if _distance(at, self._left) < _distance(at, self._last):
                before, self._left = self._left, at
                return Motion(x - before[0], y - before[1])
            self._left = None
        before, self._last = self._last, at
        return Motion(x - before[0], y - before[1])

    def jumped(self, x: int, y: int) -> None:
        """The cursor was put somewhere."""
        self._left, self._last = self._last, (x, y)


def _distance(one: tuple[int, int], other: tuple[int, int]) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])
