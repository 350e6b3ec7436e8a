"""Energy of one session: the integral over its window, what idle takes off, and how uncertain it is.

Works on one session's arrays (board clock, seconds, watts or counted joules). Which traces are worth a number is said
by `harness.stats.sensor`; knows no limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.records.cell import SessionRecord
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.stats.energy_uncertainty import EnergyUncertainty, energy_uncertainty
from harness.stats.evidence import Evidence, Missing, finite, implausible
from harness.stats.marker import lag_problem
from harness.stats.quantile import FloatArray
from harness.stats.sensor import (
    FEWEST_SAMPLES,
    MOST_DROPPED,
    MOST_EDGE,
    Sensor,
    first_problem,
    rival_problem,
    sampling_problem,
    scatter_problem,
    sensor_of,
    window_problem,
)
from harness.stats.trace import CounterTrace, PowerTrace, unwrap

LARGEST_IDLE_DRIFT = 0.02
FEWEST_INFERENCES = 10
FEWEST_TEXTS = 3
"""… of a language model, which takes seconds over one; the window begins and ends with a text."""
FEWEST_COUNTS = 20
"""Changes of a counter in the window: its edges lie between two of them."""
LARGEST_STILL = 8.0
"""Times the usual one between two changes of a counter."""
LEAST_IDLE_COVERED = 0.8

Window = tuple[float, float]
Trace = PowerTrace | CounterTrace


@dataclass(frozen=True, slots=True)
class SessionEnergy:
    """What one energy session says, per inference; joules and watts."""

    total_j: float
    total_w: float
    uncertainty: EnergyUncertainty
    """Per inference."""
    bound: float
    """What the sensor's own accuracy may be off by, relative; no repetition averages it out."""
    assumed: tuple[str, ...]
    """What is not known of the sensor, in words."""
    idle_w: float | None = None
    dynamic_j: float | None = None
    """With idle taken off."""
    slowdown: float | None = None
    """How much longer an inference took while power was sampled, relative."""

    def figures(self) -> dict[str, float]:
        """Return what is kept beside a figure, by name with its unit."""
        u = self.uncertainty
        found = {
            "total_j": self.total_j,
            "total_w": self.total_w,
            "idle_w": self.idle_w,
            "dynamic_j": self.dynamic_j,
            "slowdown_ratio": self.slowdown,
            "uncertainty_j": u.total,
            "u_gain_j": u.gain,
            "u_offset_j": u.offset,
            "u_scatter_j": u.scatter,
            "u_step_j": u.step,
            "u_edge_start_j": u.start,
            "u_edge_end_j": u.end,
        }
        return {name: value for name, value in found.items() if value is not None}


def session_energy(evidence: Evidence, session: SessionRecord) -> SessionEnergy | Missing:
    """Integrate one energy session, or say why there is no number; an inference of a language model is all its texts.

    Source: MLPerf Tiny (window edges), GUM for what the checks protect.
    """
    sensor = sensor_of(evidence.device.power, session)
    found = _read(evidence, session, sensor)
    if isinstance(found, Missing):
        return found
    trace, window = found
    inferences = session.scalars.get("inference_count", 0.0)
    fewest = FEWEST_INFERENCES if evidence.planned.workload.generation is None else FEWEST_TEXTS
    if inferences < fewest:
        return _spoiled(f"{inferences:g} inferences in the window, at least {fewest} needed")
    loaded = trace.between(*window)
    unsure = energy_uncertainty(trace, window, sensor)
    if unsure.edges > MOST_EDGE * loaded.energy_j():
        return _spoiled(
            f"the power changes at the edges of the window, whose times are known to {sensor.time_s(0.0):.2g} s: "
            f"{unsure.edges / loaded.energy_j():.1%} of the energy is uncertain; set a longer `window` of its `power`"
        )
    idle = _idle_w(session, trace, sensor)
    if isinstance(idle, Missing):
        return idle
    lag = "" if idle is None else lag_problem(trace, session, sensor, idle)
    if lag:
        return _spoiled(lag)
    total_j = loaded.energy_j() / inferences
    per_inference = (
        value / inferences
        for value in (unsure.gain, unsure.offset, unsure.scatter, unsure.step, unsure.start, unsure.end)
    )
    return SessionEnergy(
        total_j=total_j,
        total_w=loaded.mean_w(),
        uncertainty=EnergyUncertainty(*per_inference),
        bound=sensor.gain + sensor.offset_w / max(loaded.mean_w(), 1e-12),
        assumed=sensor.assumed,
        idle_w=idle,
        dynamic_j=None if idle is None else total_j - idle * (window[1] - window[0]) / inferences,
        slowdown=_slowdown(session, (window[1] - window[0]) / inferences),
    )


