"""One figure per session and metric: the unit of all timed statistics is the session, never the iteration.

Knows the names of scalars and arrays that sessions bring (docs/reference.md), and nothing of limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.records.cell import SessionKind, SessionRecord
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.spec.model import MODELLED, SIMULATED, Device, Tier
from harness.stats.energy import session_energy
from harness.stats.evidence import Evidence, Missing, finite, implausible
from harness.stats.quantile import FloatArray, fewest_samples, order_quantile
from harness.stats.token_energy import TOKEN_ENERGY, token_energy
from harness.stats.told import TOLD, TOLD_TIMES, told_figure
from harness.stats.writing import CACHE, TOKEN_TIMES, TOKEN_WORK, token_time, token_work

QUANTILES = {"latency.p50": 0.50, "latency.p90": 0.90, "latency.p95": 0.95, "latency.p99": 0.99}

SCALARS = {"latency.first": "first_s", "load.time": "load_s", "memory.peak": "hwm_bytes", CACHE: "cache_bytes"}

ONCE = {"work.load": "load_instructions", "work.first": "first_instructions"}
"""Counted once per session."""

FEWEST_COUNTS = 24
"""Single counts scatter by 0.4 % (allocation), the median of this many does not; boards may count fewer."""

SENSED_FIGURES = {"power.mean": "total_w", "power.idle": "idle_w", "energy.per_inference": "total_j"}
"""Energy is gated as a whole, as a battery pays it; the figure with idle subtracted is kept beside it."""

KINDS = {
    **dict.fromkeys((*QUANTILES, "latency.mean", "latency.first", "load.time", "throughput"), SessionKind.TIMING),
    **dict.fromkeys(("work.instructions", *ONCE), SessionKind.TIMING),
    "memory.peak": SessionKind.MEMORY,
    "memory.model": SessionKind.MEMORY,
    CACHE: SessionKind.MEMORY,
    **dict.fromkeys((*TOKEN_TIMES, *TOKEN_WORK), SessionKind.TIMING),
    **dict.fromkeys(TOLD, SessionKind.TIMING),
    **dict.fromkeys((*SENSED_FIGURES, *TOKEN_ENERGY), SessionKind.ENERGY),
}
"""Metrics that have one figure per session, and the kind of session that brings it."""

TIMES = frozenset({*QUANTILES, "latency.mean", "latency.first", "load.time", "throughput", *TOKEN_TIMES, *TOLD_TIMES})


def is_modelled(evidence: Evidence, metric: str) -> bool:
    """Tell whether this metric is computed from the profile's declared model instead of a sensor."""
    return _models(evidence.device, metric)


def is_simulated(device: Device, metric: str) -> bool:
    """Tell whether a simulated meter gives this metric on a device."""
    is_sensed = metric in SENSED_FIGURES or metric in TOKEN_ENERGY
    return is_sensed and device.power is not None and device.power.kind == SIMULATED


def session_kind(evidence: Evidence, metric: str) -> SessionKind:
    """Return the kind of session that `metric` needs on this device."""
    return kind_on(evidence.device, metric)


def kind_on(device: Device, metric: str) -> SessionKind:
    """Return the kind of session that a metric of `KINDS` needs on a device."""
    return SessionKind.TIMING if _models(device, metric) else KINDS[metric]


def _models(device: Device, metric: str) -> bool:
    return metric == "energy.per_inference" and device.power is not None and device.power.kind == MODELLED


