"""How well a language model answers questions: by the likelihood of choices, and by judged texts.

Rates are bounded exactly (Clopper and Pearson): with few questions the bound says so, whatever the rate. Where an
evaluation goes on until it is decided, the bounds hold at any time (`harness.stats.sequence`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.records.cell import Role, SessionKind
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Estimate
from harness.spec.questions import CHOICE, KINDS, METRIC_KINDS
from harness.stats.accuracy import loss_estimate, paired_table
from harness.stats.evidence import AnyArray, Evidence, Missing, implausible
from harness.stats.interval import CONFIDENCE, Interval
from harness.stats.proportion import exact_lower_bound, exact_upper_bound
from harness.stats.quantile import FloatArray
from harness.stats.sequence import rate_sequence
from harness.stats.windows import is_in_parts

ANSWERED = frozenset(METRIC_KINDS)
MOST_NEEDED = 1_000_000
ANY_TIME = "valid at any time"
"""In the method of bounds that may be looked at again and again."""
_ARRAYS = ("question_index", "choice_count", "choice_logp", "choice_bytes", "check_score")


@dataclass(frozen=True, slots=True)
class Answers:
    """What one arm scored: places of the questions in their file, and a score from 0 to 1 of each."""

    index: AnyArray
    score: FloatArray

    @property
    def is_binary(self) -> bool:
        """Whether every answer is right or wrong."""
        return bool(((self.score == 0) | (self.score == 1)).all())


def answered_estimate(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    """Estimate a metric of `ANSWERED` of one arm, or say why there is none."""
    found = answers(evidence, metric, role)
    return found if isinstance(found, Missing) else rate_of(found, in_parts=is_in_parts(evidence))


def rate_of(found: Answers, *, in_parts: bool) -> Estimate:
    """Estimate a rate from its answers, at least one."""
    n, total = found.score.size, float(found.score.sum())
    if in_parts or not found.is_binary:
        bounds, method = rate_sequence(total, n), f"beta mixture over {n} questions, {ANY_TIME}"
    else:
        hits = round(total)
        bounds = _exact(hits, n)
        method = f"exact binomial bounds (Clopper and Pearson) of {hits} of {n} questions"
    return Estimate(total / n, bounds.low, bounds.high, n, method)


def answered_loss(evidence: Evidence, metric: str) -> tuple[Estimate, Estimate, Estimate] | Missing:
    """Compare with the reference on the same questions: (loss, candidate, reference); positive is worse."""
    ours, theirs = answers(evidence, metric, Role.CANDIDATE), answers(evidence, metric, None)
    if isinstance(ours, Missing) or isinstance(theirs, Missing):
        return ours if isinstance(ours, Missing) else theirs  # type: ignore[return-value]
    places = {int(place): score for place, score in zip(theirs.index, theirs.score, strict=True)}
    if not all(int(place) in places for place in ours.index):
        return implausible("the reference was not asked the same questions")
    other = Answers(ours.index, np.array([places[int(place)] for place in ours.index]))
    parts = is_in_parts(evidence)
    return _loss(ours, other, in_parts=parts), rate_of(ours, in_parts=parts), rate_of(other, in_parts=parts)


def answers(evidence: Evidence, metric: str, role: Role | None) -> Answers | Missing:
    """Score the questions that a metric counts; role None: the reference's answers."""
    key, kinds = evidence.reference("questions/answer"), evidence.reference("questions/kind")
    if key is None or kinds is None:
        return Missing("the suite has no questions", why=Abstention.INPUT)
    arrays = _arrays(evidence, role)
    if isinstance(arrays, Missing):
        return arrays
    index = arrays["question_index"]
    if index.size and not (index.min() >= 0 and index.max() < key.size):
        return implausible("an answer to a question that was not asked")
    if METRIC_KINDS[metric] == CHOICE:
        return _chosen(arrays, key, by_bytes=metric.endswith("_norm"))
    return _written(evidence, arrays, kinds, METRIC_KINDS[metric])


