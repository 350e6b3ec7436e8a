"""A gate that was decided in pairs, drawn observation by observation: what each pair said, and when it was enough.

Owns that drawing alone. Every row is one pair (or session) in the order in which they ran; the bar behind a row is what
the look at that moment left undecided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from harness.records.cell import Stage
from harness.records.verdict import Leg
from harness.report import svg, wording
from harness.report.cell import CellView, GateView
from harness.report.svg import Drawing
from harness.report.trail import trail_of
from harness.units import Dimension

WIDTH, LEFT, RIGHT, TOP = 420.0, 64.0, 14.0, 30.0
ROW, GAP, FOOT = 13.0, 12.0, 26.0
FURTHEST = 3.0
"""An early look's bar is drawn as an arrow where it would be longer than this many times the room of the others."""


def pair_charts(cell: CellView) -> tuple[Drawing, ...]:
    """Draw every gate of a cell that was decided in pairs."""
    gates = [gate for gate in cell.gates if gate.verdict.trail is not None and gate.verdict.limit is not None]
    return tuple(_drawing(gate) for gate in gates)


def _drawing(gate: GateView) -> Drawing:
    verdict = gate.verdict
    assert verdict.trail is not None
    assert verdict.limit is not None
    legs = [leg for leg in verdict.trail.legs if leg.values]
    x = _axis(legs, verdict.limit)
    dimension = wording.dimension_of(verdict.metric, verdict.kind)
    rows, bottom = _rows(legs, x)
    limit = x(verdict.limit)
    anchor = "end" if limit > (LEFT + WIDTH) / 2 else "start"
    drawn = svg.picture(
        f"{gate.name}, pair by pair: {trail_of(verdict)}", WIDTH, bottom + FOOT,
        _frame(x, bottom, dimension, signed=wording.is_relative(verdict.kind)),
        *rows,
        svg.line("limit", limit, TOP - 4, limit, bottom),
        svg.text("limit-label", limit, TOP - 10, f"limit {gate.limit}", anchor=anchor),
        class_=f"chart o-{gate.outcome.value}",
    )  # fmt: skip
    unit = "pair" if wording.is_relative(verdict.kind) else "session"
    caption = f"One row per {unit} in the order they ran; the bar is what the look at that moment left undecided. "
    return Drawing(drawn, f"{gate.name}: {unit} by {unit}", caption + trail_of(verdict) + ".")


def _axis(legs: Sequence[Leg], limit: float) -> svg.Scale:
    """Fit the axis to the observations, the limit and the last look; wide early looks get arrows."""
    values = [limit, *(value for leg in legs for value in leg.values)]
    room = (max(values) - min(values)) or abs(limit) or 1.0
    ends = [end for leg in legs for look in leg.looks[-1:] for end in (look.low, look.high) if end is not None]
    near = [end for end in ends if min(values) - FURTHEST * room <= end <= max(values) + FURTHEST * room]
    return svg.scale_for([*values, *near], LEFT, WIDTH - RIGHT)


def _rows(legs: Sequence[Leg], x: svg.Scale) -> tuple[list[Markup], float]:
    drawn: list[Markup] = []
    y = TOP
    for leg in legs:
        y += GAP if leg.stage is Stage.CONFIRM else 0.0
        looks = {look.n: look for look in leg.looks}
        for number, value in enumerate(leg.values, 1):
            y += ROW
            look = looks.get(number)
            if look is not None:
                low, high = (
                    end if end is not None else sign * math.inf for sign, end in ((-1, look.low), (1, look.high))
                )
                drawn.append(svg.whisker("look", low, high, x, y))
            drawn.append(
                svg.element("circle", class_="pair" if number <= leg.used else "pair later", cx=x(value), cy=y, r=3.5)
            )
            fresh = "fresh " if leg.stage is Stage.CONFIRM else ""
            drawn.append(svg.text("tick", LEFT - 6, y + 4, f"{fresh}{number}", anchor="end"))
    return drawn, y + ROW


def _frame(x: svg.Scale, bottom: float, dimension: Dimension, *, signed: bool) -> Markup:
    ticks = (
        svg.line("grid", x(tick), TOP, x(tick), bottom)
        + svg.text("tick", x(tick), bottom + 16, wording.figure(tick, dimension, signed=signed))
        for tick in x.ticks(4)
    )
    return Markup("").join(ticks)
