"""Quantities: the only place that parses, converts or formats them.

Inside the harness every figure is a float in SI (seconds, bytes, joules, watts, ratios). A unit exists only where a
person writes or reads. This module knows nothing of metrics, limits or YAML.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from decimal import Decimal
from enum import StrEnum


class Dimension(StrEnum):
    """What a figure measures."""

    TIME = "time"
    BYTES = "bytes"
    RATIO = "ratio"
    """A share of a whole, written in percent: 5 % is 0.05."""
    POINTS = "points"
    """A difference of two ratios, written in percentage points: 0.5 pp is 0.005."""
    ENERGY = "energy"
    POWER = "power"
    COUNT = "count"
    TEMPERATURE = "temperature"
    """Degrees Celsius, the one figure that is not SI, as every sensor of the kernel gives it."""
    RATE = "rate"
    FREQUENCY = "frequency"
    DECIBEL = "decibel"
    NUMBER = "number"


class QuantityError(ValueError):
    """A text is not a quantity of the dimension asked for; `hint` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.hint = hint


_SCALES: dict[Dimension, dict[str, str]] = {
    Dimension.TIME: {"ns": "1e-9", "us": "1e-6", "ms": "1e-3", "s": "1", "min": "60", "h": "3600"},
    Dimension.BYTES: {
        "B": "1", "kB": "1e3", "MB": "1e6", "GB": "1e9", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824",
    },
    Dimension.RATIO: {"%": "0.01"},
    Dimension.POINTS: {"pp": "0.01"},
    Dimension.ENERGY: {"pJ": "1e-12", "nJ": "1e-9", "uJ": "1e-6", "mJ": "1e-3", "J": "1", "kJ": "1e3", "Wh": "3600"},
    Dimension.POWER: {"uW": "1e-6", "mW": "1e-3", "W": "1", "kW": "1e3"},
    Dimension.COUNT: {"": "1", "k": "1e3", "M": "1e6", "G": "1e9"},
    Dimension.TEMPERATURE: {"C": "1", "°C": "1"},
    Dimension.RATE: {"/s": "1", "Hz": "1", "k/s": "1e3", "kHz": "1e3"},
    Dimension.FREQUENCY: {"Hz": "1", "kHz": "1e3", "MHz": "1e6", "GHz": "1e9"},
    Dimension.DECIBEL: {"dB": "1"},
    Dimension.NUMBER: {"": "1"},
}  # fmt: skip

_WHAT = {
    Dimension.TIME: ("a time", "12 ms"),
    Dimension.BYTES: ("a number of bytes", "64 MiB"),
    Dimension.RATIO: ("a ratio", "5 %"),
    Dimension.POINTS: ("a difference in percentage points", "0.5 pp"),
    Dimension.ENERGY: ("an energy", "3 mJ"),
    Dimension.POWER: ("a power", "2.5 W"),
    Dimension.COUNT: ("a count", "1.2 M"),
    Dimension.TEMPERATURE: ("a temperature", "60 °C"),
    Dimension.RATE: ("a rate", "20 /s"),
    Dimension.FREQUENCY: ("a frequency", "1.5 GHz"),
    Dimension.DECIBEL: ("a level", "30 dB"),
    Dimension.NUMBER: ("a plain number", "0.99"),
}

_SIGNED = {Dimension.TEMPERATURE, Dimension.DECIBEL, Dimension.NUMBER}

# What people write for a unit, lower case, and what they mean.
_MEANT = {
    "msec": "ms", "millis": "ms", "milliseconds": "ms", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "usec": "us", "microseconds": "us", "nsec": "ns", "m": "min", "mins": "min", "minutes": "min", "hour": "h",
    "hours": "h", "b": "B", "bytes": "B", "byte": "B", "k": "KiB", "kb": "KiB", "m_bytes": "MiB", "mb": "MB",
    "mib": "MiB", "g": "GiB", "gb": "GB", "percent": "%", "pct": "%", "p.p.": "pp", "points": "pp", "%p": "pp",
    "joule": "J", "joules": "J", "millijoule": "mJ", "watt": "W", "watts": "W", "milliwatt": "mW", "million": "M",
    "mio": "M", "thousand": "k", "billion": "G", "celsius": "°C", "degc": "°C", "deg": "°C", "°": "°C", "db": "dB",
    "hertz": "Hz", "per second": "/s", "1/s": "/s", "fps": "/s", "ips": "/s", "qps": "/s",
}  # fmt: skip

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})(?:[eE][+-]?[0-9]{1,3})?)\s*(.*)", re.DOTALL
)


def describe(dimension: Dimension) -> str:
    """Say in words what is accepted: `a time such as '12 ms' (ns, us, ms, s, min, h)`."""
    what, example = _WHAT[dimension]
    units = [unit for unit in _SCALES[dimension] if unit]
    return f"{what} such as '{example}'" + (f" ({', '.join(units)})" if units else "")


def example(dimension: Dimension) -> str:
    """Give a text that `parse` accepts for the dimension."""
    return _WHAT[dimension][1]


