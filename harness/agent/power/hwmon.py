"""Rails of hwmon chips: a power file in µW, else current (mA) times voltage (mV) of one channel.

Units by the kernel's hwmon ABI. Chips whose channels belong together by number are named here: of any other one
current and voltage are only multiplied where their labels say that they belong together.
Source: Documentation/hwmon/{sysfs-interface,ina2xx,ina3221}.rst of Linux 6.1, data sheets of Texas Instruments.
"""

from __future__ import annotations

import glob
import os
import re
from typing import NamedTuple

from harness.agent.power.rail import (
    MODULE,
    RAILS,
    FileProbe,
    Rail,
    check_readable,
    find_place,
    read_positive,
    read_text,
)

_UNUSED = "NC"
_WHOLE_MODULE = frozenset({"VDD_IN", "POM_5V_IN"})
"""What NVIDIA calls the supply of a whole Jetson module; the carrier board is not in it."""


class Chip(NamedTuple):
    """A known chip: range and step of its shunt voltage (V), power step in steps of current, channels."""

    shunt_range_v: float
    shunt_step_v: float
    power_factor: float
    channels: int


_INA226 = Chip(0.0819175, 2.5e-6, 25.0, 1)
_INA219 = Chip(0.32, 10e-6, 20.0, 1)
CHIPS = {
    "ina219": _INA219,
    "ina220": _INA219,
    "ina226": _INA226,
    "ina230": _INA226,
    "ina231": _INA226,
    "ina3221": Chip(0.1638, 40e-6, 1.0, 3),
}


def list_rails(root: str) -> list[Rail]:
    """Return the rails of every hwmon chip below `root`."""
    rails = []
    for chip in sorted(glob.glob(os.path.join(root, "class", "hwmon", "hwmon*"))):
        name = read_text(os.path.join(chip, "name")) or os.path.basename(chip)
        found = {int(number) for path in os.listdir(chip) for number in re.findall(r"^(?:power|curr)(\d{1,3})_", path)}
        if name in CHIPS:
            # curr4 of an INA3221 is a sum, and its in4 is a shunt voltage in µV: together they are nothing.
            found = {number for number in found if 1 <= number <= CHIPS[name].channels}
        rails += [rail for rail in (_make_rail(chip, name, number) for number in sorted(found)) if rail]
    return [rail for rail in rails if _UNUSED not in rail.label.upper().split()]


def _make_rail(chip: str, name: str, channel: int) -> Rail | None:
    for kind in ("input", "average"):
        path = os.path.join(chip, f"power{channel}_{kind}")
        if os.path.exists(path):
            return _by_power(chip, name, channel, path)
    pair = tuple(os.path.join(chip, f"{kind}{channel}_input") for kind in ("curr", "in"))
    return _by_product(chip, name, channel, pair) if all(os.path.exists(path) for path in pair) else None


def _by_power(chip: str, name: str, channel: int, path: str) -> Rail:
    interval = "update_interval" if path.endswith("_input") else f"power{channel}_average_interval"
    known, shunt = CHIPS.get(name), _shunt_ohm(chip, channel)
    volts, pair = _bus_volts(chip, channel), _pair(chip, channel)
    step = known.power_factor * known.shunt_step_v / shunt if known and shunt else 0.0
    label = read_text(os.path.join(chip, f"power{channel}_label")) or read_text(os.path.join(chip, "label"))
    return Rail(
        name,
        f"power{channel}",
        label,
        FileProbe((path,), 1e-6),
        scope=_scope(label),
        window_s=read_positive(os.path.join(chip, interval)) / 1000,
        step=step,
        range=known.shunt_range_v / shunt * volts if known and shunt else 0.0,
        rival=FileProbe(pair, 1e-6) if known and all(os.path.exists(file) for file in pair) else None,
        fault=check_readable(path),
        place=find_place(chip),
    )


def _by_product(chip: str, name: str, channel: int, pair: tuple[str, ...]) -> Rail:
    known, shunt, volts = CHIPS.get(name), _shunt_ohm(chip, channel), _bus_volts(chip, channel)
    labels = [read_text(os.path.join(chip, f"{kind}{channel}_label")) for kind in ("in", "curr")]
    label = labels[0] or labels[1]
    fault = check_readable(*pair)
    if not known and not _belong_together(*labels):
        fault = f"whether curr{channel} and in{channel} of a {name} belong to one supply is not known"
    return Rail(
        name,
        f"curr{channel}",
        label,
        FileProbe(pair, 1e-6),
        scope=_scope(label),
        window_s=read_positive(os.path.join(chip, "update_interval")) / 1000,
        step=known.shunt_step_v / shunt * volts if known and shunt else 0.0,
        range=known.shunt_range_v / shunt * volts if known and shunt else 0.0,
        fault=fault,
        place=find_place(chip),
    )


def _pair(chip: str, channel: int) -> tuple[str, ...]:
    return tuple(os.path.join(chip, f"{kind}{channel}_input") for kind in ("curr", "in"))


def _belong_together(of_voltage: str, of_current: str) -> bool:
    """Whether labels name one supply: the same word, or PMBus's vin and iin, vout1 and iout1."""
    if not of_voltage or not of_current:
        return False
    pmbus = re.fullmatch(r"v(\w+)", of_voltage)
    return of_voltage == of_current or bool(pmbus and of_current == "i" + pmbus[1])


def _shunt_ohm(chip: str, channel: int) -> float:
    for name in ("shunt_resistor", f"shunt{channel}_resistor"):
        found = read_positive(os.path.join(chip, name)) * 1e-6
        if found:
            return found
    return 0.0


def _bus_volts(chip: str, channel: int) -> float:
    return read_positive(os.path.join(chip, f"in{channel}_input")) / 1000


def _scope(label: str) -> str:
    return MODULE if label.upper() in _WHOLE_MODULE else RAILS
