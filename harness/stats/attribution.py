"""Where a loss of accuracy comes from: {reference, candidate} x {controller, board}, all on the same samples.

    total        = reference on the controller - candidate on the board
    quantization = reference on the controller - candidate on the controller
    platform     = candidate on the controller - candidate on the board
    total        = quantization + platform, sample by sample

and with the reference on the board, the fourth run,

    reference_platform = reference on the controller - reference on the board
    interaction        = platform - reference_platform

Intervals: every part but the interaction is a paired difference of two classifiers and has Tango's score interval, as
the gate itself; the interaction, a difference of two such differences, has one by the method of variance estimates
recovery with their correlation. tests/unit/stats/test_stats_attribution.py simulates the coverage of all of them.
"""

from __future__ import annotations

import numpy as np

from harness.records.cell import Role
from harness.records.verdict import Estimate, LossSplit
from harness.stats.accuracy import BoolArray, controller_hits, hits, loss_estimate, paired_table, reference_hits
from harness.stats.evidence import Evidence, Missing
from harness.stats.interval import CONFIDENCE, Interval
from harness.stats.proportion import difference_of_losses

MAIN = "accuracy.top1"
"""The accuracy whose loss is explained."""


def loss_split(evidence: Evidence, metric: str = MAIN) -> LossSplit | None:
    """Split the loss of a cell, or None when the candidate's answers on the controller are not known."""
    reference, board = reference_hits(evidence, metric), hits(evidence, Role.CANDIDATE, metric)
    controller = controller_hits(evidence, metric)
    if isinstance(reference, Missing) or isinstance(board, Missing) or isinstance(controller, Missing):
        return None
    reference_on_board = hits(evidence, Role.REFERENCE, metric)
    split = LossSplit(
        metric,
        total=_loss(reference, board),
        quantization=_loss(reference, controller),
        platform=_loss(controller, board),
    )
    if isinstance(reference_on_board, Missing):
        return split
    return LossSplit(
        metric,
        split.total,
        split.quantization,
        split.platform,
        reference_platform=_loss(reference, reference_on_board),
        interaction=interaction_estimate((controller, board), (reference, reference_on_board)),
    )


def interaction_estimate(candidate: tuple[BoolArray, BoolArray], reference: tuple[BoolArray, BoolArray]) -> Estimate:
    """Estimate what a board costs the candidate beyond what it costs the reference.

    Args:
        candidate: right answers on (controller, board), each shape (n,).
        reference: the same of the reference, the same samples.
    """
    ours, theirs = _loss(*candidate), _loss(*reference)
    bounds = difference_of_losses(_bounded(ours), _bounded(theirs), _correlation(candidate, reference))
    value = ours.value - theirs.value
    return Estimate(value, bounds.low, bounds.high, ours.n, f"difference of two paired losses (MOVER), n = {ours.n}")


def _loss(better: BoolArray, worse: BoolArray) -> Estimate:
    return loss_estimate(paired_table(better, worse))


def _bounded(loss: Estimate) -> tuple[float, Interval]:
    assert loss.low is not None, "the score interval is always bounded"
    assert loss.high is not None
    return loss.value, Interval(loss.low, loss.high, CONFIDENCE)


def _correlation(one: tuple[BoolArray, BoolArray], other: tuple[BoolArray, BoolArray]) -> float:
    """Return the correlation of two per-sample differences; 0 where one of them does not vary."""
    x, y = (pair[0].astype(np.float64) - pair[1] for pair in (one, other))
    spread = float(x.std() * y.std())
    return float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread > 0 else 0.0
