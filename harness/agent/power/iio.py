"""Rails of IIO devices: `(in_powerN_raw + offset) * scale` in mW, as the kernel's ina2xx-adc driver gives it.

An INA2xx answers either this driver or hwmon's, never both. Where a device has no power channel, an INA2xx's bus
voltage (channel 1, mV) times its current (channel 3, mA) is the same figure.
Source: Documentation/ABI/testing/sysfs-bus-iio and drivers/iio/adc/ina2xx-adc.c of Linux 6.1.
"""

from __future__ import annotations

import glob
import os
import re

from harness.agent.power.rail import FileProbe, Rail, Unreadable, check_readable, parse_number, read_positive, read_text

_INA2XX = re.compile(r"ina2\d\d")
_SHUNT_RANGE_V = {"ina219": 0.32, "ina220": 0.32, "ina226": 0.0819175, "ina230": 0.0819175, "ina231": 0.0819175}


def list_rails(root: str) -> list[Rail]:
    """Return the rails of every IIO device below `root`."""
    rails = []
    for device in sorted(glob.glob(os.path.join(root, "bus", "iio", "devices", "iio:device*"))):
        name = read_text(os.path.join(device, "name")) or os.path.basename(device)
        raw = sorted(file for file in os.listdir(device) if re.fullmatch(r"in_power\d{0,3}_raw", file))
        rails += [_by_power(device, name, file[: -len("_raw")]) for file in raw]
        if not raw and _INA2XX.fullmatch(name):
            rails.append(_by_product(device, name))
    return rails


def _by_power(device: str, name: str, channel: str) -> Rail:
    path = os.path.join(device, channel)
    scale, fault = _scale(path)
    offset = _offset(path)
    return Rail(
        name,
        channel[len("in_") :],
        read_text(os.path.join(device, "label")) or read_text(path + "_label"),
        FileProbe((path + "_raw",), scale * 1e-3, offset=offset),
        window_s=_window_s(device),
        step=scale * 1e-3,
        range=_range_w(device, name),
        rival=_product(device),
        fault=fault or check_readable(path + "_raw"),
    )


def _by_product(device: str, name: str) -> Rail:
    probe = _product(device)
    paths = [os.path.join(device, f"{channel}_raw") for channel in ("in_voltage1", "in_current3")]
    fault = "" if probe else f"{device} has neither power nor both voltage and current"
    return Rail(
        name,
        "voltage1*current3",
        read_text(os.path.join(device, "label")),
        probe or FileProbe(tuple(paths), 0.0),
        window_s=_window_s(device),
        range=_range_w(device, name),
        fault=fault,
    )


def _product(device: str) -> FileProbe | None:
    stems = [os.path.join(device, channel) for channel in ("in_voltage1", "in_current3")]
    if not all(os.path.exists(stem + "_raw") for stem in stems):
        return None
    scales = [_scale(stem) for stem in stems]
    if any(fault for _, fault in scales):
        return None
    return FileProbe(tuple(stem + "_raw" for stem in stems), scales[0][0] * scales[1][0] * 1e-6)


def _scale(stem: str) -> tuple[float, str]:
    """Return the channel's scale and why it is none; without the file the ABI says 1."""
    path = stem + "_scale"
    if not os.path.exists(path):
        return 1.0, ""
    try:
        scale = parse_number(read_text(path).encode(), path)
    except Unreadable as error:
        return 0.0, str(error)
    return (scale, "") if scale > 0 else (0.0, f"{path}: a scale of {scale:g}")


def _offset(stem: str) -> float:
    path = stem + "_offset"
    return parse_number(read_text(path).encode(), path) if os.path.exists(path) else 0.0


def _window_s(device: str) -> float:
    """Return how long one reading takes: the driver counts both conversions and their averaging."""
    rate = read_positive(os.path.join(device, "in_sampling_frequency")) or read_positive(
        os.path.join(device, "sampling_frequency")
    )
    return 1.0 / rate if rate else 0.0


def _range_w(device: str, name: str) -> float:
    shunt = read_positive(os.path.join(device, "in_shunt_resistor")) or read_positive(
        os.path.join(device, "shunt_resistor")
    )
    bus, (scale, fault) = os.path.join(device, "in_voltage1"), _scale(os.path.join(device, "in_voltage1"))
    volts = 0.0 if fault else read_positive(bus + "_raw") * scale / 1000
    return _SHUNT_RANGE_V.get(name, 0.0) / shunt * volts if shunt else 0.0
