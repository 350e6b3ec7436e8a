"""A metric of one arm of one cell: the figure with its interval, or why there is none.

Which interval belongs to which metric is decided here and nowhere else:

| figure | interval |
|---|---|
| work on a deterministic board | none: counts that repeat (`harness.stats.work`) |
| memory, energy by sensor, virtual time, modelled energy | Student's t over sessions (near-deterministic figures) |
| wall-clock times, work on hardware | order statistics of the median over sessions |
| accuracy and agreement | Wilson over samples |
| likelihood of a text, divergence of a language model | Student's t over windows (`harness.stats.likelihood`) |
| answers of a language model | exact binomial (`harness.stats.questions`) |
| both, evaluated until decided | valid at any time (`harness.stats.sequence`) |
| load that lasts | blocks of windows, with what processes differ by (`harness.stats.sustained`) |
| parity, conformance, storage, highest temperature | exact: a fact about these bytes and samples |
"""

from __future__ import annotations

import math

import numpy as np

from harness.records.cell import Role, SessionKind
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS
from harness.spec.model import MODELLED, SIMULATED, Tier
from harness.stats.accuracy import DEPTHS, hits, rate_estimate
from harness.stats.conformance import conformance_estimate
from harness.stats.energy import session_energy
from harness.stats.evidence import Evidence, Missing, contradiction, valid_sessions
from harness.stats.figure import KINDS, SENSED_FIGURES, TIMES, is_modelled, is_simulated, session_figure, session_kind
from harness.stats.interval import Interval, median_interval, student_interval
from harness.stats.likelihood import DIVERGENCES, SURPRISES, likelihood_estimate
from harness.stats.parity import parity_estimate
from harness.stats.quantile import FloatArray
from harness.stats.questions import ANSWERED, answered_estimate
from harness.stats.sustained import SUSTAINED, sustained_estimate
from harness.stats.timed_output import timed_output_problem
from harness.stats.token_energy import TOKEN_ENERGY
from harness.stats.told import name_of
from harness.stats.work import is_counted, work_estimate
from harness.stats.writing import CACHE

PAGE_BYTES = 4096.0
VIRTUAL_TICK_S = 16e-9
"""QEMU's generic timer ticks at 62.5 MHz."""


def estimate(evidence: Evidence, metric: str, role: Role = Role.CANDIDATE) -> Estimate | Missing:
    """Estimate one metric of one arm.

    Args:
        evidence: the cell.
        metric: a name of `harness.spec.metric.METRICS`.
        role: which arm.

    Returns:
        The estimate in SI, or why there is none and which outcome that is; never a figure from unusable evidence.
    """
    problem = contradiction(evidence)
    if problem:
        return problem
    if metric in KINDS:
        return _session_estimate(evidence, metric, role)
    if metric in DEPTHS:
        right = hits(evidence, role, metric)
        return right if isinstance(right, Missing) else rate_estimate(right)
    if metric in SURPRISES or metric in DIVERGENCES:
        return likelihood_estimate(evidence, metric, role)
    if metric in ANSWERED:
        return answered_estimate(evidence, metric, role)
    if metric.startswith("parity."):
        return parity_estimate(evidence, metric, role)
    if metric.startswith("conformance."):
        return conformance_estimate(evidence, metric)
    rule = sustained_estimate if metric in SUSTAINED else _exact
    return rule(evidence, metric, role)


def session_figures(evidence: Evidence, metric: str, role: Role = Role.CANDIDATE) -> FloatArray | Missing:
    """Return one figure per valid session in the order in which they ran, shape (sessions,), in SI."""
    sessions = valid_sessions(evidence, role, session_kind(evidence, metric))
    if isinstance(sessions, Missing):
        return sessions
    figures: list[float] = []
    for session in sessions:
        figure = session_figure(evidence, session, metric)
        if isinstance(figure, Missing):
            return figure
        figures.append(figure)
    return np.asarray(figures, dtype=np.float64)


def figure_label(evidence: Evidence, metric: str) -> str:
    """Return `modelled`, `simulated` or `virtual` for figures that no instrument of a board gave, else nothing.

    What a tool reports is `told by` it, whatever the board.
    """
    if is_modelled(evidence, metric):
        return MODELLED
    if is_simulated(evidence.device, metric):
        return SIMULATED
    virtual = "virtual" if metric in TIMES and evidence.planned.tier is Tier.DETERMINISTIC else ""
    tool = evidence.planned.workload.tool
    if tool is None or not METRICS[metric].told:
        return virtual
    told = f"told by {name_of(tool)}"
    return f"{virtual}, {told}" if virtual else told


