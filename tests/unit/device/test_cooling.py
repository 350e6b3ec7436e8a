"""Cooling down: how long a board is waited for, by what it tells of its temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.device.condition import compare
from harness.device.cooling import STEP_S, cool_down, hottest_of
from harness.records.run import Facts

FACTS = Facts("aarch64", "A78AE", 6, (), 1 << 33, "5.15", "glibc 2.35", "3.10.12", "cp310")


def _wait(readings: list[float | None], reference_c: float | None = 45.0) -> tuple[bool, int]:
    """Play readings, the last one for ever; return whether it got cool and after how many waits."""
    waits: list[float] = []
    left: Iterator[float | None] = iter(readings)
    last = readings[-1]

    def read_c() -> float | None:
        return next(left, last)

    cooled = cool_down(read_c, reference_c=reference_c, wait=waits.append)
    assert set(waits) <= {STEP_S}
    return cooled, len(waits)


@pytest.mark.parametrize(
    ("readings", "cooled", "waits"),
    [
        ([45.5], True, 0),
        ([60.0, 52.0, 48.0, 45.9], True, 3),
        ([60.0, 52.0, 48.0, 47.98, 47.97], True, 4),
        ([None], True, 0),
        ([60.0, None], True, 1),
    ],
    ids=["cool", "cools down", "the room is warmer", "no temperature", "lost"],
)
def test_a_board_is_waited_for(readings: list[float | None], cooled: bool, waits: int) -> None:
    """Until it is within 1 °C of its rest, or cools no more."""
    assert _wait(readings) == (cooled, waits)


def test_patience_ends() -> None:
    """A board that cools by half a degree each 5 s is given up after 180 s, and that is said."""
    assert _wait([100.0 - 0.5 * k for k in range(60)]) == (False, 37)


def test_without_a_reference_nobody_waits() -> None:
    """A board that told nothing when it was opened has nothing to come back to."""
    assert _wait([80.0], reference_c=None) == (True, 0)


def test_implausible_zones_do_not_count() -> None:
    """A zone at 999 °C is broken, not hot."""
    assert hottest_of(replace(FACTS, temperatures_c={"cpu": 51.5, "gpu": 999.0, "pmic": -273.0})) == 51.5
    assert hottest_of(FACTS) is None


@pytest.mark.parametrize(
    ("before", "after", "flags"),
    [
        ({"hwmon2/oc1_event_cnt": 3.0}, {"hwmon2/oc1_event_cnt": 3.0}, ()),
        ({"hwmon2/oc1_event_cnt": 3.0}, {"hwmon2/oc1_event_cnt": 4.0}, ("throttled",)),
        ({"hwmon1/curr1_crit_alarm": 0.0}, {"hwmon1/curr1_crit_alarm": 1.0}, ("throttled",)),
        ({"thermal/cooling_device0/cur_state": 0.0}, {"thermal/cooling_device0/cur_state": 2.0}, ("throttled",)),
        ({"thermal/cooling_device0/cur_state": 2.0}, {"thermal/cooling_device0/cur_state": 0.0}, ("throttled",)),
        ({"thermal_throttle/core_throttle_count": 7.0}, {"thermal_throttle/core_throttle_count": 9.0}, ("throttled",)),
        ({}, {}, ()),
    ],
    ids=["same count", "over-current", "alarm", "hot after", "hot before", "x86", "tells nothing"],
)
def test_signs_of_throttling(before: dict[str, float], after: dict[str, float], flags: tuple[str, ...]) -> None:
    """An event that was counted in between, an alarm or a slowed CPU at either end spoils the session."""
    found = compare(replace(FACTS, throttle_signs=before), replace(FACTS, throttle_signs=after), where="orin")

    assert found == flags
