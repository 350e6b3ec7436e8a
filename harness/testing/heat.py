"""A sysfs tree of a board that gets warm: zones, clocks and what cools them, as files that a test rewrites."""

from __future__ import annotations

import os
from pathlib import Path


class HotBoard:
    """The part of sysfs that tells heat and clock; `root` is what an agent is given instead of /sys.

    Args:
        root: an empty folder.
        cores: that have a clock.
        cools_clock: whether a cooling device tells that it lowers the clock; without, throttling is unknown.
    """

    def __init__(self, root: Path, cores: int = 8, *, cools_clock: bool = True) -> None:
        self.root = root
        self._zone = root / "class/thermal/thermal_zone0/temp"
        self._cooling = root / "class/thermal/cooling_device0" if cools_clock else None
        self._clocks = [root / f"devices/system/cpu/cpu{core}/cpufreq" for core in range(cores)]
        if self._cooling:
            _write(self._cooling / "type", "cpufreq-cpu0")
        _write(root / "class/thermal/cooling_device1/type", "pwm-fan")
        _write(root / "class/thermal/cooling_device1/cur_state", "3")
        for clock in self._clocks:
            _write(clock / "scaling_max_freq", "1800000")
        self.set(40.0, 1.8e9, state=0)

    def set(self, celsius: float, hertz: float, *, state: int) -> None:
        """Say how warm it is, how fast its clocks are, and how far cooling has gone."""
        _write(self._zone, str(round(1000 * celsius)))
        for clock in self._clocks:
            _write(clock / "scaling_cur_freq", str(round(hertz / 1000)))
        if self._cooling:
            _write(self._cooling / "cur_state", str(state))

    def cap(self, hertz: float) -> None:
        """Lower how high the clocks may go."""
        for clock in self._clocks:
            _write(clock / "scaling_max_freq", str(round(hertz / 1000)))


def _write(path: Path, text: str) -> None:
    """Replace a file at once: a reader sees the old number or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text + "\n")
    os.replace(new, path)