def parse(text: str, dimension: Dimension) -> float:
    """Read a quantity as a person writes it.

    Args:
        text: a decimal number and a unit, with or without a space between them: `12 ms`, `64MiB`, `0.5 pp`. Without a
            unit only where the dimension is a count or a plain number.
        dimension: what the text must measure.

    Returns:
        The value in SI (bytes, ratio and degrees Celsius where SI has no word), finite.

    Raises:
        QuantityError: a ValueError that names what is accepted, with an example and, where the unit looks like another
            one, what was probably meant.
    """
    trimmed = text.strip()
    match = _QUANTITY.fullmatch(trimmed)
    if match is None:
        raise _not_a_number(trimmed, dimension)
    number, unit = match.group(1), match.group(2).strip().replace("µ", "u").replace("μ", "u")
    if "," in unit[:1]:
        raise _not_a_number(trimmed, dimension)
    scale = _SCALES[dimension].get(unit)
    if scale is None:
        raise _wrong_unit(trimmed, number, unit, dimension)
    value = float(Decimal(number) * Decimal(scale))
    if not math.isfinite(value):
        raise QuantityError(f"{_quoted(trimmed)} is not finite", f"expected {describe(dimension)}")
    if value < 0 and dimension not in _SIGNED:
        raise QuantityError(f"{_quoted(trimmed)} is negative", f"expected {describe(dimension)}")
    return value


def _quoted(text: str) -> str:
    shown = text if len(text) <= 40 else text[:40] + "…"
    return repr(shown)


def _not_a_number(text: str, dimension: Dimension) -> QuantityError:
    if re.match(r"[+-]?\d+,\d", text):
        return QuantityError(f"{_quoted(text)} has a comma in its number", "write the decimal point as '.'")
    return QuantityError(f"{_quoted(text)} is not {_WHAT[dimension][0]}", f"expected {describe(dimension)}")


def _wrong_unit(text: str, number: str, unit: str, dimension: Dimension) -> QuantityError:
    expected = f"expected {describe(dimension)}"
    what = _WHAT[dimension][0]
    if not unit:
        return QuantityError(f"{_quoted(text)} has no unit", expected)
    if (dimension, unit) == (Dimension.POINTS, "%"):
        return QuantityError(
            f"{_quoted(text)} could be relative or absolute", f"write percentage points: '{number} pp'"
        )
    known = [known for known in _SCALES[dimension] if known]
    meant = _MEANT.get(unit.lower(), "")
    if meant not in known:
        folded = {known_unit.lower(): known_unit for known_unit in reversed(known)}
        close = difflib.get_close_matches(unit.lower(), folded, n=1, cutoff=0.6)
        meant = folded[close[0]] if close else ""
    hint = f"did you mean '{number} {meant}'? {expected}" if meant else expected
    return QuantityError(f"{_quoted(text)} is not {what}", hint)


_LADDERS = {
    Dimension.TIME: ("ns", "us", "ms", "s"),
    Dimension.BYTES: ("B", "KiB", "MiB", "GiB"),
    Dimension.ENERGY: ("pJ", "nJ", "uJ", "mJ", "J", "kJ"),
    Dimension.POWER: ("uW", "mW", "W", "kW"),
    Dimension.COUNT: ("", "k", "M", "G"),
    Dimension.FREQUENCY: ("Hz", "kHz", "MHz", "GHz"),
}
_FIXED = {
    Dimension.RATIO: "%",
    Dimension.POINTS: "pp",
    Dimension.TEMPERATURE: "°C",
    Dimension.RATE: "/s",
    Dimension.DECIBEL: "dB",
    Dimension.NUMBER: "",
}


def format(value: float, dimension: Dimension, *, digits: int = 3) -> str:
    """Write a quantity for a person: `12.3 ms`, `64 MiB`, `0.5 pp`, `1.2 M`.

    Args:
        value: SI; infinite where an interval has no bound.
        dimension: what it measures.
        digits: significant digits. Of ratios and plain numbers just below 1 the distance to 1 keeps that many, because
            99.95 % and 100 % are different news.

    Returns:
        Number, space and unit, without trailing zeros; `∞` or `-∞` without a unit for infinite values.

    Raises:
        ValueError: value is NaN, or digits is below 1.
    """
    if math.isnan(value):
        raise ValueError("NaN has no quantity: say why the figure is missing instead")
    if digits < 1:
        raise ValueError("digits must be at least 1")
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    unit = _pick_unit(value, dimension, digits) if dimension in _LADDERS else _FIXED[dimension]
    scale = float(_SCALES[dimension][unit])
    return f"{_number(value, scale, dimension, digits)} {unit}".rstrip().replace(" u", " µ")


def _pick_unit(value: float, dimension: Dimension, digits: int) -> str:
    """Choose the smallest unit in which the *rounded* number stays below the next unit."""
    ladder = _LADDERS[dimension]
    if value == 0:
        return "s" if dimension is Dimension.TIME else "J" if dimension is Dimension.ENERGY else _base(ladder)
    for unit, following in itertools.pairwise(ladder):
        ratio = float(_SCALES[dimension][following]) / float(_SCALES[dimension][unit])
        rounded = float(f"{abs(value) / float(_SCALES[dimension][unit]):.{digits - 1}e}")
        if rounded < ratio:
            return unit
    return ladder[-1]


def _base(ladder: tuple[str, ...]) -> str:
    return "W" if "W" in ladder else ladder[0]


def _number(value: float, scale: float, dimension: Dimension, digits: int) -> str:
    if value == 0:
        return "0"
    if dimension is Dimension.NUMBER and abs(value) < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return (
            f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}" if "." in mantissa else f"{mantissa}e{int(exponent)}"
        )
    near_one = dimension in {Dimension.RATIO, Dimension.NUMBER} and 0.5 < abs(value) < 1
    leading = 1 - abs(value) if near_one else abs(value) / scale
    decimals = digits - 1 - math.floor(math.log10(leading))
    if near_one:
        decimals = min(decimals, 8) + round(math.log10(scale))
    scaled = value / scale
    text = f"{round(scaled, decimals):.{max(decimals, 0)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in {"-0", ""} else "0"
