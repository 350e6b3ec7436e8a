"""Waiting until a board is cool enough to be compared with what it was before: temperatures in, patience out.

A board that tells no temperature is not waited for; its pairs are then judged without one, and the report says "not
told".
"""

from __future__ import annotations

from collections.abc import Callable

from harness.records.run import Facts

STEP_S = 5.0
NEAR_C = 1.0
"""Above the temperature at which the board was opened."""
STEADY_C = 0.1
"""Change over two steps at which waiting longer is of no use: the room is warmer than it was."""
LONGEST_S = 180.0


def hottest_of(facts: Facts) -> float | None:
    """Return the highest plausible temperature that a board told, °C."""
    return max((value for value in facts.temperatures_c.values() if -40 <= value <= 150), default=None)


def cool_down(
    read_c: Callable[[], float | None], *, reference_c: float | None, wait: Callable[[float], object]
) -> bool:
    """Wait until the board is near its reference or cools no more.

    Args:
        read_c: returns its highest temperature, °C, or None.
        reference_c: what it was at rest.
        wait: sleeps so many seconds, less when the run is cancelled (then it returns something true).

    Returns:
        False when it was still cooling after LONGEST_S.
    """
    seen: list[float] = []
    for _ in range(int(LONGEST_S / STEP_S) + 1):
        now_c = read_c()
        if now_c is None or reference_c is None or now_c <= reference_c + NEAR_C:
            return True
        seen.append(now_c)
        if len(seen) > 2 and seen[-3] - now_c < STEADY_C:
            return True
        if wait(STEP_S):
            return True
    return False
