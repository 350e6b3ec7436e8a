"""Batteries and supplies that the kernel knows (/sys/class/power_supply): µW, or µV times µA.

The sign of a current is the driver's choice, so it is dropped. What a battery gives is what the board draws only while
it is discharged: `state` says otherwise in words.
Source: Documentation/ABI/testing/sysfs-class-power of Linux 6.1.
"""

from __future__ import annotations

import functools
import glob
import os

from harness.agent.power.rail import BOARD, FileProbe, Rail, check_readable, read_positive, read_text

_LEAST_V, _MOST_V = 0.5, 1000.0
_BATTERIES = frozenset({"Battery", "UPS"})


def list_rails(root: str) -> list[Rail]:
    """Return every supply below `root` that tells power, or current and voltage."""
    rails = []
    for folder in sorted(glob.glob(os.path.join(root, "class", "power_supply", "*"))):
        rail = _make_rail(folder)
        if rail is not None:
            rails.append(rail)
    return rails


def _make_rail(folder: str) -> Rail | None:
    name = os.path.basename(folder)
    power, volts, amperes = (os.path.join(folder, f"{what}_now") for what in ("power", "voltage", "current"))
    state = functools.partial(_say_state, folder)
    if os.path.exists(power):
        probe = FileProbe((power,), 1e-6, is_magnitude=True)
        return Rail(name, "power_now", name, probe, scope=BOARD, state=state, fault=check_readable(power))
    if not (os.path.exists(volts) and os.path.exists(amperes)):
        return None
    fault = check_readable(volts, amperes)
    voltage = read_positive(volts) * 1e-6
    if not fault and not _LEAST_V <= voltage <= _MOST_V:
        fault = f"{volts} says {voltage:g} V: this driver does not tell µV"
    probe = FileProbe((volts, amperes), 1e-12, is_magnitude=True)
    return Rail(name, "voltage_now*current_now", name, probe, scope=BOARD, state=state, fault=fault)


def _say_state(folder: str) -> str:
    """Say why a supply does not give what the board draws at this moment."""
    kind, status = read_text(os.path.join(folder, "type")), read_text(os.path.join(folder, "status"))
    if kind in _BATTERIES and status != "Discharging":
        return f"the battery {os.path.basename(folder)} is {status or 'in an unknown state'}, not Discharging"
    if kind not in _BATTERIES and read_text(os.path.join(folder, "online")) == "0":
        return f"the supply {os.path.basename(folder)} is not online"
    return ""
