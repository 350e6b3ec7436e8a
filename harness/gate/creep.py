"""Creep: many small slow-downs, each within its margin, must not add up to more than a budget.

Every accepted worsening is multiplied into the chain that a committed baseline carries. The margin of the next
candidate is what the suite allows for one step, and never more than what is left of the budget since the anchor. Pure.
"""

from __future__ import annotations

import math
from dataclasses import replace

from harness.records.chain import Chain, Release
from harness.records.plan import SpentBudget
from harness.records.verdict import Estimate
from harness.spec.model import Limit
from harness.units import Dimension, format

LONGEST = 24
"""Releases that a chain keeps, the anchor apart."""


def budget_of(limit: Limit) -> float:
    """Give the creep budget of a `regress` limit: what the suite says, else the margin of one step."""
    return limit.value if limit.creep is None else limit.creep


def narrowed(limit: Limit, spent: SpentBudget) -> Limit:
    """Narrow a `regress` limit to what is left of its budget; below 0 the candidate has to win something back."""
    left = (1.0 + budget_of(limit)) / (1.0 + spent.spent) - 1.0
    if left >= limit.value:
        return limit
    return replace(limit, value=left, text=format(left, Dimension.RATIO))


def spent_before(limit: Limit, chain: Chain, base: Release, source: str) -> SpentBudget:
    """Say what was spent when a candidate is compared with `base`, a release of the chain."""
    anchor = chain.find(chain.anchor)
    name = anchor.name if anchor else chain.anchor[:12]
    budget = limit.text if limit.creep is None else format(limit.creep, Dimension.RATIO)
    return SpentBudget(limit.metric, name, base.factor - 1.0, base.doubt, limit.text, budget, source)


def explain_spent(spent: SpentBudget) -> str:
    """Say in words what was spent since which anchor."""
    share = format(abs(spent.spent), Dimension.RATIO, digits=2)
    doubt = f" ± {format(spent.doubt, Dimension.RATIO, digits=1)}" if spent.doubt else ""
    if spent.spent <= 0:
        return f"nothing of the creep budget {spent.budget} is spent since anchor {spent.anchor}"
    return f"{share}{doubt} of the creep budget {spent.budget} is spent since anchor {spent.anchor}"


def started(anchor: Release, forgiven: float = 0.0) -> Chain:
    """Start a chain at a release."""
    return Chain(anchor.sha256, (replace(anchor, factor=1.0, doubt=0.0),), forgiven)


def anchored(base: Release, released: Release, worse: Estimate, forgiven: float) -> Chain:
    """Start a chain at a release on purpose; what it was compared with stays known, so that the run can be repeated."""
    anchor = started(released, forgiven)
    if base.sha256 == released.sha256:
        return anchor
    before = replace(base, factor=1.0 / (1.0 + worse.value), doubt=_half_width(worse))
    return replace(anchor, releases=(before, *anchor.releases))


def extended(chain: Chain, base: Release, released: Release, worse: Estimate) -> Chain:
    """Add an accepted release to a chain.

    A release that is shown to be better than the anchor becomes the anchor: an improvement is never a licence to give
    it back in small steps. A release that was added before is measured anew, not added twice.

    Args:
        chain: of this metric on this device.
        base: the release that the candidate was compared with; one of the chain.
        released: the candidate; its factor and doubt are computed here.
        worse: how much worse than `base` it was measured to be.
    """
    if base.sha256 == released.sha256:
        return chain
    factor = base.factor * (1.0 + worse.value)
    step = _half_width(worse)
    fresh = replace(released, factor=factor, doubt=math.hypot(base.doubt, step))
    others = tuple(release for release in chain.releases if release.sha256 != released.sha256)
    if released.sha256 == chain.anchor:
        return chain
    if math.log(factor) + fresh.doubt < 0.0:
        moved = (
            *(replace(one, factor=one.factor / factor, doubt=math.hypot(one.doubt, step)) for one in others),
            replace(fresh, factor=1.0, doubt=0.0),
        )
        return Chain(released.sha256, _bounded(moved, released.sha256), chain.forgiven)
    return replace(chain, releases=_bounded((*others, fresh), chain.anchor))


def _half_width(worse: Estimate) -> float:
    low = worse.value if worse.low is None else worse.low
    high = worse.value if worse.high is None else worse.high
    return (math.log1p(high) - math.log1p(max(low, -0.999))) / 2


def _bounded(releases: tuple[Release, ...], anchor: str) -> tuple[Release, ...]:
    kept = releases[-LONGEST:]
    older = releases[:-LONGEST]
    return (*(release for release in older if release.sha256 == anchor), *kept)
