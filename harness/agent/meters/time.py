"""The clocks of a session: what they resolve, and whether somebody set them meanwhile."""

from __future__ import annotations

import time

_STEP_S = 0.05
"""A wall clock that moved by more than this against the monotonic clock was set: the block is not valid."""


def measure_resolution_s() -> float:
    """Return the smallest step that the performance counter shows between two readings, in seconds."""
    clock = time.perf_counter_ns
    steps = []
    for _ in range(200):
        before = clock()
        after = clock()
        if after > before:
            steps.append(after - before)
    return min(steps) * 1e-9 if steps else time.get_clock_info("perf_counter").resolution


class ClockWatch:
    """Remembers how wall clock and monotonic clock stood to each other."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def flags(self) -> list[str]:
        """Return `clock-step` if one of them was moved since."""
        return ["clock-step"] if abs(time.time() - time.monotonic() - self._offset) > _STEP_S else []
