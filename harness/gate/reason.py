"""Verdicts in words: one sentence that a release manager understands, with value, interval, limit and margin."""

from __future__ import annotations

import math

from harness.gate.decide import ends, is_exact
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS, limit_dimension
from harness.spec.model import Limit, LimitKind
from harness.stats import Comparison
from harness.stats.interval import PairedTable
from harness.stats.proportion import samples_to_resolve
from harness.stats.questions import ANSWERED, questions_needed
from harness.units import Dimension, format

EXACT_MATCH = "llm.exact_match"
EXACT_WARNING = (
    "warning: sound builds of one model write different texts, greedy ones too, from the first token that rounding "
    "flips; prefer llm.kl or llm.same_top"
)


def explain_figure(limit: Limit, estimate: Estimate, outcome: Outcome, margin: float | None, words: str = "") -> str:
    """Explain a verdict on an absolute limit; `words` say why it is open, or how a failure was confirmed."""
    side = "above" if limit.kind is LimitKind.MAX else "below"
    figure = f"{_name(limit, estimate)} {show(estimate, METRICS[limit.metric].dimension, apart=limit.value)}"
    if limit.metric == EXACT_MATCH:
        figure = f"{figure} ({EXACT_WARNING})"
    if outcome is Outcome.PASS:
        return f"{figure} meets the limit {limit.text}{_spare(estimate, margin if limit.value else None)}"
    if outcome is Outcome.INCONCLUSIVE:
        return f"{figure}: {words or _undecided(limit, estimate)}"
    excess = _excess(estimate, margin if limit.value else None)
    return f"{figure} is {side} the limit {limit.text}{excess}{_clause(words)}"


def explain_comparison(limit: Limit, comparison: Comparison, outcome: Outcome, words: str = "") -> str:
    """Explain a verdict on a worsening against the baseline, or on a loss against the reference; see above."""
    if comparison.basis:
        return _explain_counts(limit, comparison, outcome)
    dimension = limit_dimension(METRICS[limit.metric], limit.kind)
    found, own = comparison.estimate, METRICS[limit.metric].dimension
    label = f" {found.label}" if found.label else ""
    arms = f"{format(comparison.candidate.value, own)}{label} against {format(comparison.baseline.value, own)}{label}"
    whom = "the baseline" if limit.kind is LimitKind.REGRESS else "the reference"
    change = f"{_name(limit, found)} is {_change(found, dimension)} {whom} ({arms})"
    if outcome is Outcome.PASS:
        return f"{change}; allowed is {limit.text}"
    if outcome is Outcome.INCONCLUSIVE:
        return f"{change}: {words or _undecided(limit, found)}"
    return f"{change}, more than the allowed {limit.text}{_clause(words)}"


def _clause(words: str) -> str:
    return f": {words}" if words else ""


def _explain_counts(limit: Limit, comparison: Comparison, outcome: Outcome) -> str:
    """Explain two instruction counts: the same code path, or another one, and by how much."""
    change = comparison.estimate.value
    low, high = ends(comparison.estimate)
    candidate, baseline = (f"{arm.value:,.0f}" for arm in (comparison.candidate, comparison.baseline))
    counts = f"({candidate} against {baseline}; {comparison.basis})"
    size = _signed(change)
    if change == 0:
        said = f"{limit.metric} is equal: the same code path {counts}"
    elif low <= 0 <= high:
        said = f"{limit.metric} is equal within {format((high - low) / 2, Dimension.RATIO)}: {size} {counts}"
    elif change < 0:
        said = f"{limit.metric}: code path changed, fewer instructions: {size} {counts}"
    else:
        within = ", within the limit" if outcome is Outcome.PASS else ""
        said = f"{limit.metric}: code path changed{within}: {size} {counts}"
    if outcome is Outcome.INCONCLUSIVE:
        return f"{said}: the limit {limit.text} lies inside [{_signed(low)}, {_signed(high)}]"
    return (
        f"{said}; allowed is {limit.text}" if outcome is Outcome.PASS else f"{said}, more than the allowed {limit.text}"
    )


def _signed(share: float) -> str:
    return ("+" if share > 0 else "") + format(share, Dimension.RATIO)


