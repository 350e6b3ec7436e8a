"""Temperatures of the board's thermal zones, in degrees Celsius; a board without zones has none, never 0."""

from __future__ import annotations

import glob
import os


def read_hottest_c(sysfs: str = "/sys") -> float | None:
    """Return the highest plausible temperature of all thermal zones, or None."""
    found = []
    for path in glob.glob(os.path.join(sysfs, "class", "thermal", "thermal_zone*", "temp")):
        try:
            with open(path, encoding="ascii") as file:
                found.append(int(file.read()) / 1000)
        except (OSError, ValueError):
            continue
    plausible = [value for value in found if -40 <= value <= 150]
    return max(plausible) if plausible else None


class Thermometer:
    """Follows the hottest zone over a session."""

    def __init__(self, sysfs: str = "/sys") -> None:
        self._sysfs = sysfs
        self._start = read_hottest_c(sysfs)

    def scalars(self) -> dict[str, float]:
        """Return `temp_start_c`, `temp_end_c` and `thermal_max_c`, or nothing."""
        end = read_hottest_c(self._sysfs)
        if self._start is None or end is None:
            return {}
        return {"temp_start_c": self._start, "temp_end_c": end, "thermal_max_c": max(self._start, end)}
