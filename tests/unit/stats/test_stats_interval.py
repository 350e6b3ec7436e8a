"""Intervals: known answers from print, and coverage shown by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as distributions

from harness.stats.interval import (
    PairedTable,
    median_interval,
    paired_loss_interval,
    quantile_interval,
    student_interval,
    wilson_interval,
)
from harness.stats.quantile import fewest_samples, order_quantile

DRAWS = 2000


@pytest.mark.parametrize(("q", "rank"), [(0.5, 50), (0.9, 90), (0.95, 95), (0.99, 99), (0.001, 1)])
def test_quantile_is_the_nearest_rank(q: float, rank: int) -> None:
    """Of 1..100 the q-quantile is the sample of rank ceil(100 q)."""
    samples = np.random.default_rng(3).permutation(np.arange(1.0, 101.0))

    assert order_quantile(samples, q) == rank


def test_quantile_agrees_with_numpy() -> None:
    """Numpy's inverted_cdf is the same definition."""
    samples = np.random.default_rng(1).lognormal(size=317)

    for q in (0.5, 0.9, 0.95, 0.99):
        assert order_quantile(samples, q) == np.quantile(samples, q, method="inverted_cdf")


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.0, np.nan]), np.array([np.inf]), np.ones((2, 2))])
def test_quantile_of_no_samples_is_an_error(bad: np.ndarray) -> None:
    """Nothing is computed from nothing."""
    with pytest.raises(ValueError, match="samples must"):
        order_quantile(bad, 0.5)


def test_a_tail_needs_a_sample_beyond_it() -> None:
    """p99 needs 100 samples, p95 20."""
    assert [fewest_samples(q) for q in (0.5, 0.9, 0.95, 0.99)] == [2, 10, 20, 100]


@pytest.mark.parametrize(
    ("n", "q", "low", "high", "coverage"), [(300, 0.95, 277, 293, 0.967), (1000, 0.99, 983, 997, 0.976)]
)
def test_order_statistics_known_ranks(n: int, q: float, low: int, high: int, coverage: float) -> None:
    """95 % intervals of p95 and p99 are these order statistics (binomial quantiles of the rank)."""
    found = quantile_interval(np.arange(1.0, n + 1), q, confidence=0.95)

    assert (found.low, found.high) == (low, high)
    assert found.coverage == pytest.approx(coverage, abs=5e-4)