def _read(evidence: Evidence, session: SessionRecord, sensor: Sensor) -> tuple[Trace, Window] | Missing:
    """Return the trace and its window, if both are sound."""
    if evidence.array(session, "energy_j") is not None:
        return _read_counter(evidence, session, sensor)
    trace = _read_power(evidence, session)
    if isinstance(trace, Missing):
        return trace
    window = _window(session, trace)
    if isinstance(window, Missing):
        return window
    inside = trace.t_s[(trace.t_s >= window[0]) & (trace.t_s <= window[1])]
    starved = sampling_problem(inside, sensor, session) if inside.size >= FEWEST_SAMPLES else ""
    if starved:
        return _spoiled(starved, Abstention.LOAD)
    spoiled = first_problem(trace, window, sensor) or rival_problem(session)
    if spoiled:
        return _spoiled(spoiled)
    unsteady = scatter_problem(trace.between(*window), sensor)
    return _spoiled(unsteady, Abstention.LOAD) if unsteady else (trace, window)


def _read_power(evidence: Evidence, session: SessionRecord) -> PowerTrace | Missing:
    times = _times(evidence, session)
    watts = evidence.array(session, "power_w")
    if isinstance(times, Missing) or watts is None or watts.size == 0:
        return times if isinstance(times, Missing) else _absent("no power samples came back")
    if watts.ndim != 1 or times.size != watts.size or (np.diff(times) <= 0).any() or times.size < 2:
        return implausible(f"power times of session {session.order} do not increase with its samples")
    rails = evidence.array(session, "rail_w")
    if rails is not None and (rails < 0).any():
        return _spoiled("negative power on one of the rails (wrong rail or sign)")
    numbers = watts.astype(np.float64)
    is_number = np.isfinite(numbers)
    dropped = int(np.count_nonzero(~is_number))
    if dropped > MOST_DROPPED * numbers.size:
        fault = session.settings.get("power_fault", "")
        return _spoiled(f"{dropped} of {numbers.size} readings were no number (dropout)" + (f": {fault}" * bool(fault)))
    return PowerTrace(times[is_number], numbers[is_number])


def _read_counter(evidence: Evidence, session: SessionRecord, sensor: Sensor) -> tuple[Trace, Window] | Missing:
    times, raw = _times(evidence, session), evidence.array(session, "energy_j")
    ranges = evidence.array(session, "energy_range_j")
    if isinstance(times, Missing):
        return times
    if raw is None or ranges is None or raw.shape != (times.size, ranges.size) or (np.diff(times) <= 0).any():
        return implausible(f"energy counts of session {session.order} do not fit their times")
    if not np.isfinite(raw).all():
        return _spoiled("readings of the energy counter were no number: " + session.settings.get("power_fault", ""))
    counted = np.zeros(times.size)
    for counter in range(ranges.size):
        risen = unwrap(times, raw[:, counter].astype(np.float64), float(ranges[counter]))
        if isinstance(risen, str):
            return _spoiled(risen)
        counted += risen
    trace = CounterTrace(times, counted)
    window = _window(session, trace)
    if isinstance(window, Missing):
        return window
    spoiled = _counter_problem(trace, window, sensor)
    if spoiled:
        return _spoiled(spoiled)
    starved = sampling_problem(trace.t_s[(trace.t_s >= window[0]) & (trace.t_s <= window[1])], sensor, session)
    return _spoiled(starved, Abstention.LOAD) if starved else (trace, window)


