"""Foreign load is what kept a session from its core, not what the board's load average remembers."""

from __future__ import annotations

import pytest

from harness.agent.meters.contention import ContentionWatch, flags_of


def test_the_watch_counts_what_this_process_used() -> None:
    """CPU time of a busy second shows up; nothing is negative."""
    watch = ContentionWatch()
    sum(range(2_000_000))

    scalars = watch.scalars()

    assert scalars["cpu_s"] > 0
    assert min(scalars.values()) >= 0


@pytest.mark.parametrize(
    ("waited_s", "switches", "flags"),
    [
        (0.0, 0.0, []),
        (0.30, 60.0, ["foreign-load"]),  # every other call of 10 ms had to wait
        (0.30, 3.0, []),  # three interruptions of a thousand short calls: the others are whole
        (0.001, 90.0, []),  # a daemon looked in, microseconds each time
    ],
)
def test_both_share_of_calls_and_of_time_must_be_touched(waited_s: float, switches: float, flags: list[str]) -> None:
    """One second of 100 calls is flagged only when waiting shows in a noticeable part of them."""
    scalars = {"cpu_s": 0.7, "involuntary_switches": switches, "run_delay_s": waited_s}

    assert flags_of(scalars, wall_s=1.0, calls=100) == flags


def test_a_kernel_that_does_not_tell_raises_no_flag() -> None:
    """Without schedstat there is no evidence of waiting; the switches stay on record."""
    assert flags_of({"cpu_s": 0.5, "involuntary_switches": 99.0}, wall_s=1.0, calls=100) == []