def interval_over_sessions(
    evidence: Evidence, metric: str, figures: FloatArray, *, quantum: float | None = None
) -> tuple[Interval, str]:
    """Bound a figure over sessions with the interval that its metric has on this tier.

    Args:
        evidence: says tier and power source.
        metric: a key of `KINDS`.
        figures: shape (sessions,), the figures or the ratios of pairs.
        quantum: smallest step of the figures; None: that of the metric's instrument.

    Returns:
        The interval and its method in words.
    """
    n = figures.size
    if is_near_normal(evidence, metric):
        step = _quantum(metric) if quantum is None else quantum
        return student_interval(figures, quantum=step), f"Student's t over {n} sessions, 90 %"
    bounds = median_interval(figures)
    found = f"{bounds.coverage:.1%}" if math.isfinite(bounds.low) else "unbounded: at least 5 sessions needed"
    return bounds, f"order statistics of the median over {n} sessions, {found}"


def is_near_normal(evidence: Evidence, metric: str) -> bool:
    """Tell whether the metric's sessions scatter so little and evenly that Student's t may bound them."""
    if metric.startswith("memory.") or metric in SENSED_FIGURES or metric in TOKEN_ENERGY:
        return True
    return evidence.planned.tier is Tier.DETERMINISTIC


def bounded(end: float) -> float | None:
    """Return an end of an interval as records hold it: None when it is infinite."""
    return end if math.isfinite(end) else None


def _session_estimate(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    figures = session_figures(evidence, metric, role)
    if isinstance(figures, Missing):
        return figures
    problem = _untrusted_time(evidence, metric, role)
    if problem:
        return problem
    if is_counted(evidence, metric):
        return work_estimate(evidence, metric, role)
    if is_modelled(evidence, metric) and is_counted(evidence, "work.instructions"):
        counted = work_estimate(evidence, "work.instructions", role)
        if isinstance(counted, Missing):  # what is computed from a count is worth as much as that
            return counted
    bounds, method = interval_over_sessions(evidence, metric, figures)
    middle = figures.mean() if is_near_normal(evidence, metric) else np.median(figures)
    return Estimate(
        float(middle),
        bounded(bounds.low),
        bounded(bounds.high),
        int(figures.size),
        method,
        figure_label(evidence, metric),
        energy_components(evidence, metric, role),
    )


def _untrusted_time(evidence: Evidence, metric: str, role: Role) -> Missing | None:
    if session_kind(evidence, metric) is not SessionKind.TIMING:
        return None
    problem = timed_output_problem(evidence, role)
    return Missing(problem, why=Abstention.ANSWERS) if problem else None


def energy_components(evidence: Evidence, metric: str, role: Role) -> dict[str, float]:
    """Return what is kept beside a sensed figure, means over sessions: idle, what it takes off, uncertainty by term."""
    if is_modelled(evidence, metric) or metric not in SENSED_FIGURES:
        return {}
    sessions = valid_sessions(evidence, role, SessionKind.ENERGY)
    found = [] if isinstance(sessions, Missing) else [session_energy(evidence, session) for session in sessions]
    figures = [item.figures() for item in found if not isinstance(item, Missing)]
    shared = set.intersection(*(set(item) for item in figures)) if figures else set()
    return {name: float(np.mean([item[name] for item in figures])) for name in sorted(shared)}


def _quantum(metric: str) -> float:
    if metric.startswith("memory.") and metric != CACHE:
        return PAGE_BYTES
    return VIRTUAL_TICK_S if metric.startswith(("latency.", "load.", "llm.t")) else 0.0


def _exact(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    return _storage(evidence, role) if metric == "storage.size" else _temperature(evidence, role)


def _storage(evidence: Evidence, role: Role) -> Estimate | Missing:
    planned = evidence.planned.model if role is Role.CANDIDATE else evidence.planned.baseline
    if planned is None:
        return Missing("no baseline file in the plan")
    if not any(session.role is role for session in evidence.cell.sessions):
        return Missing(f"no session of the {role.value} came back, so no board opened the file")
    size = float(planned.size_bytes)
    return Estimate(size, size, size, 1, "size of the file that the board opened")


def _temperature(evidence: Evidence, role: Role) -> Estimate | Missing:
    sessions = evidence.sessions(role, SessionKind.TIMING) + evidence.sessions(role, SessionKind.ENERGY)
    readings = [item.scalars["thermal_max_c"] for item in sessions if "thermal_max_c" in item.scalars]
    if not readings:
        return Missing("the board shows no temperature", Outcome.DEVICE, Attribution.DEVICE)
    if len(readings) < len(sessions):
        reason = f"{len(sessions) - len(readings)} of {len(sessions)} sessions under load brought no temperature"
        return Missing(reason, Outcome.DEVICE, Attribution.DEVICE)
    wrong = next((reading for reading in readings if not -60.0 < reading < 200.0), None)
    if wrong is not None:
        return Missing(f"implausible: a temperature of {wrong:g} °C", Outcome.DEVICE, Attribution.DEVICE)
    highest = max(readings)
    return Estimate(highest, highest, highest, len(sessions), f"highest reading of {len(sessions)} sessions")
