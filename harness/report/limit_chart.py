"""One gate against its limit as a drawing of one line, the same for every metric.

Owns that the limit stands in the middle and worse is to the right, so that a column of them reads at a glance.
"""

from __future__ import annotations

import math

from markupsafe import Markup

from harness.gate.decide import ends
from harness.records.verdict import Verdict
from harness.report import svg, wording
from harness.report.cell import GateView


def gate_chart(gate: GateView) -> Markup:
    """Draw one gate against its limit: the limit stands in the middle, worse is always to the right.

    Gates without a figure or a limit get no drawing.
    """
    verdict = gate.verdict
    estimate, limit = verdict.estimate, verdict.limit
    if estimate is None or limit is None or not math.isfinite(limit):
        return Markup("")
    sign = -1.0 if verdict.kind == "min" else 1.0
    value, *around = (sign * (end - limit) for end in (estimate.value, *ends(estimate)))
    span = 1.25 * max(abs(away) for away in (value, *around, _least_span(verdict)) if math.isfinite(away))
    x = svg.Scale(-span, span, 2, 158)
    spoken = (
        f"{gate.name} {gate.label}".strip()
        + f": {gate.value} {gate.interval}, limit {gate.limit}, {gate.outcome.value}"
    )
    return svg.picture(
        spoken, 160, 26,
        svg.element("rect", class_="bad", x=80, y=2, width=78, height=22),
        svg.line("axis", 2, 13, 158, 13),
        svg.whisker("interval", min(around), max(around), x, 13),
        svg.element("circle", class_="value", cx=x(value), cy=13, r=4),
        svg.line("limit", 80, 1, 80, 25),
        class_=f"chart mini o-{gate.outcome.value}",
    )  # fmt: skip


def _least_span(verdict: Verdict) -> float:
    """Give the distance from the limit that fills the drawing at least, so that close stays visibly close."""
    share = 1.0 if wording.is_relative(verdict.kind) else 0.1
    return abs(verdict.limit or 0.0) * share or 1.0
