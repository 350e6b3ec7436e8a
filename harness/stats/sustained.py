"""What a load that lasts shows: the speed at its end, how it fades, and when the board throttles.

One session per arm, for each takes long. Its own scatter is that of blocks of windows, whose neighbours hang together
less than windows do; what differs from one process to the next is no part of it and is added, as far as it is known.
"No steady state" and "unknown" are answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.records.cell import Role, SessionKind, SessionRecord
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS
from harness.spec.model import Tier
from harness.stats.evidence import Evidence, Missing, finite, implausible, valid_pairs, valid_sessions
from harness.stats.noise import known_noise
from harness.stats.outlook import ASSUMED_NOISE
from harness.stats.pair import CONTROL, CONTROL_SIGMAS
from harness.stats.quantile import FloatArray

THROUGHPUT, LATENCY, FADE = "sustained.throughput", "sustained.latency", "sustained.fade"
THROTTLE, TEMPERATURE = "sustained.time_to_throttle", "sustained.temperature"
SUSTAINED = frozenset({THROUGHPUT, LATENCY, FADE, THROTTLE, TEMPERATURE})
BLOCKS, FADE_BLOCKS, FEWEST_BLOCKS = 8, 30, 6
STEADY = 0.02
"""A speed that moves by less within the last third counts as steady."""
TEN_MINUTES_S = 600.0
_Z = 1.6448536269514722
"""Of a two-sided interval of 90 %."""
MOST_UNKNOWN = 0.1
"""Share of readings without a word about throttling above which it is unknown whether there was none."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """The windows of one session: `mid_s` since the load began, throughput (1/s) and single inferences (s), (n,)."""

    mid_s: FloatArray
    rate: FloatArray
    single_s: FloatArray
    is_paced: bool
    """Begun at a rate: then the throughput is that rate, and the speed is that of single inferences."""
    length_s: float

    @property
    def speed(self) -> FloatArray:
        """Inferences per second of computing, shape (n,)."""
        return 1.0 / self.single_s if self.is_paced else self.rate


@dataclass(frozen=True, slots=True)
class _Level:
    """A level of the last third: its value, and half of its 90 % interval as a log-ratio, of this session alone."""

    value: float
    half: float
    windows: int


def sustained_estimate(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    """Estimate a metric of `SUSTAINED` for one arm, or say why there is none."""
    session = _session(evidence, role)
    if isinstance(session, Missing):
        return session
    if metric == TEMPERATURE:
        return _temperature(evidence, session)
    lasting = read_lasting(evidence, session)
    if isinstance(lasting, Missing):
        return lasting
    if metric == THROTTLE:
        return _time_to_throttle(evidence, session, lasting)
    if metric == FADE:
        return _fade(lasting)
    level = _level(metric, lasting)
    if isinstance(level, Missing):
        return level
    noise, source = _noise(evidence, metric)
    half = math.hypot(level.half, _Z * noise / math.sqrt(2.0))
    method = f"median of the last third, {level.windows} windows; ±{noise / math.sqrt(2.0):.1%} between processes "
    low, high = level.value * math.exp(-half), level.value * math.exp(half)
    return Estimate(level.value, low, high, level.windows, method + f"({source})", _label(evidence))


def sustained_change(evidence: Evidence, metric: str) -> Estimate | Missing:
    """Compare the ends of the two arms' sessions: 0.05 means 5 % worse."""
    pairs = valid_pairs(evidence, SessionKind.SUSTAINED)
    if isinstance(pairs, Missing):
        return pairs
    moved = _control_moved(evidence, *pairs[0])
    if moved:
        return moved
    levels = []
    for session in pairs[0]:
        lasting = read_lasting(evidence, session)
        level = lasting if isinstance(lasting, Missing) else _level(metric, lasting)
        if isinstance(level, Missing):
            return level
        levels.append(level)
    ours, theirs = levels
    noise, source = _noise(evidence, metric)
    half = math.hypot(ours.half, theirs.half, _Z * noise)
    worse = math.log(ours.value / theirs.value) * (1.0 if METRICS[metric].lower_is_better else -1.0)
    low, value, high = (math.expm1(end) for end in (worse - half, worse, worse + half))
    method = f"ratio of the last thirds of two sessions; ±{noise:.1%} between processes ({source})"
    return Estimate(value, low, high, ours.windows, method, _label(evidence))


def _control_moved(evidence: Evidence, candidate: SessionRecord, baseline: SessionRecord) -> Missing | None:
    """Say that the board was another one before the second load; after it, it is what the load has made of it."""
    times = [session.scalars.get("control_before_s", 0.0) for session in (candidate, baseline)]
    known = known_noise(evidence, CONTROL)
    allowed = CONTROL_SIGMAS * (ASSUMED_NOISE if known is None else known.sd)
    if min(times) <= 0 or abs(math.log(times[0] / times[1])) <= allowed:
        return None
    moved = times[0] / times[1] - 1.0
    words = f"the control work changed by {moved:+.1%} between the arms, allowed is {allowed:.1%}"
    return Missing(words, why=Abstention.LOAD)


