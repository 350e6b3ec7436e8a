"""How a gate was decided in pairs, in words and as a strip of characters: the test, its looks, what was left out.

Owns the wording of trails. Must not know HTML or terminals; the drawing is `harness.report.pair_chart`'s.
"""

from __future__ import annotations

import math
from collections import Counter

from harness.records.cell import Stage
from harness.records.verdict import Leg, Trail, Verdict
from harness.report import wording
from harness.report.wording import neutral
from harness.units import Dimension

STRIP: int = 33
"""Characters between the brackets of a strip."""
_HEAPS = "·•●"
"""One character of a strip: nothing, one observation, several."""


def flips_of(verdict: Verdict) -> str:
    """Say the limit at which the verdict would be another one; empty when no limit is known that would change it."""
    if verdict.flips_at is None or verdict.limit is None:
        return ""
    dimension = wording.dimension_of(verdict.metric, verdict.kind)
    return f"flips at {wording.figure(verdict.flips_at, dimension, signed=wording.is_relative(verdict.kind))}"


def trail_of(verdict: Verdict) -> str:
    """Say how a gate was decided: `gs_t over 4 of 12 pairs at 5 %; flips at +3.1 %; 1 pair void`; empty for others."""
    trail = verdict.trail
    if trail is None:
        return ""
    parts = ["; ".join(_leg(trail, leg, verdict) for leg in trail.legs), flips_of(verdict)]
    void = Counter(neutral(item.reason) for item in trail.void)
    parts += [f"{wording.count(number, _unit(verdict))} void: {reason}" for reason, number in void.most_common()]
    return "; ".join(part for part in parts if part)


def choice_of(verdict: Verdict) -> str:
    """Say which test decides and what that rests on."""
    return f"{verdict.trail.test} ({neutral(verdict.trail.why_test)})" if verdict.trail else ""


def strip_of(verdict: Verdict) -> str:
    """Draw the observations of the deciding stage in a line, `[···••●··┃··]`: worse to the right, `┃` the limit."""
    trail = verdict.trail
    if trail is None or verdict.limit is None or not trail.legs[-1].values:
        return ""
    leg = next((leg for leg in reversed(trail.legs) if leg.looks), trail.legs[-1])
    sign = -1.0 if verdict.kind == "min" else 1.0
    values, limit = [sign * value for value in leg.values], sign * verdict.limit
    centre = limit if not wording.is_relative(verdict.kind) else 0.0
    reach = 1.15 * max(abs(value - centre) for value in [*values, limit]) or 1.0
    heaps = Counter(_place(value, centre, reach) for value in values)
    cells = [_HEAPS[min(heaps[at], 2)] for at in range(STRIP)]
    cells.insert(_place(limit, centre, reach) + 1, "┃")
    return f"[{''.join(cells)}]"


def _place(value: float, centre: float, reach: float) -> int:
    return min(STRIP - 1, max(0, math.floor((value - centre + reach) / (2 * reach) * STRIP)))


def _leg(trail: Trail, leg: Leg, verdict: Verdict) -> str:
    unit = _unit(verdict, many=True)
    fresh = "fresh " if leg.stage is Stage.CONFIRM else ""
    answer = {"within": "shown to be within", "beyond": "shown to be beyond", "open": "not shown"}[leg.answer]
    error = wording.figure(leg.alpha, Dimension.RATIO)
    test = "" if leg.stage is Stage.CONFIRM else f"{trail.test}: "
    return f"{test}{answer} by {leg.used} {fresh}{unit} at {error}"


def _unit(verdict: Verdict, *, many: bool = False) -> str:
    unit = "pair" if wording.is_relative(verdict.kind) else "session"
    return unit + "s" if many else unit
