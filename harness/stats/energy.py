"""Energy from a power trace: trapezoids with interpolated edges, and the checks that make a trace worth a number.

Works on one session's arrays (board clock, seconds and watts). Knows no sensor and no limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.records.cell import SessionRecord
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.stats.evidence import Evidence, Missing, finite, implausible
from harness.stats.quantile import FloatArray

FEWEST_SAMPLES = 100
LARGEST_GAP_PERIODS = 3.0
MOST_DUPLICATES = 0.5
LARGEST_IDLE_DRIFT = 0.02
FEWEST_INFERENCES = 10
LEAST_IDLE_COVERED = 0.8


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """Power over time: `t_s` strictly increasing seconds on the board's clock, `power_w` watts, both shape (n,)."""

    t_s: FloatArray
    power_w: FloatArray

    def between(self, start_s: float, end_s: float) -> PowerTrace:
        """Cut a window out; its edges are interpolated linearly."""
        inside = (self.t_s > start_s) & (self.t_s < end_s)
        edges = np.interp([start_s, end_s], self.t_s, self.power_w)
        times = np.concatenate(([start_s], self.t_s[inside], [end_s]))
        return PowerTrace(times, np.concatenate((edges[:1], self.power_w[inside], edges[1:])))

    def energy_j(self) -> float:
        """Integrate the whole trace by trapezoids."""
        return float(np.sum(0.5 * (self.power_w[1:] + self.power_w[:-1]) * np.diff(self.t_s)))

    def mean_w(self) -> float:
        """Average over time (not over samples, which may be uneven)."""
        return self.energy_j() / float(self.t_s[-1] - self.t_s[0])


def energy_figures(evidence: Evidence, session: SessionRecord) -> dict[str, float] | Missing:
    """Integrate one energy session.

    Returns:
        total_j and total_w; with idle windows also idle_w, dynamic_j (idle subtracted), or why there is no number.

    Source: MLPerf Tiny (window edges), GUM for what the checks protect.
    """
    trace = _trace(evidence, session)
    if isinstance(trace, Missing):
        return trace
    window = _window(session, "window_start_s", "window_end_s", trace)
    if isinstance(window, Missing):
        return window
    spoiled = _check_window(trace, window)
    if spoiled:
        return Missing(f"power trace: {spoiled}", why=Abstention.SENSOR)
    inferences = session.scalars.get("inference_count", 0.0)
    if inferences < FEWEST_INFERENCES:
        return Missing(
            f"power trace: {inferences:g} inferences in the window, at least {FEWEST_INFERENCES} needed",
            why=Abstention.SENSOR,
        )
    loaded = trace.between(*window)
    figures = {"total_j": loaded.energy_j() / inferences, "total_w": loaded.mean_w()}
    return _with_idle(figures, session, trace, window, inferences)


def _with_idle(
    figures: dict[str, float], session: SessionRecord, trace: PowerTrace, window: tuple[float, float], inferences: float
) -> dict[str, float] | Missing:
    idles: list[float] = []
    for side in ("before", "after"):
        edges = _idle_window(session, side, trace)
        if edges:
            idles.append(trace.between(*edges).mean_w())
    if not idles:
        return figures
    idle_w = float(np.mean(idles))
    step = np.diff(np.unique(trace.power_w))
    tolerance = max(LARGEST_IDLE_DRIFT * abs(idle_w), 3.0 * float(step.min()) if step.size else 0.0)
    if max(idles) - min(idles) > tolerance:
        return Missing(
            f"power trace: idle power drifted from {idles[0]:.3g} W to {idles[-1]:.3g} W around the window",
            why=Abstention.SENSOR,
        )
    dynamic_j = figures["total_j"] - idle_w * (window[1] - window[0]) / inferences
    return {**figures, "idle_w": idle_w, "dynamic_j": dynamic_j}


def _trace(evidence: Evidence, session: SessionRecord) -> PowerTrace | Missing:
    times = finite(evidence.array(session, "power_t_s"), "power times")
    watts = finite(evidence.array(session, "power_w"), "power samples")
    if isinstance(times, Missing) or isinstance(watts, Missing):
        missing = times if isinstance(times, Missing) else watts
        assert isinstance(missing, Missing)
        if missing.outcome is Outcome.INFRA:
            return missing
        return Missing(f"{missing.reason}: the power sensor is absent", Outcome.DEVICE, Attribution.DEVICE)
    if times.size != watts.size or times.size < 2 or (np.diff(times) <= 0).any():
        return implausible(f"power times of session {session.order} do not increase with its samples")
    if (watts < 0).any():
        return Missing("power trace: negative power (wrong rail or sign)", why=Abstention.SENSOR)
    return PowerTrace(times, watts)


def _window(session: SessionRecord, start: str, end: str, trace: PowerTrace) -> tuple[float, float] | Missing:
    if start not in session.scalars or end not in session.scalars:
        return Missing(f"session {session.order} has no {start}")
    edges = (session.scalars[start], session.scalars[end])
    if not trace.t_s[0] <= edges[0] < edges[1] <= trace.t_s[-1]:
        return Missing("power trace: the window is not covered by samples", why=Abstention.SENSOR)
    return edges


def _idle_window(session: SessionRecord, side: str, trace: PowerTrace) -> tuple[float, float] | None:
    """Return the part of an idle time that samples cover, if that is nearly all (the sampler starts inside it)."""
    start, end = session.scalars.get(f"idle_{side}_start_s"), session.scalars.get(f"idle_{side}_end_s")
    if start is None or end is None or end <= start:
        return None
    covered = max(start, float(trace.t_s[0])), min(end, float(trace.t_s[-1]))
    return covered if covered[1] - covered[0] >= LEAST_IDLE_COVERED * (end - start) else None


def _check_window(trace: PowerTrace, window: tuple[float, float]) -> str:
    """Say what spoils the trace inside the window, or nothing."""
    inside = (trace.t_s >= window[0]) & (trace.t_s <= window[1])
    times, watts = trace.t_s[inside], trace.power_w[inside]
    if watts.size < FEWEST_SAMPLES:
        return f"{watts.size} samples in the window, at least {FEWEST_SAMPLES} needed"
    if np.ptp(watts) == 0:
        return f"all {watts.size} samples are equal (frozen sensor)"
    duplicates = float(np.mean(np.diff(watts) == 0))
    if duplicates > MOST_DUPLICATES:
        return f"{duplicates:.0%} of the samples repeat the one before (sampled faster than the sensor updates)"
    gaps = np.diff(times)
    if gaps.max() > LARGEST_GAP_PERIODS * float(np.median(gaps)):
        return f"a gap of {gaps.max():.3g} s between samples, median {np.median(gaps):.3g} s"
    return ""
