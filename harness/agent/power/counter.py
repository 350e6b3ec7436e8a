"""Energy counters: powercap zones (`energy_uj`) and hwmon's `energyN_input`, both in µJ.

A counter misses nothing between two readings, and starts again somewhere: powercap says where, hwmon does not.
Source: Documentation/ABI/testing/sysfs-class-powercap and Documentation/hwmon/sysfs-interface.rst of Linux 6.1.
"""

from __future__ import annotations

import glob
import os
import re

from harness.agent.power.rail import BOARD, ENERGY, RAILS, FileProbe, Rail, check_readable, read_positive, read_text


def list_rails(root: str) -> list[Rail]:
    """Return every counter below `root`."""
    return [*_list_zones(root), *_list_hwmon(root)]


def _list_zones(root: str) -> list[Rail]:
    rails = []
    for zone in sorted(glob.glob(os.path.join(root, "class", "powercap", "*"))):
        path = os.path.join(zone, "energy_uj")
        if os.path.exists(path):
            label = read_text(os.path.join(zone, "name"))
            rails.append(
                Rail(
                    os.path.basename(zone),
                    "energy_uj",
                    label,
                    FileProbe((path,), 1e-6),
                    quantity=ENERGY,
                    scope=BOARD if label.startswith("psys") else RAILS,
                    range=read_positive(os.path.join(zone, "max_energy_range_uj")) * 1e-6,
                    fault=check_readable(path),
                )
            )
    return rails


def _list_hwmon(root: str) -> list[Rail]:
    rails = []
    for chip in sorted(glob.glob(os.path.join(root, "class", "hwmon", "hwmon*"))):
        name = read_text(os.path.join(chip, "name")) or os.path.basename(chip)
        for file in sorted(file for file in os.listdir(chip) if re.fullmatch(r"energy\d{1,3}_input", file)):
            channel, path = file[: -len("_input")], os.path.join(chip, file)
            label = read_text(os.path.join(chip, channel + "_label"))
            window_s = read_positive(os.path.join(chip, "update_interval")) / 1000
            probe = FileProbe((path,), 1e-6)
            fault = check_readable(path)
            rails.append(Rail(name, channel, label, probe, quantity=ENERGY, window_s=window_s, fault=fault))
    return rails
