"""A/A gates: the gates of a cell whose candidate and baseline are the same file, and what they tell of the board.

Owns which metrics are calibrated and what counts as a false alarm. The decisions themselves are those of any gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from harness.gate.tier import forbidden
from harness.gate.trial import Status, try_limit
from harness.records.cell import Stage
from harness.spec.metric import METRICS
from harness.spec.model import Device, Limit, LimitKind
from harness.stats import Evidence, Missing
from harness.stats.calibration import Tally
from harness.stats.observation import observe
from harness.stats.pair import PAIRED_KINDS, in_pairs, rounds
from harness.units import Dimension, format

USUAL_MARGIN = 0.05
"""Where the suite limits a figure and does not compare it."""
_DONE = {Status.PASSED, Status.FAILED, Status.NOT_REPRODUCED, Status.UNDECIDED}


@dataclass(frozen=True, slots=True)
class SelfGate:
    """What the pairs of one A/A cell say of one metric."""

    ratios: tuple[float, ...]
    """Log-ratio of each sound pair; positive: the arm that plays the candidate was worse."""
    tally: Tally
    problem: str = ""
    """Why this metric has no pairs."""


def self_limits(limits: Sequence[Limit], device: Device) -> tuple[Limit, ...]:
    """Make the limits of an A/A cell: a `regress` for every metric that the cell's own limits decide in pairs."""
    compared = {limit.metric: limit for limit in limits if limit.kind is LimitKind.REGRESS}
    wanted = dict.fromkeys(limit.metric for limit in limits)
    made = (compared.get(metric) or _usual(metric, limits) for metric in wanted)
    return tuple(limit for limit in made if _is_possible(limit, device))


def judge_self(evidence: Evidence, limit: Limit) -> SelfGate:
    """Judge one limit of an A/A cell and collect its pairs, those of a confirmation too."""
    stages = [observe(evidence, limit.metric, stage, relative=True) for stage in Stage]
    seen = [found for found in stages if not isinstance(found, Missing)]
    trial = try_limit(evidence, limit)
    if isinstance(trial, Missing) or not seen:
        missing = next(found for found in (trial, *stages) if isinstance(found, Missing))
        return SelfGate((), Tally(), missing.reason)
    ratios = tuple(chain.from_iterable(found.worsening(limit.metric) for found in seen))
    if trial.status not in _DONE or not ratios:
        return SelfGate(ratios, Tally())
    undecided = trial.status in {Status.NOT_REPRODUCED, Status.UNDECIDED}
    return SelfGate(ratios, Tally(1, int(trial.status is Status.FAILED), int(undecided)))


def void_pairs(evidence: Evidence) -> int:
    """Count the pairs of a cell that were measured and did not count."""
    stages = [(kind, stage) for kind in PAIRED_KINDS for stage in Stage]
    seen = (item for kind, stage in stages for item in rounds(evidence, kind, stage, compared=True))
    return sum(bool(item.void) for item in seen)


def _is_possible(limit: Limit, device: Device) -> bool:
    takes_regress = LimitKind.REGRESS in METRICS[limit.metric].kinds
    return takes_regress and in_pairs(limit.metric, device) and not forbidden(limit, device)


def _usual(metric: str, limits: Sequence[Limit]) -> Limit:
    """Make a `regress` of a metric that the suite only limits, in that limit's place."""
    first = next(limit for limit in limits if limit.metric == metric)
    text = format(USUAL_MARGIN, Dimension.RATIO)
    return Limit(metric, LimitKind.REGRESS, USUAL_MARGIN, text, first.origin, first.accept)