def read_lasting(evidence: Evidence, session: SessionRecord) -> Lasting | Missing:
    """Take the windows out of a session, or say why they are no measurement."""
    ends, calls = (finite(evidence.array(session, name), name) for name in ("window_end_s", "window_calls"))
    single = finite(evidence.array(session, "window_median_s"), "window_median_s")
    for found in (ends, calls, single):
        if isinstance(found, Missing):
            return found
    assert not isinstance(ends, Missing)
    assert not isinstance(calls, Missing)
    assert not isinstance(single, Missing)
    start = session.scalars.get("load_start_s", math.nan)
    spans = np.diff(np.concatenate(([start], ends)))
    if not ends.size == calls.size == single.size or not (spans > 0).all() or min(calls.min(), single.min()) <= 0:
        return implausible(f"windows of session {session.order} do not follow each other")
    length_s, asked = float(ends[-1] - start), evidence.planned.workload.sustain
    if asked is not None and length_s < 0.9 * asked.time_s and single.max() < 0.1 * asked.time_s:
        return implausible(f"session {session.order} lasted {length_s:.4g} of {asked.time_s:g} s")
    is_paced = session.scalars.get("rate_hz", 0.0) > 0
    return Lasting(ends - 0.5 * spans - start, calls / spans, single, is_paced, length_s)


def _session(evidence: Evidence, role: Role) -> SessionRecord | Missing:
    if evidence.planned.workload.sustain is None:
        return Missing("the workload has no load that lasts: add `sustain` to it", why=Abstention.INPUT)
    sessions = valid_sessions(evidence, role, SessionKind.SUSTAINED)
    return sessions if isinstance(sessions, Missing) else sessions[0]


def _level(metric: str, lasting: Lasting) -> _Level | Missing:
    values = lasting.rate if metric == THROUGHPUT else lasting.single_s
    is_last = lasting.mid_s >= lasting.mid_s[-1] - lasting.length_s / 3.0
    times, values = lasting.mid_s[is_last], values[is_last]
    if values.size < BLOCKS:
        return Missing(f"{values.size} windows in the last third, at least {BLOCKS} needed: a longer `sustain`")
    blocks = np.log([np.median(block) for block in np.array_split(values, BLOCKS)])
    moments = np.array([block.mean() for block in np.array_split(times, BLOCKS)])
    slope, low, high = theil_sen(moments, blocks)
    moved = slope * float(moments[-1] - moments[0])
    if abs(moved) > STEADY and low * high > 0:
        words = f"no steady state: it still changes by {math.expm1(moved):+.1%} within the last third"
        return Missing(f"{words}; a longer `sustain` may show one", why=Abstention.EVIDENCE)
    half = float(special.stdtrit(BLOCKS - 1, 0.95)) * float(blocks.std(ddof=1)) / math.sqrt(BLOCKS)
    return _Level(float(np.median(values)), half, int(values.size))


def _fade(lasting: Lasting) -> Estimate | Missing:
    """Say what is lost in ten minutes, of the speed that the session has in the middle."""
    count = min(FADE_BLOCKS, lasting.speed.size)
    if count < FEWEST_BLOCKS:
        return Missing(f"{count} windows, at least {FEWEST_BLOCKS} needed: a longer `sustain`")
    blocks = np.array([np.median(block) for block in np.array_split(lasting.speed, count)])
    moments = np.array([block.mean() for block in np.array_split(lasting.mid_s, count)])
    scale = -TEN_MINUTES_S / float(np.median(lasting.speed))
    slope, low, high = (scale * end for end in theil_sen(moments, blocks))
    method = f"Theil-Sen slope over {count} blocks, Sen's interval, per 10 min"
    return Estimate(slope, high, low, count, method)


def theil_sen(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Return the median of the slopes of all pairs, and their 90 % interval.

    Args:
        x: shape (n,), strictly increasing, n >= 2.
        y: shape (n,).

    Source: Sen (1968), Journal of the American Statistical Association 63, 1379-1389.
    """
    n = x.size
    first, second = np.triu_indices(n, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    off = _Z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    below = max(0, math.floor((slopes.size - off) / 2.0) - 1)
    return float(np.median(slopes)), float(slopes[below]), float(slopes[slopes.size - 1 - below])


def _time_to_throttle(evidence: Evidence, session: SessionRecord, lasting: Lasting) -> Estimate | Missing:
    times, told = evidence.array(session, "signs_t_s"), evidence.array(session, "throttled")
    if times is None or told is None or times.shape != told.shape or told.size == 0:
        return _untold("whether it throttles")
    since = times.astype(np.float64) - session.scalars.get("load_start_s", math.nan)
    throttled = np.flatnonzero(told == 1.0)
    if throttled.size:
        at = int(throttled[0])
        before = max(0.0, float(since[at - 1])) if at else 0.0
        when = max(before, float(since[at]))
        return Estimate(when, before, when, int(told.size), "first reading that says so, and the one before")
    if np.mean(~np.isfinite(told)) > MOST_UNKNOWN:
        return _untold("whether it throttles")
    length_s = lasting.length_s
    return Estimate(length_s, length_s, None, int(told.size), "it did not throttle while the load lasted")


def _temperature(evidence: Evidence, session: SessionRecord) -> Estimate | Missing:
    told = evidence.array(session, "temperature_c")
    readings = np.empty(0) if told is None else told[np.isfinite(told)].astype(np.float64)
    if readings.size == 0:
        return _untold("its temperature")
    highest = float(readings.max())
    if not -60.0 < highest < 200.0:
        return Missing(f"implausible: a temperature of {highest:g} °C", Outcome.DEVICE, Attribution.DEVICE)
    return Estimate(highest, highest, highest, int(readings.size), f"highest of {readings.size} readings")


def _untold(what: str) -> Missing:
    return Missing(f"unknown: the board does not tell {what}", Outcome.DEVICE, Attribution.DEVICE)


def _noise(evidence: Evidence, metric: str) -> tuple[float, str]:
    known = known_noise(evidence, metric)
    return (ASSUMED_NOISE, "assumed") if known is None else (known.sd, known.source)


def _label(evidence: Evidence) -> str:
    return "virtual" if evidence.planned.tier is Tier.DETERMINISTIC else ""
