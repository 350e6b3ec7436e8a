"""What the sound pairs of one stage say of one metric: a figure per session, ready for a sequential test.

Owns which sessions count for which comparison, and how small a step or scatter may be believed. Knows no limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.records.cell import Role, SessionKind, SessionRecord, Stage
from harness.records.outcome import Abstention
from harness.spec.metric import METRICS
from harness.stats.comparison import baseline_failure
from harness.stats.evidence import Evidence, Missing, contradiction, unlike_arms
from harness.stats.figure import QUANTILES, latencies, session_figure, session_kind
from harness.stats.noise import known_noise
from harness.stats.pair import Round, rounds
from harness.stats.quantile import FloatArray
from harness.stats.timed_output import timed_output_problem
from harness.stats.trial import CAP
from harness.units import Dimension

NOISE_FLOOR = 0.5
"""A board may have a calmer day than when its noise was measured, hardly one of less than half of it. (The whole of it
would cost 4.9 instead of 4.2 pairs at 2 % noise and 5 % margin.)"""
SENSED_STEP = 1e-3
"""Relative step of a power figure."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The sound observations of a metric in one stage, in the order in which they ran, SI."""

    candidate: tuple[float, ...]
    baseline: tuple[float, ...]
    """One per candidate figure, its partner; empty when the limit is absolute."""
    calls: tuple[FloatArray, ...]
    """Latencies of each candidate session; empty for what is no quantile of latencies."""
    void: tuple[Round, ...]

    def worsening(self, metric: str) -> tuple[float, ...]:
        """Return the log-ratio of each pair; positive means worse."""
        sign = 1.0 if METRICS[metric].lower_is_better else -1.0
        return tuple(sign * math.log(a / b) for a, b in zip(self.candidate, self.baseline, strict=True))


def observe(evidence: Evidence, metric: str, stage: Stage, *, relative: bool) -> Observed | Missing:
    """Collect the figures of one stage.

    Args:
        evidence: a cell that is measured in pairs, finished or under way.
        metric: a metric that is decided in pairs.
        stage: which pairs.
        relative: whether the baseline is compared.

    Returns:
        The observations, none yet at the beginning; or why this metric can never have any here.
    """
    problem = unusable(evidence, metric, relative=relative)
    if problem:
        return problem
    seen = rounds(evidence, session_kind(evidence, metric), stage, compared=relative)
    sound = [item for item in seen if not item.void and item.candidate and (item.baseline or not relative)][:CAP]
    ours = _figures(evidence, metric, [item.candidate for item in sound])
    theirs = _figures(evidence, metric, [item.baseline for item in sound] if relative else [])
    calls = _calls(evidence, metric, [item.candidate for item in sound])
    for found in (ours, theirs, calls):
        if isinstance(found, Missing):
            return found
    assert not isinstance(ours, Missing)
    assert not isinstance(theirs, Missing)
    assert not isinstance(calls, Missing)
    return Observed(ours, theirs, calls, tuple(item for item in seen if item.void))


def unusable(evidence: Evidence, metric: str, *, relative: bool) -> Missing | None:
    """Say what keeps a metric from ever being decided in pairs here: then no more is measured for it."""
    problem = contradiction(evidence)
    if problem:
        return problem
    if relative and evidence.planned.baseline is None:
        return Missing("no baseline: the suite names no baseline file", why=Abstention.BASELINE)
    if relative and baseline_failure(evidence):
        return Missing(f"no baseline: {baseline_failure(evidence)}", why=Abstention.BASELINE)
    kind = session_kind(evidence, metric)
    if kind is SessionKind.TIMING:
        for role in (Role.CANDIDATE, Role.BASELINE) if relative else (Role.CANDIDATE,):
            words = timed_output_problem(evidence, role)
            if words:
                return Missing(words, why=Abstention.ANSWERS)
    if not relative:
        return None
    seen = (item for stage in Stage for item in rounds(evidence, kind, stage, compared=True))
    return unlike_arms([(item.candidate, item.baseline) for item in seen if item.candidate and item.baseline])


def floor_of(evidence: Evidence, metric: str, *, relative: bool) -> float:
    """Return the least standard deviation of log-figures that is believed: the instrument's step, or the board's noise.

    A pair's log-ratio has twice the variance of one session's.
    """
    known = known_noise(evidence, metric)
    noise = 0.0 if known is None else NOISE_FLOOR * known.sd
    return max(_step(evidence, metric), noise if relative else noise / math.sqrt(2.0))


def _step(evidence: Evidence, metric: str) -> float:
    """Return the relative step of the figures, from the first session: what later ones say must not move a look."""
    kind = session_kind(evidence, metric)
    first = next(iter(evidence.sessions(Role.CANDIDATE, kind)), None)
    figure = session_figure(evidence, first, metric) if first else 0.0
    if kind is SessionKind.ENERGY or first is None or isinstance(figure, Missing) or figure == 0:
        return SENSED_STEP
    if metric.startswith("work."):
        return 1.0 / figure
    resolution_s = first.scalars.get("clock_resolution_s", 0.0)
    return resolution_s * figure if METRICS[metric].dimension is Dimension.RATE else resolution_s / figure


def _figures(evidence: Evidence, metric: str, sessions: Sequence[SessionRecord | None]) -> tuple[float, ...] | Missing:
    figures: list[float] = []
    for session in sessions:
        assert session is not None
        figure = session_figure(evidence, session, metric)
        if isinstance(figure, Missing):
            return figure
        if figure <= 0:
            return Missing(f"{metric} of session {session.order} is 0: it has no ratio", why=Abstention.FEW)
        figures.append(figure)
    return tuple(figures)


def _calls(
    evidence: Evidence, metric: str, sessions: Sequence[SessionRecord | None]
) -> tuple[FloatArray, ...] | Missing:
    found: list[FloatArray] = []
    for session in sessions if metric in QUANTILES else ():
        assert session is not None
        calls = latencies(evidence, session)
        if isinstance(calls, Missing):
            return calls
        found.append(calls)
    return tuple(found)