def session_figure(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    """Compute one metric from one session.

    Args:
        evidence: the cell that the session belongs to.
        session: a session of the kind that `session_kind` names.
        metric: a key of `KINDS`.

    Returns:
        The figure in SI, finite and positive (power.idle may be 0), or why there is none.
    """
    compute = _modelled_energy if is_modelled(evidence, metric) else _RULES[metric]
    figure = compute(evidence, session, metric)
    if isinstance(figure, Missing):
        return figure
    if not math.isfinite(figure) or figure < 0 or (figure == 0 and metric != "power.idle"):
        return implausible(f"{metric} of session {session.order} is {figure:g}")
    return figure


def latencies(evidence: Evidence, session: SessionRecord) -> FloatArray | Missing:
    """Return the raw latencies of a timing session in seconds, shape (repeat,), or why they are no measurement."""
    found = finite(evidence.array(session, "latency_s"), "latencies")
    if isinstance(found, Missing):
        return found
    planned = evidence.planned.workload.repeat
    if found.size < planned:
        return implausible(f"session {session.order} brought {found.size} of {planned} planned latencies")
    if (found <= 0).any():
        return implausible(f"session {session.order} has latencies that are not positive")
    if found.size > 9 and np.ptp(found) == 0 and evidence.planned.tier is not Tier.DETERMINISTIC:
        return implausible(f"all {found.size} latencies of session {session.order} are equal")
    return found


def _quantile(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    found, q = latencies(evidence, session), QUANTILES[metric]
    if isinstance(found, Missing):
        return found
    if found.size < fewest_samples(q):
        reason = f"{metric} of {found.size} samples is only their extreme: repeat at least {fewest_samples(q)}"
        return Missing(reason, why=Abstention.FEW)
    return order_quantile(found, q)


def _mean(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    found = latencies(evidence, session)
    if isinstance(found, Missing):
        return found
    return float(found.mean()) if metric == "latency.mean" else float(1.0 / found.mean())


def _scalar(_: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    name = SCALARS[metric]
    found = session.scalars.get(name)
    return Missing(f"session {session.order} brought no {name}") if found is None else found


def _model_memory(_: Evidence, session: SessionRecord, __: str) -> float | Missing:
    peak, empty = session.scalars.get("hwm_bytes"), session.scalars.get("rss_start_bytes")
    if peak is None or empty is None:
        return Missing(f"session {session.order} brought no memory figures")
    return peak - empty


def _work(evidence: Evidence, session: SessionRecord, _: str) -> float | Missing:
    raw = evidence.array(session, "instructions")
    if raw is None:
        return _no_counter(session)
    found = finite(raw, "instruction counts")
    if isinstance(found, Missing):
        return found
    fewest = min(evidence.planned.workload.repeat, FEWEST_COUNTS)
    if found.size < fewest or (found <= 0).any():
        return implausible(f"session {session.order} brought {found.size} of {fewest} counts, lowest {found.min():g}")
    return order_quantile(found, 0.5)


def _work_once(_: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    found = session.scalars.get(ONCE[metric])
    return _no_counter(session) if found is None else found


def _no_counter(session: SessionRecord) -> Missing:
    why = next((flag for flag in session.flags if flag.startswith("no-counter")), "no-counter")
    return Missing(f"the board counts no user instructions ({why})", Outcome.DEVICE, Attribution.DEVICE)


def _modelled_energy(evidence: Evidence, session: SessionRecord, _: str) -> float | Missing:
    power = evidence.device.power
    latency, work = _mean(evidence, session, "latency.mean"), _work(evidence, session, "work.instructions")
    if isinstance(latency, Missing):
        return latency
    if isinstance(work, Missing) or power is None:
        return work if isinstance(work, Missing) else Missing("the device has no energy model")
    return power.idle_w * latency + power.joule_per_instruction * work


def _sensed(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    found_energy = session_energy(evidence, session)
    if isinstance(found_energy, Missing):
        return found_energy
    found = found_energy.figures().get(SENSED_FIGURES[metric])
    return Missing(f"session {session.order} has no idle time to measure") if found is None else found


_RULES: dict[str, Callable[[Evidence, SessionRecord, str], float | Missing]] = {
    **dict.fromkeys(QUANTILES, _quantile),
    "latency.mean": _mean,
    "throughput": _mean,
    **dict.fromkeys(SCALARS, _scalar),
    "memory.model": _model_memory,
    "work.instructions": _work,
    **dict.fromkeys(ONCE, _work_once),
    **dict.fromkeys(TOKEN_TIMES, token_time),
    **dict.fromkeys(TOKEN_WORK, token_work),
    **dict.fromkeys(TOLD, told_figure),
    **dict.fromkeys(SENSED_FIGURES, _sensed),
    **dict.fromkeys(TOKEN_ENERGY, token_energy),
}
