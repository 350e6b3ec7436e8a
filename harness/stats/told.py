"""Figures that a tool reports of a model by its own method: one per session, as it printed them.

They are not measured by us: their metrics have names of their own (`tool.*`), so that no gate and no comparison mixes
them with ours. What a tool printed is kept as it is; the figure is read from it again whenever it is judged.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from harness.records.cell import SessionRecord
from harness.records.outcome import Abstention
from harness.spec.metric import METRICS
from harness.spec.workload import Tool
from harness.stats.evidence import Evidence, Missing
from harness.stats.quantile import fewest_samples, order_quantile
from harness.stats.tool import Told, Unreadable, read_output

TOLD_MEMORY = "tool.memory."
TOLD = tuple(name for name, metric in METRICS.items() if metric.told)
TOLD_TIMES = tuple(name for name in TOLD if not name.startswith(TOLD_MEMORY))
_QUANTILES = {"tool.latency.p50": 0.50, "tool.latency.p90": 0.90, "tool.latency.p95": 0.95, "tool.latency.p99": 0.99}
_MEAN = "tool.latency.mean"


def told_figure(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    """Return what the tool reports, or why there is no such figure.

    Args:
        evidence: the cell.
        session: a timing session of a tool.
        metric: one of `TOLD`.
    """
    tool = evidence.planned.workload.tool
    if tool is None:
        return Missing(f"session {session.order} ran no tool")
    stdout, stderr = (_bytes(evidence, session, name) for name in ("stdout", "stderr"))
    try:
        told = read_output(tool, stdout, stderr)
    except Unreadable as error:
        return Missing(f"the output of session {session.order} cannot be read as {tool.format}: {error}")
    return _figure(told, metric, name_of(tool))


def name_of(tool: Tool) -> str:
    """Name a tool by its file, as a reader of a report knows it."""
    return PurePosixPath(tool.program or tool.file).name


def _figure(told: Told, metric: str, name: str) -> float | Missing:
    if metric in told.figures:
        return _enough(told.figures[metric], told.count, metric)
    if metric in told.several:
        tests = ", ".join(told.several[metric])
        return Missing(f"{name} reports it for {tests}: ask for one of them in `argv`")
    if told.times_s and metric in (_MEAN, *_QUANTILES):
        times = np.asarray(told.times_s)
        value = float(times.mean()) if metric == _MEAN else order_quantile(times, _QUANTILES[metric])
        return _enough(value, times.size, metric)
    known = ", ".join([*sorted(told.figures), *(["times of single inferences"] if told.times_s else [])]) or "no figure"
    return Missing(f"{name} does not report {metric}, only {known}")


def _enough(value: float, count: int, metric: str) -> float | Missing:
    """Refuse a quantile of so few inferences that it is only their extreme."""
    need = fewest_samples(_QUANTILES[metric]) if metric in _QUANTILES else 1
    if 0 < count < need:
        return Missing(f"{metric} of {count} inferences is only their extreme: run at least {need}", why=Abstention.FEW)
    return value


def _bytes(evidence: Evidence, session: SessionRecord, name: str) -> bytes:
    found = evidence.array(session, name)
    return b"" if found is None else found.astype(np.uint8).tobytes()
