"""What is known of the sensor behind one session's power, and the checks that make its trace worth a number.

Declared words (farm.yaml) are stronger than what the board told; what neither says is assumed badly and named. Each
check says in words what spoils a trace. Knows no limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.records.cell import SessionRecord
from harness.spec.model import MeterSpec
from harness.stats.quantile import FloatArray
from harness.stats.trace import FASTEST_W, PowerTrace

FEWEST_SAMPLES = 100
LARGEST_GAP_PERIODS = 3.0
MOST_DUPLICATES = 0.5
MOST_DROPPED = 1e-3
"""Share of readings without a number. Source: MLPerf Tiny's runner."""
MOST_LATE = 0.1
FEWEST_AVERAGING_TIMES = 20.0
MOST_SCATTER = 5e-3
"""Relative standard uncertainty of the integral from what lies between the readings."""
MOST_EDGE = 5e-3
"""Relative uncertainty of the energy from not knowing the window's edges on the sensor's clock."""
MOST_RIVAL = 0.03
CLIPPED = 0.995
STUCK_CHANCE = 1e-6
"""A run of equal readings that chance makes once in so many windows: the sensor stood still."""
UNDECLARED_GAIN = 0.05
"""Assumed of a sensor whose accuracy nobody declares: shunts and dividers of boards are hardly worse."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """What is known of a sensor; 0 means not known, but for `clock_s` and `offset_w`, where it means none."""

    gain: float
    """Bound of the relative error, two-sided."""
    offset_w: float
    step_w: float
    window_s: float
    """Time over which a reading is an average."""
    range_w: float
    period_s: float
    clock_s: float
    """Standard uncertainty of the sensor's clock against the board's."""
    is_regular: bool
    """Read once per period exactly, rather than at a random moment of it."""
    assumed: tuple[str, ...]
    """What is not known, in words."""

    def time_s(self, period_s: float) -> float:
        """Return the standard uncertainty of a moment of the trace: clock, averaging and sampling, seconds."""
        window_s = self.window_s or period_s
        return math.sqrt(self.clock_s**2 + window_s**2 / 12.0 + period_s**2 / 12.0)


def sensor_of(meter: MeterSpec | None, session: SessionRecord) -> Sensor:
    """Put together what farm.yaml declares and what the board told in this session."""
    told, declared = session.scalars, meter or MeterSpec("hwmon")
    gain = declared.accuracy or UNDECLARED_GAIN
    window_s = declared.averaging_s or told.get("power_window_s", 0.0)
    rate_hz = told.get("power_rate_hz", 0.0)
    assumed = [] if declared.accuracy else [f"accuracy not declared, taken as ±{UNDECLARED_GAIN:.0%}"]
    assumed += [] if window_s else ["averaging time not known, taken as one sampling period"]
    return Sensor(
        gain=gain,
        offset_w=declared.offset_w,
        step_w=told.get("power_step_w", 0.0),
        window_s=window_s,
        range_w=declared.range_w or told.get("power_range_w", 0.0),
        period_s=1.0 / rate_hz if rate_hz > 0 else 0.0,
        clock_s=told.get("power_clock_u_s", 0.0),
        is_regular=bool(told.get("power_is_regular")),
        assumed=tuple(assumed),
    )


def first_problem(trace: PowerTrace, window: tuple[float, float], sensor: Sensor) -> str:
    """Say what spoils a trace of power readings inside the window, or nothing.

    Args:
        trace: finite readings.
        window: start and end, inside the trace.
        sensor: what is known of it.
    """
    return next(filter(None, _problems(trace, window, sensor)), "")


def _problems(trace: PowerTrace, window: tuple[float, float], sensor: Sensor) -> Iterator[str]:
    inside = (trace.t_s >= window[0]) & (trace.t_s <= window[1])
    watts = trace.power_w[inside]
    if watts.size < FEWEST_SAMPLES:
        yield f"{watts.size} samples in the window, at least {FEWEST_SAMPLES} needed"
        return
    yield _impossible(trace.power_w)
    yield _clip(watts, sensor, last_w=float(trace.power_w[-1]))
    is_steady = _is_alive(trace, window) and 0 < sensor.window_s <= 1.5 * (sensor.period_s or math.inf)
    yield _frozen(watts, is_steady=is_steady)
    yield window_problem(window, sensor)


def sampling_problem(times: FloatArray, sensor: Sensor, session: SessionRecord) -> str:
    """Say how the readings inside the window stand too far apart or came too late."""
    gaps = np.diff(times)
    period_s = sensor.period_s or float(np.median(gaps))
    if gaps.max() > LARGEST_GAP_PERIODS * period_s:
        return f"a gap of {gaps.max():.3g} s between samples, {period_s:.3g} s expected (dropout)"
    late = session.scalars.get("power_late_count", 0.0)
    if late > MOST_LATE * times.size:
        return f"{late:g} samples were late: the board had no time for the sampler"
    return ""


def window_problem(window: tuple[float, float], sensor: Sensor) -> str:
    """Say that the window holds too few of the sensor's averaging times."""
    length_s = window[1] - window[0]
    if length_s >= FEWEST_AVERAGING_TIMES * sensor.window_s:
        return ""
    return (
        f"the window of {length_s:.3g} s holds {length_s / sensor.window_s:.3g} averaging times of the sensor "
        f"({sensor.window_s:.3g} s), at least {FEWEST_AVERAGING_TIMES:g} needed: set `window` of its `power`"
    )