def _written(evidence: Evidence, arrays: dict[str, AnyArray], kinds: AnyArray, kind: str) -> Answers | Missing:
    """Give the scores of what was written to questions of one kind."""
    if "check_score" not in arrays:
        return Missing("what was written was not judged")
    places = arrays["question_index"][arrays["choice_count"] == 0]
    if places.size != arrays["check_score"].size:
        return implausible(f"{arrays['check_score'].size} scores for {places.size} texts")
    wanted = kinds[places] == KINDS.index(kind)
    if not wanted.any():
        return Missing(f"no question of kind {kind!r} was asked", why=Abstention.FEW)
    scores = arrays["check_score"][wanted].astype(np.float64)
    if not np.isfinite(scores).all():
        words = f"{int((~np.isfinite(scores)).sum())} of {scores.size} texts could not be judged"
        told = next((item.message for item in evidence.cell.incidents if item.code == "checker"), "")
        return Missing(f"{words}: {told}" if told else words, attribution=Attribution.USER, why=Abstention.INPUT)
    return Answers(places[wanted], scores)


def questions_needed(estimate: Estimate, limit: float) -> int | None:
    """Tell how many questions it takes until a bound of the same method clears a limit, if the rate stays what it is.

    Returns:
        None when the rate is the limit, or too near to it.
    """
    rate, bounds = estimate.value, rate_sequence if ANY_TIME in estimate.method else _exact
    if rate == limit:
        return None
    low, high = 1, 2
    while not _clears(rate, high, limit, bounds):
        low, high = high, 2 * high
        if high > MOST_NEEDED:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _clears(rate, middle, limit, bounds) else (middle, high)
    return high


def _clears(rate: float, n: int, limit: float, bounds: Callable[[int, int], Interval]) -> bool:
    """Whether n questions at this rate, rounded to the worse, would clear the limit."""
    if rate > limit:
        return bounds(math.floor(rate * n + 1e-9), n).low >= limit
    return bounds(math.ceil(rate * n - 1e-9), n).high < limit


def _exact(hits: int, n: int) -> Interval:
    return Interval(exact_lower_bound(hits, n), exact_upper_bound(hits, n), CONFIDENCE)


def _loss(ours: Answers, theirs: Answers, *, in_parts: bool) -> Estimate:
    if not in_parts and ours.is_binary and theirs.is_binary:
        return loss_estimate(paired_table(theirs.score > 0.5, ours.score > 0.5))
    n, lost = ours.score.size, theirs.score - ours.score
    bounds = rate_sequence(float((0.5 * (lost + 1.0)).sum()), n)
    method = f"paired beta mixture over {n} questions, valid at any time"
    return Estimate(float(lost.mean()), 2 * bounds.low - 1, 2 * bounds.high - 1, n, method)


def _arrays(evidence: Evidence, role: Role | None) -> dict[str, AnyArray] | Missing:
    if role is None:
        found = {name: evidence.reference(name) for name in _ARRAYS}
        if found["question_index"] is None:
            return Missing(
                "no answers of the reference: the suite names none, or it did not run", why=Abstention.REFERENCE
            )
    else:
        sessions = evidence.sessions(role, SessionKind.ACCURACY)
        if not sessions:
            return Missing(f"no accuracy session of the {role.value} came back")
        found = {name: evidence.array(sessions[0], name) for name in _ARRAYS}
        if found["question_index"] is None:
            return Missing(f"session {sessions[0].order} brought no answers")
    kept = {name: array for name, array in found.items() if array is not None}
    counts, places = kept.get("choice_count"), kept["question_index"]
    if counts is None or counts.shape != places.shape or places.ndim != 1 or (counts < 0).any():
        return implausible("answers that do not fit their questions")
    if np.unique(places).size != places.size:
        return implausible("a question was answered twice")
    return kept


def _chosen(arrays: dict[str, AnyArray], key: AnyArray, *, by_bytes: bool) -> Answers | Missing:
    counts, logp, lengths = arrays["choice_count"], arrays.get("choice_logp"), arrays.get("choice_bytes")
    if logp is None or lengths is None or not logp.size == lengths.size == counts.sum() or (lengths < 1).any():
        return implausible("likelihoods that do not fit their choices")
    if not np.isfinite(logp).all():
        bad = int((~np.isfinite(logp)).sum())
        words = f"the model gives no finite probability for {bad} of {logp.size} choices"
        return Missing(words, Outcome.FAIL, Attribution.MODEL)
    if not counts.any():
        return Missing("no question with choices was asked", why=Abstention.FEW)
    weighed = logp / lengths if by_bytes else logp
    ends = np.cumsum(counts)
    asked = np.flatnonzero(counts)
    best = np.array([int(np.argmax(weighed[ends[at] - counts[at] : ends[at]])) for at in asked])
    places = arrays["question_index"][asked]
    return Answers(places, (best == key[places]).astype(np.float64))
