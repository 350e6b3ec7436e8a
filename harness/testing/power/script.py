"""What a board draws, written beforehand: watts over the time since its load began, and their joules.

Power is a staircase, for that is what a chip's register holds: a ramp has a step per tick. Pure; knows no chip.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

LENGTH_S = 9.0
"""Longer than a load lasts; the last step holds."""
TICK_S = 0.005


@dataclass(frozen=True, slots=True)
class Event:
    """A text that is written to a file of the board at a moment of the load."""

    at_s: float
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Script:
    """Power at rest and, from the moment a load begins, step by step."""

    idle_w: float
    steps: tuple[tuple[float, float], ...]
    """(seconds since the load began, watts), rising in time, the first one at 0."""
    events: tuple[Event, ...] = ()
    stuck_after_s: float | None = None
    """From this moment of the load on the sensor shows what it showed then, at rest too; its joules go on."""

    def joules(self, start_s: float, end_s: float) -> float:
        """Integrate from one moment after the load began to another."""
        return self._until(end_s) - self._until(start_s)

    def _until(self, at_s: float) -> float:
        count = max(1, bisect.bisect_left(self.steps, (at_s,)))
        ends = [begin for begin, _ in self.steps[1:count]] + [at_s]
        return sum(watts * (end - begin) for (begin, watts), end in zip(self.steps[:count], ends, strict=True))


def steps(*pairs: tuple[float, float], idle_w: float = 2.0) -> Script:
    """Make a script of (seconds since the load began, watts)."""
    return Script(idle_w, pairs)


def ramp(first_w: float, last_w: float, *, idle_w: float = 2.0) -> Script:
    """Rise or fall evenly over LENGTH_S."""
    count = round(LENGTH_S / TICK_S)
    slope = (last_w - first_w) / count
    return Script(idle_w, tuple((k * TICK_S, first_w + slope * (k + 0.5)) for k in range(count)))


def bursts(low_w: float, high_w: float, *, width_s: float, period_s: float, idle_w: float = 2.0) -> Script:
    """Draw `high_w` for `width_s` in each period."""
    edges: Iterable[float] = (k * period_s for k in range(int(LENGTH_S / period_s)))
    pairs = tuple(pair for edge in edges for pair in ((edge, high_w), (edge + width_s, low_w)))
    return Script(idle_w, pairs)
