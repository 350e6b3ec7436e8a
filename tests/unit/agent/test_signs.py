"""What a board tells of heat and clock, on trees of files: what is not there is not a number, never "ok"."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.agent.meters.signs import Signs
from harness.testing.heat import HotBoard


def test_everything_is_unknown_of_a_board_that_tells_nothing(tmp_path: Path) -> None:
    """No zone, no clock, no sign: three times not a number."""
    assert all(math.isnan(value) for value in Signs(str(tmp_path), [0, 1]).read())


def test_heat_and_clock_of_the_watched_cores(tmp_path: Path) -> None:
    """The hottest zone, the mean clock of the cores asked for; a cooling device at work is throttling, a fan is not."""
    board = HotBoard(tmp_path)
    signs = Signs(str(tmp_path), [1, 2])

    before = signs.read()
    board.set(85.0, 1.2e9, state=2)

    assert before == (40.0, 1.8e9, 0.0)
    assert signs.read() == (85.0, 1.2e9, 1.0)


def test_a_lower_cap_is_a_sign_and_an_unchanged_one_is_none(tmp_path: Path) -> None:
    """Where only the cap of the clock is told, a fall says throttled; no fall says nothing."""
    board = HotBoard(tmp_path, cools_clock=False)
    signs = Signs(str(tmp_path), [0])

    assert math.isnan(signs.read().throttled)
    board.cap(1.4e9)

    assert signs.read().throttled == 1.0


@pytest.mark.parametrize(
    ("place", "before", "after"),
    [
        ("class/hwmon/hwmon0/oc1_event_cnt", "3", "4"),
        ("class/hwmon/hwmon0/curr1_crit_alarm", "0", "1"),
        ("devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7", "8"),
    ],
)
def test_counted_events_and_alarms(tmp_path: Path, place: str, before: str, after: str) -> None:
    """Jetson's and x86's signs: a count that rises, an alarm that stands."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(before)
    signs = Signs(str(tmp_path), [0])

    calm = signs.read().throttled
    path.write_text(after)

    assert (calm, signs.read().throttled) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("word", "expected"), [("0x0", 0.0), ("0x50000", 0.0), ("0x50005", 1.0), ("0xd0000", 1.0), ("nonsense", math.nan)]
)
def test_the_firmwares_word(tmp_path: Path, word: str, expected: float) -> None:
    """A live bit or a new sticky one is throttling; sticky bits of before are none; nonsense is not "ok"."""
    firmware = tmp_path / "vcgencmd"
    firmware.write_text("#!/bin/sh\necho throttled=0x50000\n")
    firmware.chmod(0o755)
    signs = Signs(str(tmp_path), [0], str(firmware))

    firmware.write_text(f"#!/bin/sh\necho throttled={word}\n")
    found = signs.read().throttled

    assert found == expected or (math.isnan(found) and math.isnan(expected))
