"""The device time that a run may spend on a board: timed pairs are measured as long as it lasts.

Knows seconds. Sessions whose number is fixed beforehand are charged too, and always measured.
"""

from __future__ import annotations

import math


class Budget:
    """The time of one board; used by the board's thread alone.

    Args:
        seconds: to spend; infinite for no limit.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._left_s = seconds

    @property
    def is_limited(self) -> bool:
        """Whether cells must share: then all of them get their first pairs before one gets more."""
        return math.isfinite(self._left_s)

    def charge(self, seconds: float) -> None:
        """Take what a session cost."""
        self._left_s -= seconds

    def affords(self, seconds: float) -> bool:
        """Tell whether so much is left; what costs nothing yet known needs any time at all."""
        return self._left_s > 0 and seconds <= self._left_s