@pytest.mark.parametrize(("n", "coverage"), [(5, 0.9375), (6, 0.96875), (7, 0.984375)])
def test_few_sessions_give_their_range(n: int, coverage: float) -> None:
    """With 5 to 7 sessions the interval of the median is the range; 6 cover 96.9 %."""
    found = median_interval(np.arange(1.0, n + 1))

    assert (found.low, found.high, found.coverage) == (1.0, n, coverage)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_fewer_than_five_sessions_bound_nothing(n: int) -> None:
    """Too few sessions have an infinite interval, not a narrow one."""
    found = median_interval(np.arange(1.0, n + 1))

    assert (found.low, found.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("n", [6, 8, 15, 40])
def test_median_interval_covers_any_distribution(n: int) -> None:
    """The 95 % interval of a skewed median covers it in at least 94 % of 2,000 draws, each end in at least 96.5 %."""
    draws = np.random.default_rng(n).lognormal(mean=0.0, sigma=1.0, size=(DRAWS, n))

    found = [quantile_interval(draw, 0.5, confidence=0.95) for draw in draws]

    covered = np.mean([item.low <= 1.0 <= item.high for item in found])
    assert covered >= 0.94
    assert np.mean([item.low <= 1.0 for item in found]) >= 0.965
    assert np.mean([item.high >= 1.0 for item in found]) >= 0.965


@pytest.mark.parametrize("n", [2, 3, 6])
def test_student_covers_its_level(n: int) -> None:
    """Two sessions are enough for a valid interval of a near-normal figure: 90 % cover 90 % of 2,000 draws."""
    draws = np.random.default_rng(n).normal(10.0, 0.1, size=(DRAWS, n))

    covered = np.mean([(item := student_interval(draw)).low <= 10.0 <= item.high for draw in draws])

    assert 0.88 <= covered <= 0.92


def test_student_agrees_with_scipy() -> None:
    """Known answer from scipy.stats.t.interval."""
    samples = np.array([4.1, 4.3, 4.2, 4.6])
    expected = distributions.t.interval(0.9, 3, loc=samples.mean(), scale=distributions.sem(samples))

    found = student_interval(samples)

    assert (found.low, found.high) == pytest.approx(expected)


def test_equal_readings_prove_no_more_than_the_instrument() -> None:
    """Two equal memory readings have an interval of one page to each side."""
    found = student_interval(np.array([8192.0, 8192.0]), quantum=4096.0)

    assert (found.low, found.high) == (4096.0, 12288.0)


def test_one_session_bounds_nothing() -> None:
    """A single figure has no interval."""
    assert student_interval(np.array([1.0])).high == math.inf


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_known_answers(successes: int, n: int, low: float, high: float) -> None:
    """The four examples of Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3."""
    found = wilson_interval(successes, n, confidence=0.95)

    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_covers_near_its_level() -> None:
    """Averaged over accuracies from 90 to 99.5 %, 90 % intervals of 400 samples cover 88 to 92 %."""
    rng = np.random.default_rng(5)
    rates = rng.uniform(0.90, 0.995, DRAWS)

    counts = rng.binomial(400, rates)
    found = [wilson_interval(int(count), 400) for count in counts]

    covered = np.mean([item.low <= rate <= item.high for item, rate in zip(found, rates, strict=True)])
    assert 0.88 <= covered <= 0.92


def test_wilson_ends_stay_inside_a_rate() -> None:
    """All right and all wrong do not leave [0, 1]."""
    assert wilson_interval(0, 5).low == 0.0
    assert wilson_interval(5, 5).high == 1.0


def test_no_discordant_answer_still_leaves_doubt() -> None:
    """Identical answers on n samples bound the loss by z^2 / (n + z^2), not by 0."""
    found = paired_loss_interval(PairedTable(0, 0, 360))

    assert found.high == pytest.approx(1.644854**2 / (360 + 1.644854**2), rel=1e-6)
    assert found.high == pytest.approx(0.00746, abs=1e-5)
    assert found.low == pytest.approx(-found.high)


@pytest.mark.parametrize("table", [PairedTable(12, 2, 50), PairedTable(1, 0, 719), PairedTable(43, 21, 1000)])
def test_paired_ends_are_where_the_likelihood_says(table: PairedTable) -> None:
    """At each end the score statistic, with the nuisance parameter maximised numerically, is the normal quantile."""
    found = paired_loss_interval(table, confidence=0.95)

    for end, sign in ((found.low, 1.0), (found.high, -1.0)):
        assert _score(table, end) == pytest.approx(sign * 1.959964, abs=2e-3)


def _score(table: PairedTable, loss: float) -> float:
    """Tango's statistic with the constrained maximum of likelihood found by search instead of by formula."""

    def minus_likelihood(won: float) -> float:
        both = max(1.0 - 2 * won - loss, 1e-300)
        rest = table.n - table.lost - table.won
        parts = [(table.lost, won + loss), (table.won, won), (rest, both)]
        return -sum(count * math.log(max(p, 1e-300)) for count, p in parts if count)

    bounds = (max(0.0, -loss), (1.0 - loss) / 2.0)
    won = optimize.minimize_scalar(minus_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = table.n * (2 * won + loss * (1 - loss))
    return (table.lost - table.won - table.n * loss) / math.sqrt(variance)


def test_paired_interval_mirrors_with_the_table() -> None:
    """Swapping the classifiers swaps and negates the ends."""
    one, other = paired_loss_interval(PairedTable(9, 4, 200)), paired_loss_interval(PairedTable(4, 9, 200))

    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_paired_interval_of_extremes_stays_inside() -> None:
    """All lost is a loss of at most 1."""
    assert paired_loss_interval(PairedTable(10, 0, 10)).high == 1.0
    assert paired_loss_interval(PairedTable(0, 10, 10)).low == -1.0


def test_paired_upper_end_is_wrong_at_its_rate() -> None:
    """With a true loss of 1 point on 500 samples the upper end lies below it in at most 6.5 % of 2,000 draws."""
    draws = np.random.default_rng(8).multinomial(500, [0.03, 0.02, 0.95], size=DRAWS)
    tables, counts = np.unique(draws[:, :2], axis=0, return_counts=True)

    wrong = sum(
        int(count)
        for (lost, won), count in zip(tables, counts, strict=True)
        if paired_loss_interval(PairedTable(int(lost), int(won), 500)).high < 0.01
    )

    assert wrong / DRAWS <= 0.065


@pytest.mark.parametrize("call", [lambda: wilson_interval(3, 2), lambda: wilson_interval(0, 0)])
def test_no_rate_is_an_error(call: object) -> None:
    """More right than asked, or nothing asked, is refused."""
    with pytest.raises(ValueError, match="is no rate"):
        call()  # type: ignore[operator]


def test_no_table_is_an_error() -> None:
    """More discordant answers than samples are refused."""
    with pytest.raises(ValueError, match="is no paired table"):
        paired_loss_interval(PairedTable(3, 3, 5))