def show(estimate: Estimate, dimension: Dimension, *, apart: float) -> str:
    """Write an estimate with its interval: exact figures stand alone, open ends are infinite.

    A narrow interval gets as many digits (up to 6) as it takes to tell its ends apart, an exact figure as many as tell
    it from `apart`, its limit.
    """
    if is_exact(estimate):
        return format(estimate.value, dimension, digits=_digits(estimate.value, apart, dimension))
    low, high = ends(estimate)
    digits = _digits(low, high, dimension)
    value, low_text, high_text = (format(figure, dimension, digits=digits) for figure in (estimate.value, low, high))
    return f"{value} [{low_text}, {high_text}]"


def _digits(one: float, other: float, dimension: Dimension) -> int:
    if one == other:
        return 3
    return next((d for d in (3, 4, 5) if format(one, dimension, digits=d) != format(other, dimension, digits=d)), 6)


def _name(limit: Limit, estimate: Estimate) -> str:
    return f"{estimate.label} {limit.metric}" if estimate.label else limit.metric


def _change(found: Estimate, dimension: Dimension) -> str:
    """Write a change from the reader's side: `2 % worse than`, `equal to`, and the interval (positive is worse)."""
    low, high = ends(found)
    interval = "" if is_exact(found) else f" [{format(low, dimension)}, {format(high, dimension)}]"
    if found.value == 0:
        return f"equal{interval} to"
    if found.value > 0:
        return f"{format(found.value, dimension)}{interval} worse than"
    return f"{format(-found.value, dimension)}{interval and f' (worsening{interval})'} better than"


def _undecided(limit: Limit, estimate: Estimate) -> str:
    low, high = ends(estimate)
    worse = low if limit.kind is LimitKind.MIN else high
    if worse in {float("inf"), float("-inf")}:
        return f"not enough data to compare with the limit {limit.text} ({estimate.method})"
    if limit.kind is LimitKind.DROP and "resolves_points" in estimate.components:
        return _unresolved(limit, estimate)
    if limit.metric in ANSWERED and limit.kind is LimitKind.MIN:
        return _few_questions(limit, estimate)
    return f"within noise: the limit {limit.text} lies inside the interval"


def _unresolved(limit: Limit, estimate: Estimate) -> str:
    """Say what these samples could tell of a loss, and what it would take to tell it from the limit."""
    told = estimate.components
    table = PairedTable(int(told["lost"]), int(told["won"]), estimate.n)
    finest = format(_rounded_up(told["resolves_points"]), Dimension.POINTS)
    discordance = format((table.lost + table.won) / table.n, Dimension.RATIO, digits=2)
    resolves = f"{table.n} samples of which {discordance} differ resolve {finest}"
    if limit.value < told["resolves_points"]:
        enough = samples_to_resolve(table, limit.value)
        more = f" or bring >= {enough:,} samples" if enough else ""
        return f"not enough data for the limit {limit.text}: {resolves}; ask for >= {finest}{more}"
    enough = samples_to_resolve(table, limit.value - estimate.value)
    more = f", about {enough:,} samples would tell them apart" if enough else ""
    return f"within noise: the limit {limit.text} lies inside the interval; {resolves}, but the loss is near it{more}"


def _few_questions(limit: Limit, estimate: Estimate) -> str:
    """Say that so few answers are no evidence, and how many would be."""
    words = f"{estimate.n} questions are no evidence for the limit {limit.text}, which lies inside the bounds"
    needed = questions_needed(estimate, limit.value)
    if needed is None or needed <= estimate.n:
        return f"{words}; the rate is too near to it"
    return f"{words}; at this rate at least {needed:,} questions are needed"


def _rounded_up(points: float) -> float:
    step = 10.0 ** (math.floor(math.log10(points)) - 1)
    return math.ceil(points / step - 1e-9) * step


def _spare(estimate: Estimate, margin: float | None) -> str:
    if margin is None:
        return ""
    least = "" if is_exact(estimate) else "at least "
    return f", with {least}{_percent(margin)} to spare"


def _excess(estimate: Estimate, margin: float | None) -> str:
    if margin is None:
        return ""
    least = "" if is_exact(estimate) else "at least "
    return f" by {least}{_percent(abs(margin))}"


def _percent(share: float) -> str:
    return format(share, Dimension.RATIO, digits=2)
