"""Paired proportions: known answers from print, error rates computed exactly, and what samples resolve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as distributions

from harness.gate.decide import decide
from harness.records.outcome import Outcome
from harness.stats.accuracy import loss_estimate, pack_hits, relative_loss_estimate, unpack_hits
from harness.stats.interval import Interval, PairedTable, paired_loss_interval, wilson_interval
from harness.stats.proportion import (
    difference_of_losses,
    mcnemar_p,
    relative_loss_interval,
    resolvable_loss,
    samples_to_resolve,
)
from harness.testing.evidence import limit

AIRWAYS = PairedTable(7, 1, 21)
"""Fagerland, Lydersen & Laake (2014), Statistics in Medicine 33, 2850-2875: 8 of 21 against 2 of 21."""


def test_known_answers_from_print() -> None:
    """The airway data: exact McNemar 0.070, Tango -0.517 to -0.026, score interval of the ratio 0.065 to 0.907."""
    loss = paired_loss_interval(AIRWAYS, confidence=0.95)
    ratio = relative_loss_interval(AIRWAYS, 8, confidence=0.95)

    assert mcnemar_p(AIRWAYS) == pytest.approx(0.0703, abs=1e-4)
    assert [loss.low, loss.high] == pytest.approx([0.026, 0.517], abs=1e-3)
    assert [1 / (1 + ratio.high), 1 / (1 + ratio.low)] == pytest.approx([0.065, 0.907], abs=1e-3)


def test_mcnemar_is_scipys_binomial_test() -> None:
    """The p-value is that of a fair coin over the discordant samples, and 1 when there is none."""
    for lost, won in ((0, 0), (0, 5), (9, 3), (20, 41)):
        expected = distributions.binomtest(lost, lost + won).pvalue if lost + won else 1.0
        assert mcnemar_p(PairedTable(lost, won, 100)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n", "discordance", "points"), [(50_000, 0.02, 0.185), (5000, 0.05, 0.93), (10_000, 0.05, 0.65)]
)
def test_resolvable_margin_of_many_samples_is_the_textbooks(n: int, discordance: float, points: float) -> None:
    """One-sided 5 %, power 90 %, no true change: (1.645 + 1.282) sqrt(discordance / n), to 2 %."""
    discordant = round(n * discordance)

    found = resolvable_loss(PairedTable(discordant // 2, discordant - discordant // 2, n))

    assert 100 * found == pytest.approx(points, rel=0.02)


@pytest.mark.parametrize("discordant", [3, 8, 15, 40])
def test_a_resolvable_margin_is_passed_by_nine_of_ten_candidates_without_loss(discordant: int) -> None:
    """The promise of the sentence, by simulation of 719 samples; a margin a quarter smaller does not keep it."""
    rng = np.random.default_rng(5)
    share = discordant / 719
    draws = rng.multinomial(719, [share / 2, share / 2, 1 - share], 1500)
    margin = resolvable_loss(PairedTable(discordant, 0, 719))

    ends = np.array([paired_loss_interval(PairedTable(int(a), int(b), 719)).high for a, b, _ in draws])

    assert 0.89 < np.mean(ends < margin) < 0.95
    assert np.mean(ends < 0.75 * margin) < 0.89


def test_samples_to_bring_are_those_that_resolve() -> None:
    """With so many samples at the same discordance the margin is resolvable, with a tenth fewer it is not."""
    enough = samples_to_resolve(PairedTable(8, 7, 719), 0.005)
    assert enough == 7400

    def at(n: int) -> float:
        return resolvable_loss(PairedTable(round(8 / 719 * n), round(7 / 719 * n), n))

    assert at(enough) <= 0.005 < at(round(enough * 0.9))
    assert samples_to_resolve(PairedTable(8, 7, 719), 0.0) is None


@pytest.mark.parametrize("n", [200, 719, 2000])
@pytest.mark.parametrize("won", [0.0005, 0.005, 0.02])
@pytest.mark.parametrize("margin", [0.005, 0.01, 0.015])
def test_a_true_loss_at_the_margin_passes_at_most_one_time_in_twenty(n: int, won: float, margin: float) -> None:
    """The rate of wrong PASS, summed over all likely tables, is at most 5.5 % where the interval is at its worst."""
    bound = limit("accuracy.top1", "drop", margin, "m")
    wrong = 0.0
    for lost in _likely(n, won + margin):
        left = distributions.binom.pmf(lost, n, won + margin)
        for gained in _likely(n - lost, won / (1 - won - margin)):
            share = left * distributions.binom.pmf(gained, n - lost, won / (1 - won - margin))
            if share > 1e-6 and decide(bound, loss_estimate(PairedTable(lost, gained, n))) is Outcome.PASS:
                wrong += share

    assert wrong <= 0.055


def _likely(n: int, p: float) -> range:
    middle, spread = n * p, 4.5 * math.sqrt(n * p) + 3
    return range(max(0, math.floor(middle - spread)), min(n, math.ceil(middle + spread)) + 1)


@pytest.mark.parametrize(("accuracy", "loss"), [(0.95, 0.02), (0.6, 0.1), (0.3, 0.0), (0.3, 0.15)])
def test_the_relative_interval_covers_the_ratio(accuracy: float, loss: float) -> None:
    """Each end of the 90 % interval of other / candidate - 1 is wrong in at most 6 % of 1,500 draws of 300 samples."""
    rng = np.random.default_rng(7)
    won = 0.03 * accuracy
    draws = rng.multinomial(300, [accuracy - loss - won, loss + won, won, 1 - accuracy - won], 1500)
    truth = accuracy / (accuracy - loss) - 1

    ends = [relative_loss_interval(PairedTable(int(b), int(c), 300), int(a + b)) for a, b, c, _ in draws]

    assert np.mean([item.low > truth for item in ends]) < 0.06
    assert np.mean([item.high < truth for item in ends]) < 0.06


def test_the_relative_interval_knows_that_the_baseline_is_an_estimate() -> None:
    """Dividing the loss by the baseline's accuracy, as if that were known, is too narrow: 9 of 30 against 3."""
    table = PairedTable(7, 1, 30)
    loss, exact = paired_loss_interval(table), relative_loss_interval(table, 9)

    constant = [1 / (1 - end / 0.3) - 1 for end in (loss.low, loss.high)]

    assert exact.high < math.inf
    assert exact.low < constant[0] or exact.high > constant[1]


