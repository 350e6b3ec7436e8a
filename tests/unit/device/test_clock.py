"""Clocks of a board and of this machine: offset by the shortest round trip, drift between two of them."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from harness.device.clock import Offset, measure_offset, to_board_clock
from harness.errors import InfraError


def test_the_shortest_round_trip_tells_the_offset() -> None:
    """A link that is mostly slow, and slow on one side, still tells the offset within its own uncertainty."""
    random_ = random.Random(3)

    def ask() -> float:
        time.sleep(random_.choice([0.0, 0.004]))
        board = time.monotonic() + 1234.5
        time.sleep(random_.choice([0.0, 0.008]))
        return board

    found = measure_offset(ask)

    assert abs(found.board_ahead_s - 1234.5) < 6 * found.u_s + 1e-4
    assert found.u_s < 0.002


def test_moments_move_with_the_drift() -> None:
    """Between two comparisons the offset is interpolated."""
    first, last = Offset(100.0, 50.0, 1e-3), Offset(200.0, 50.01, 2e-3)

    moved, unsure_s = to_board_clock(np.array([100.0, 150.0, 200.0]), first, last)

    assert moved.tolist() == pytest.approx([150.0, 200.005, 250.01])
    assert unsure_s == 2e-3


def test_a_clock_that_was_stepped_is_refused() -> None:
    """No two clocks drift by 1 s in 20 s."""
    with pytest.raises(InfraError, match="moved apart by 1 s within 20 s") as refused:
        to_board_clock(np.array([110.0]), Offset(100.0, 50.0, 1e-3), Offset(120.0, 51.0, 1e-3))

    assert refused.value.code == "clock"
