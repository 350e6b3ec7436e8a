"""The e-process over the share above a limit: known answers, and its error when one looks after every session."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from harness.stats.over_limit import Count, log_e_value, over_limit
from harness.stats.quantile import FloatArray
from harness.stats.trial import CAP, Answer

LIMIT = 1e-3


@pytest.mark.parametrize(("over", "n", "rate"), [(0, 7, 0.5), (1, 11, 0.5), (3, 200, 0.05), (20, 100, 0.1)])
@pytest.mark.parametrize("lower", [True, False])
def test_the_e_value_is_the_mixture_of_likelihood_ratios(over: int, n: int, rate: float, lower: bool) -> None:
    """Integrated numerically over the rates of the alternative."""
    low, high = (0.0, rate) if lower else (rate, 1.0)
    mixture, _ = integrate.quad(lambda q: stats.binom.pmf(over, n, q) / (high - low), low, high)

    assert math.exp(log_e_value(Count(over, n), rate, lower=lower)) == pytest.approx(
        mixture / stats.binom.pmf(over, n, rate), rel=1e-6
    )


def test_clean_queries_that_show_a_limit_are_as_many_as_published() -> None:
    """62, 88 and 644 clean queries for a rate below 10 %, 5 % and 1 % (at 99, 95 and 99 %)."""
    for rate, confidence, clean in ((0.1, 0.99, 62), (0.05, 0.95, 88), (0.01, 0.99, 644)):
        enough = -math.log(1 - confidence)
        assert log_e_value(Count(0, clean), rate, lower=True) >= enough
        assert log_e_value(Count(0, clean - 1), rate, lower=True) < enough


def test_counts_that_cannot_be_are_refused() -> None:
    """More over the limit than there are, or a rate that is none."""
    with pytest.raises(ValueError, match="no count"):
        log_e_value(Count(3, 2), 0.5, lower=True)
    with pytest.raises(ValueError, match="no count"):
        log_e_value(Count(1, 2), 1.0, lower=True)


def _sessions(rng: np.random.Generator, level: float, between: float, calls: int = 200) -> list[FloatArray]:
    """Draw sessions whose calls scatter by 10 % and whose levels scatter by `between`."""
    levels = level * np.exp(rng.normal(0.0, between, CAP))
    return [one * np.exp(rng.normal(0.0, 0.1, calls)) for one in levels]


def _wrong(between: float, cells: int = 400) -> tuple[float, float]:
    """Return how often a board whose median session's p95 is just the limit passes and fails."""
    rng = np.random.default_rng(1)
    level = LIMIT / math.exp(0.1 * stats.norm.ppf(0.95))
    answers = [over_limit(_sessions(rng, level, between), 0.95, LIMIT).answer for _ in range(cells)]
    return answers.count(Answer.WITHIN) / cells, answers.count(Answer.BEYOND) / cells


@pytest.mark.parametrize("between", [0.0, 0.05])
def test_at_the_limit_each_wrong_answer_has_five_percent(between: float) -> None:
    """Calls that depend on each other through their process do not make the answer wrong more often."""
    passed, failed = _wrong(between)

    rough = 3.5 * math.sqrt(0.05 * 0.95 / 400)
    assert passed <= 0.05 + rough
    assert failed <= 0.05 + rough


def test_calls_alone_would_be_fooled() -> None:
    """The count of calls takes one process for hundreds of runs: with levels that scatter it errs far too often."""
    rng = np.random.default_rng(1)
    level = LIMIT / math.exp(0.1 * stats.norm.ppf(0.95))
    fooled = 0
    for _ in range(200):
        sessions = _sessions(rng, level, 0.05)
        over = [int((session > LIMIT).sum()) for session in sessions]
        looks = [Count(sum(over[:n]), 200 * n) for n in range(1, CAP + 1)]
        fooled += any(log_e_value(look, 0.05, lower=True) >= math.log(20) for look in looks)

    assert fooled / 200 > 0.15


def test_one_bad_session_in_three_does_not_pass() -> None:
    """Sessions alone would let it through at times; the share of calls says no."""
    rng = np.random.default_rng(7)
    bad = [i % 3 == 2 for i in range(CAP)]
    sessions = [np.full(200, 2 * LIMIT if is_bad else LIMIT / 2) * rng.normal(1, 0.01, 200) for is_bad in bad]

    assert over_limit(sessions, 0.95, LIMIT).answer is Answer.OPEN


def test_seven_clear_sessions_decide() -> None:
    """Far below the limit is WITHIN after seven sessions, far above it BEYOND; a confirmation takes nine."""
    sessions = _sessions(np.random.default_rng(2), LIMIT, 0.01)

    within, beyond = over_limit(sessions, 0.95, 2 * LIMIT), over_limit(sessions, 0.95, LIMIT / 2)

    assert (within.answer, within.used) == (Answer.WITHIN, 7)
    assert (beyond.answer, beyond.used) == (Answer.BEYOND, 7)
    assert over_limit(sessions, 0.95, LIMIT / 2, alpha=0.01).used == 9
    assert beyond.p_value <= 0.05
    assert within.p_value == 1.0


def test_the_ends_are_where_the_answer_flips() -> None:
    """A limit at the upper end passes, one below it does not; the lower end is the least limit that does not fail."""
    sessions = _sessions(np.random.default_rng(3), LIMIT, 0.01)[:8]
    (look,) = over_limit(sessions, 0.95, 1.17 * LIMIT).looks

    assert over_limit(sessions, 0.95, look.high).answer is Answer.WITHIN
    assert over_limit(sessions, 0.95, look.high * 0.9999).answer is not Answer.WITHIN
    assert over_limit(sessions, 0.95, look.low * 0.9999).answer is Answer.BEYOND
    assert over_limit(sessions, 0.95, look.low).answer is not Answer.BEYOND


def test_no_session_is_open() -> None:
    """Nothing was measured, nothing is said."""
    assert over_limit([], 0.95, LIMIT).answer is Answer.OPEN
