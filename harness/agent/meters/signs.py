"""What a board tells of its heat and its clock at a moment: temperature, frequency, and whether it throttles.

What it does not expose is not a number, never "ok".
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from typing import NamedTuple

from harness.agent.meters.thermal import read_hottest_c

_NAN = float("nan")
_PI_NOW, _PI_SINCE_BOOT = 0xF, 0xF0000
"""Bits of the Raspberry Pi's word. Source: Raspberry Pi documentation, vcgencmd get_throttled."""
_PI_TIMEOUT_S = 2.0


class Reading(NamedTuple):
    """What was told at one moment; NaN where the board does not tell it."""

    temperature_c: float
    """Hottest zone."""
    frequency_hz: float
    """Mean of the watched cores."""
    throttled: float
    """1 or 0."""


class Signs:
    """Reads the signs of one board; what counts up, and how high the clock may go, is compared with now.

    Args:
        sysfs: a sysfs root.
        cores: whose clocks are watched.
        firmware: the program that tells the Raspberry Pi's word; empty: none.
    """

    def __init__(self, sysfs: str, cores: list[int], firmware: str = "") -> None:
        self._sysfs = sysfs
        folders = [os.path.join(sysfs, "devices", "system", "cpu", f"cpu{core}", "cpufreq") for core in cores]
        self._clocks = [os.path.join(folder, "scaling_cur_freq") for folder in folders]
        self._caps = _levels([os.path.join(folder, "scaling_max_freq") for folder in folders])
        self._counts = _levels(
            glob.glob(os.path.join(sysfs, "class", "hwmon", "hwmon*", "oc*_event_cnt"))
            + glob.glob(os.path.join(sysfs, "devices", "system", "cpu", "cpu*", "thermal_throttle", "*_throttle_count"))
        )
        self._alarms = glob.glob(os.path.join(sysfs, "class", "hwmon", "hwmon*", "curr*_crit_alarm"))
        self._alarms += _find_cooled_cpus(sysfs)
        self._firmware = firmware
        self._word = self._read_word()

    def read(self) -> Reading:
        """Read everything once."""
        hottest = read_hottest_c(self._sysfs)
        clocks = [1000.0 * level for level in _levels(self._clocks).values()]
        frequency_hz = sum(clocks) / len(clocks) if clocks else _NAN
        return Reading(_NAN if hottest is None else hottest, frequency_hz, self._read_throttled())

    def _read_throttled(self) -> float:
        told = []
        word = self._read_word()
        if word is not None:
            told.append(bool(word & _PI_NOW or word & ~(self._word or 0) & _PI_SINCE_BOOT))
        told += [level > 0 for level in _levels(self._alarms).values()]
        told += [level > self._counts[path] for path, level in _levels(list(self._counts)).items()]
        # A lower cap is a sign (the kernel's cooling sets it); an unchanged one is none, for firmware throttles unseen.
        is_capped = any(level < self._caps[path] for path, level in _levels(list(self._caps)).items())
        if any(told) or is_capped:
            return 1.0
        return 0.0 if told else _NAN

    def _read_word(self) -> int | None:
        if not self._firmware:
            return None
        argv = [self._firmware, "get_throttled"]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=_PI_TIMEOUT_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        found = re.fullmatch(r"throttled=0x([0-9a-f]+)", done.stdout.decode(errors="replace").strip())
        return int(found[1], 16) if found else None


def find_signs(sysfs: str, cores: list[int]) -> Signs:
    """Return the signs of this board; a tree of files that stands for another one has no firmware."""
    return Signs(sysfs, cores, (shutil.which("vcgencmd") or "") if sysfs == "/sys" else "")


def _find_cooled_cpus(sysfs: str) -> list[str]:
    """Return the states of cooling devices that lower a clock: a fan is none of them."""
    found = []
    for folder in glob.glob(os.path.join(sysfs, "class", "thermal", "cooling_device*")):
        try:
            with open(os.path.join(folder, "type"), encoding="ascii", errors="replace") as file:
                is_clock = "cpufreq" in file.read(256)
        except OSError:
            continue
        if is_clock:
            found.append(os.path.join(folder, "cur_state"))
    return found


def _levels(paths: list[str]) -> dict[str, int]:
    """Return the numbers in those of the files that can be read."""
    found = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                found[path] = int(file.read(64))
        except (OSError, ValueError):
            continue
    return found