def _counter_problem(trace: CounterTrace, window: Window, sensor: Sensor) -> str:
    inside = (trace.t_s >= window[0]) & (trace.t_s <= window[1])
    times, changes = trace.t_s[inside], int(np.count_nonzero(np.diff(trace.count_j[inside])))
    if times.size < 3 or changes == 0:
        return f"the energy counter did not move in the window ({times.size} readings)"
    if changes < FEWEST_COUNTS:
        return f"the energy counter moved {changes} times in the window, at least {FEWEST_COUNTS} needed"
    # The longest time without a change, not only without a reading: a counter that stands still is frozen.
    moved = times[1:][np.diff(trace.count_j[inside]) > 0]
    still_s = float(np.diff(np.concatenate((times[:1], moved, times[-1:]))).max())
    if still_s > max(LARGEST_STILL * float(np.median(np.diff(moved))), 3.0 * (window[1] - window[0]) / times.size):
        return f"the energy counter stood still for {still_s:.3g} s (frozen sensor)"
    return window_problem(window, sensor)


def _times(evidence: Evidence, session: SessionRecord) -> FloatArray | Missing:
    times = finite(evidence.array(session, "power_t_s"), "power times")
    return _absent(times.reason) if isinstance(times, Missing) and times.outcome is not Outcome.INFRA else times


def _absent(reason: str) -> Missing:
    return Missing(f"{reason}: the power sensor is absent", Outcome.DEVICE, Attribution.DEVICE)


def _spoiled(words: str, why: Abstention = Abstention.SENSOR) -> Missing:
    return Missing(f"power trace: {words}", why=why)


def _window(session: SessionRecord, trace: Trace) -> Window | Missing:
    start, end = session.scalars.get("window_start_s"), session.scalars.get("window_end_s")
    if start is None or end is None:
        return Missing(f"session {session.order} has no window_{'start' if start is None else 'end'}_s")
    if not trace.t_s[0] <= start < end <= trace.t_s[-1]:
        return _spoiled("the window is not covered by samples")
    return start, end


def _idle_w(session: SessionRecord, trace: Trace, sensor: Sensor) -> float | Missing | None:
    """Return the mean power at rest; None where no idle time is covered, Missing where it is not stable."""
    idles = {side: _idle_window(session, side, trace) for side in ("before", "after")}
    means = {side: trace.between(*edges).mean_w() for side, edges in idles.items() if edges}
    if not means:
        return None
    idle_w = float(np.mean(list(means.values())))
    tolerance = max(LARGEST_IDLE_DRIFT * abs(idle_w), 3.0 * _step_w(trace, sensor))
    for side, edges in idles.items():
        halves = _halves(trace, edges) if edges else (idle_w, idle_w)
        if abs(halves[1] - halves[0]) > 2.0 * tolerance:
            words = f"idle power {side} the window is not stable: {halves[0]:.3g} W, then {halves[1]:.3g} W"
            return _spoiled(words, Abstention.LOAD)
    ends = list(means.values())
    if max(ends) - min(ends) > tolerance:
        words = f"idle power drifted from {ends[0]:.3g} W to {ends[-1]:.3g} W around the window"
        return _spoiled(words, Abstention.LOAD)
    return idle_w


def _halves(trace: Trace, edges: Window) -> tuple[float, float]:
    middle = 0.5 * (edges[0] + edges[1])
    return trace.between(edges[0], middle).mean_w(), trace.between(middle, edges[1]).mean_w()


def _step_w(trace: Trace, sensor: Sensor) -> float:
    if sensor.step_w or isinstance(trace, CounterTrace):
        return sensor.step_w
    steps = np.diff(np.unique(trace.power_w))
    return float(steps.min()) if steps.size else 0.0


def _idle_window(session: SessionRecord, side: str, trace: Trace) -> Window | None:
    """Return the part of an idle time that samples cover, if that is nearly all (the sampler starts inside it)."""
    start, end = session.scalars.get(f"idle_{side}_start_s"), session.scalars.get(f"idle_{side}_end_s")
    if start is None or end is None or end <= start:
        return None
    covered = max(start, float(trace.t_s[0])), min(end, float(trace.t_s[-1]))
    return covered if covered[1] - covered[0] >= LEAST_IDLE_COVERED * (end - start) else None


def _slowdown(session: SessionRecord, sampled_s: float) -> float | None:
    """Compare an inference under the sampler with the same loop before and after it."""
    plain = [session.scalars[name] for name in ("plain_before_s", "plain_after_s") if name in session.scalars]
    return sampled_s / float(np.mean(plain)) - 1.0 if plain and min(plain) > 0 else None
