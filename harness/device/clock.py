"""How a board's monotonic clock stands to this machine's: the round trip that took least says it best.

Source: the four time stamps of NTP (RFC 5905), reduced to the request whose answer carries one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.errors import InfraError
from harness.stats.quantile import FloatArray

TRIPS = 20
FASTEST_DRIFT = 2e-3
"""Seconds per second: no two quartz clocks differ by so much; one of them was stepped."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Board minus controller, at one moment of the controller's clock; `u_s` is its standard uncertainty."""

    at_s: float
    board_ahead_s: float
    u_s: float


def measure_offset(ask: Callable[[], float]) -> Offset:
    """Compare the clocks.

    Args:
        ask: returns the board's monotonic clock, one round trip.
    """
    best: tuple[float, Offset] | None = None
    for _ in range(TRIPS):
        before = time.monotonic()
        board_s = ask()
        after = time.monotonic()
        trip_s = after - before
        middle = (before + after) / 2
        if best is None or trip_s < best[0]:
            # The board looked at its clock somewhere within the trip: ± half of it, evenly likely.
            best = trip_s, Offset(middle, board_s - middle, trip_s / 2 / math.sqrt(3.0))
    assert best is not None
    return best[1]


def to_board_clock(times_s: FloatArray, first: Offset, last: Offset) -> tuple[FloatArray, float]:
    """Put moments of this machine's clock on the board's, with linear drift between two comparisons.

    Args:
        times_s: shape (n,), seconds of this machine's monotonic clock.
        first: comparison before them.
        last: comparison after them.

    Returns:
        The moments on the board's clock and their standard uncertainty, seconds.

    Raises:
        InfraError: `clock` when the clocks run apart faster than clocks do.
    """
    passed_s = last.at_s - first.at_s
    drift = (last.board_ahead_s - first.board_ahead_s) / passed_s
    unsure_s = math.hypot(first.u_s, last.u_s)
    if abs(drift) * passed_s > FASTEST_DRIFT * passed_s + 3 * unsure_s:
        words = f"the board's clock and ours moved apart by {drift * passed_s:.3g} s within {passed_s:.3g} s"
        raise InfraError(words, code="clock")
    moved = times_s + first.board_ahead_s + drift * (times_s - first.at_s)
    return np.asarray(moved, dtype=np.float64), max(first.u_s, last.u_s)