def _impossible(watts: FloatArray) -> str:
    if (watts < 0).any():
        return "negative power (wrong rail or sign)"
    return f"{watts.max():.4g} W is beyond any board (wrong unit?)" if watts.max() > FASTEST_W else ""


def _clip(watts: FloatArray, sensor: Sensor, *, last_w: float) -> str:
    """Find the end of the sensor's range; `last_w`: the last reading of the trace, when the load is long over."""
    if sensor.range_w and watts.max() >= CLIPPED * sensor.range_w:
        return f"{watts.max():.4g} W is the end of the sensor's range of {sensor.range_w:.4g} W (clipped)"
    # A finely resolved trace meets its own maximum once; a flat top is the end of a range that nobody declared.
    top = np.flatnonzero(watts == watts.max())
    at_top = int(top.size)
    if last_w == watts.max() and top[-1] - top[0] == at_top - 1:
        return ""  # one flat stretch that goes on at rest: no range, a sensor that stands still
    is_fine = np.unique(watts).size > watts.size / 4
    if is_fine and at_top >= max(5.0, 0.02 * watts.size):
        return f"{at_top} samples are exactly the highest, {watts.max():.4g} W: the end of a range (clipped)"
    return ""


def _frozen(watts: FloatArray, *, is_steady: bool) -> str:
    """Find a sensor that stood still; `is_steady`: equal readings are believed, for it is quick and has moved."""
    if np.ptp(watts) == 0:
        return "" if is_steady else f"all {watts.size} samples are equal (frozen sensor)"
    longest, allowed = _longest_run(watts)
    if longest > allowed:
        return f"{longest} samples in a row are equal while the others move (frozen sensor)"
    duplicates = float(np.mean(np.diff(watts) == 0))
    if duplicates > MOST_DUPLICATES and not is_steady:
        return f"{duplicates:.0%} of the samples repeat the one before (sampled faster than the sensor updates)"
    return ""


def _longest_run(watts: FloatArray) -> tuple[int, float]:
    """Return the longest run of equal readings, and the longest that the others make believable."""
    starts = np.flatnonzero(np.concatenate(([True], np.diff(watts) != 0)))
    runs = np.diff(np.concatenate((starts, [watts.size])))
    longest = int(runs.max())
    others = watts.size - longest
    repeats = others - (runs.size - 1)
    share = max(repeats / others, 0.05) if others else 1.0
    # Runs of a repeating sensor are geometric: P(run > k) = share^k, for each of the readings. Source: [R] textbook.
    allowed = math.inf if share > 0.98 else math.log(STUCK_CHANCE / watts.size) / math.log(share)
    return longest, allowed


def _is_alive(trace: PowerTrace, window: tuple[float, float]) -> bool:
    """Whether readings moved both before and after the window, as an idle time and the load make them."""
    before, after = trace.power_w[trace.t_s <= window[0]], trace.power_w[trace.t_s >= window[1]]
    return bool(before.size and after.size and np.ptp(before) > 0 and np.ptp(after) > 0)


def rival_problem(session: SessionRecord) -> str:
    """Say that the same sensor's volts and amperes contradict its watts."""
    ratio = session.scalars.get("power_rival_ratio", 0.0)
    if not ratio or abs(ratio - 1.0) <= MOST_RIVAL:
        return ""
    return f"volts times amperes of the same sensor are {ratio:.3g} times its power"


def scatter_problem(loaded: PowerTrace, sensor: Sensor) -> str:
    """Say that the load moves too fast for the readings; a sensor that averages from one to the next misses nothing."""
    share = between_readings_j(loaded) / max(loaded.energy_j(), 1e-12)
    spacing_s = float(np.mean(np.diff(loaded.t_s)))
    if share <= MOST_SCATTER or sensor.window_s >= (0.8 if sensor.is_regular else 2.0) * spacing_s:
        return ""
    return (
        f"the power changes faster than it is sampled (undersampled): {share:.2%} of the energy is uncertain, "
        f"{MOST_SCATTER:.2%} allowed; set a higher `rate` or a longer `window` of its `power`"
    )


def between_readings_j(trace: PowerTrace) -> float:
    """Estimate what the trapezoids may miss between readings, standard deviation in J.

    Each reading is compared with the straight line between its neighbours. For white noise this is the exact deviation
    of the integral; for steps between readings it is twice too large.
    """
    t, w = trace.t_s, trace.power_w
    if t.size < 3:
        return math.inf
    share = (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
    off = w[1:-1] - (1 - share) * w[:-2] - share * w[2:]
    variance = off**2 / (1.0 + share**2 + (1.0 - share) ** 2)
    weights = 0.5 * (t[2:] - t[:-2])
    return float(np.sqrt(np.sum(weights**2 * variance)))