def test_a_candidate_without_a_right_answer_is_worse_without_bound() -> None:
    """No infinity in a record: the figure is finite, its upper end is open, and the limit is broken."""
    found = relative_loss_estimate(PairedTable(30, 0, 100), 30)

    assert found.high is None
    assert decide(limit("accuracy.top1", "regress", 0.05, "5 %"), found) is Outcome.REGRESSION


def test_impossible_counts_are_errors() -> None:
    """More won than the baseline had wrong."""
    with pytest.raises(ValueError, match="do not fit"):
        relative_loss_interval(PairedTable(8, 7, 719), 713)


def test_the_difference_of_two_rates_is_newcombes() -> None:
    """Uncorrelated: Newcombe's method 10 on 56 of 70 against 48 of 80 gives 0.0524 to 0.3339."""
    one, other = wilson_interval(56, 70, confidence=0.95), wilson_interval(48, 80, confidence=0.95)

    found = difference_of_losses((0.8, one), (0.6, other), 0.0)

    assert [found.low, found.high] == pytest.approx([0.0524, 0.3339], abs=1e-4)


def test_perfectly_correlated_losses_leave_no_doubt_about_their_difference() -> None:
    """The same samples lost for the same reason: the difference is exactly 0."""
    same = (0.01, Interval(-0.01, 0.04, 0.9))

    found = difference_of_losses(same, (0.01, Interval(-0.01, 0.04, 0.9)), 1.0)

    assert found.low < 0 < found.high
    assert difference_of_losses(same, (0.01, Interval(-0.02, 0.03, 0.9)), 1.0).low == 0.0


def test_right_answers_survive_their_packing() -> None:
    """719 answers are 120 letters; a text about another number of samples, or none at all, is refused."""
    right = np.random.default_rng(1).random(719) < 0.99
    text = pack_hits(right)

    back = unpack_hits(text, 719)

    assert back is not None
    assert (back == right).all()
    assert len(text) == 120
    assert unpack_hits(text, 900) is None
    assert unpack_hits("not base64!", 719) is None
