"""Quantities: what is read, what is refused and how figures are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import units
from harness.units import Dimension

READ = [
    ("12 ms", Dimension.TIME, 0.012),
    ("50ms", Dimension.TIME, 0.05),
    ("3 µs", Dimension.TIME, 3e-6),
    ("  1.5   min ", Dimension.TIME, 90.0),
    ("64 MiB", Dimension.BYTES, 64 * 2**20),
    ("64 MB", Dimension.BYTES, 64e6),
    ("512 KiB", Dimension.BYTES, 512 * 2**10),
    ("7 %", Dimension.RATIO, 0.07),
    ("0.5 pp", Dimension.POINTS, 0.005),
    ("3 mJ", Dimension.ENERGY, 0.003),
    ("0.35 nJ", Dimension.ENERGY, 3.5e-10),
    ("2.5W", Dimension.POWER, 2.5),
    ("1.2 M", Dimension.COUNT, 1.2e6),
    ("1200000", Dimension.COUNT, 1.2e6),
    ("60 C", Dimension.TEMPERATURE, 60.0),
    ("-5 °C", Dimension.TEMPERATURE, -5.0),
    ("20 /s", Dimension.RATE, 20.0),
    ("20 Hz", Dimension.RATE, 20.0),
    ("30 dB", Dimension.DECIBEL, 30.0),
    ("0.999", Dimension.NUMBER, 0.999),
    ("1e-05", Dimension.NUMBER, 1e-5),
    (".5", Dimension.NUMBER, 0.5),
]

REFUSED = [
    ("12 msec", Dimension.TIME, "did you mean '12 ms'"),
    ("12", Dimension.TIME, "has no unit"),
    ("12,5 ms", Dimension.TIME, "a comma in its number"),
    ("-5 ms", Dimension.TIME, "is negative"),
    ("22:22", Dimension.TIME, "is not a time"),
    ("1e999 ms", Dimension.TIME, "is not finite"),
    ("", Dimension.TIME, "is not a time"),
    ("5 ms", Dimension.BYTES, "is not a number of bytes"),
    ("64 mib", Dimension.BYTES, "did you mean '64 MiB'"),
    ("64 KB", Dimension.BYTES, "did you mean '64 KiB'"),
    ("0.05", Dimension.RATIO, "has no unit"),
    ("5 percent", Dimension.RATIO, "did you mean '5 %'"),
    ("0.5 %", Dimension.POINTS, "write percentage points: '0.5 pp'"),
    ("1.2 m", Dimension.COUNT, "did you mean '1.2 M'"),
    ("nan", Dimension.NUMBER, "is not a plain number"),
    ("inf", Dimension.NUMBER, "is not a plain number"),
    ("true", Dimension.NUMBER, "is not a plain number"),
    ("0.9 %", Dimension.NUMBER, "is not a plain number"),
    ("٣ ms", Dimension.TIME, "is not a time"),
    ("9" * 5000 + " ms", Dimension.TIME, "is not"),
]

WRITTEN = [
    (0.0123456, Dimension.TIME, "12.3 ms"),
    (0.9996, Dimension.TIME, "1 s"),
    (-0.0004, Dimension.TIME, "-400 µs"),
    (0.0, Dimension.TIME, "0 s"),
    (64 * 2**20, Dimension.BYTES, "64 MiB"),
    (999.0, Dimension.BYTES, "999 B"),
    (0.005, Dimension.POINTS, "0.5 pp"),
    (0.05, Dimension.RATIO, "5 %"),
    (0.9612, Dimension.RATIO, "96.12 %"),
    (0.99996, Dimension.RATIO, "99.996 %"),
    (1.0, Dimension.RATIO, "100 %"),
    (1.2e6, Dimension.COUNT, "1.2 M"),
    (74_133_530, Dimension.COUNT, "74.1 M"),
    (0.99951, Dimension.NUMBER, "0.99951"),
    (3.2e-7, Dimension.NUMBER, "3.2e-7"),
    (61.54, Dimension.TEMPERATURE, "61.5 °C"),
    (1234.5, Dimension.RATE, "1230 /s"),
    (-3.0, Dimension.DECIBEL, "-3 dB"),
    (math.inf, Dimension.TIME, "∞"),
    (-math.inf, Dimension.BYTES, "-∞"),
]


@pytest.mark.parametrize(("text", "dimension", "value"), READ)
def test_parse(text: str, dimension: Dimension, value: float) -> None:
    """A quantity as people write it becomes exactly its SI value."""
    assert units.parse(text, dimension) == value


@pytest.mark.parametrize(("text", "dimension", "said"), REFUSED)
def test_refuse(text: str, dimension: Dimension, said: str) -> None:
    """What is no quantity is refused with what to write instead."""
    with pytest.raises(ValueError, match=r"is|has|could") as caught:
        units.parse(text, dimension)

    assert said in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(("value", "dimension", "text"), WRITTEN)
def test_format(value: float, dimension: Dimension, text: str) -> None:
    """Figures are written in the unit in which they are easiest to read."""
    assert units.format(value, dimension) == text


def test_nan_has_no_text() -> None:
    """NaN is never shown as if it were a figure."""
    with pytest.raises(ValueError, match="NaN"):
        units.format(math.nan, Dimension.TIME)


@pytest.mark.parametrize("dimension", list(Dimension))
def test_examples_are_accepted(dimension: Dimension) -> None:
    """The example that an error message gives is itself accepted."""
    assert units.parse(units.example(dimension), dimension) > 0
    assert units.example(dimension) in units.describe(dimension)


@given(st.floats(1e-9, 1e9), st.sampled_from([d for d in Dimension if d is not Dimension.RATE]))
def test_what_is_written_can_be_read(value: float, dimension: Dimension) -> None:
    """Formatting and parsing again gives the value back, to the digits shown."""
    again = units.parse(units.format(value, dimension, digits=9), dimension)

    assert math.isclose(again, value, rel_tol=1e-6, abs_tol=2e-9)


@given(st.text(max_size=30), st.sampled_from(list(Dimension)))
def test_any_text_is_read_or_refused(text: str, dimension: Dimension) -> None:
    """No text gives anything but a finite figure or a ValueError."""
    try:
        value = units.parse(text, dimension)
    except ValueError:
        return

    assert math.isfinite(value)
