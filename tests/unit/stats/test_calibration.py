"""What A/A pairs tell of a board: noise, tails, false alarms, and what its gates can see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats.calibration import LEAST_PAIRS, Tally, describe_noise, flip_outlook, shape_of, spread_of
from harness.stats.outlook import outlook
from harness.stats.proportion import exact_lower_bound, exact_upper_bound
from harness.stats.quantile import FloatArray

METRIC = "latency.p50"


def _normal(seed: int, pairs: int = 60, sd: float = 0.02) -> FloatArray:
    return np.random.default_rng(seed).normal(0.0, sd, pairs)


def _disturbed(seed: int) -> FloatArray:
    """Normal pairs of which 8 % are grossly disturbed."""
    rng = np.random.default_rng(seed)
    return _normal(seed) + (rng.random(60) < 0.08) * rng.normal(0.0, 0.15, 60)


@pytest.mark.parametrize(("hits", "n", "bound"), [(0, 20, 0.1391), (0, 60, 0.0487), (0, 300, 0.00994), (1, 20, 0.2161)])
def test_the_bound_of_false_alarms_is_that_of_the_tables(hits: int, n: int, bound: float) -> None:
    """Clopper and Pearson's upper 95 % bound, one-sided: 0 of 20 is 13.9 %."""
    assert exact_upper_bound(hits, n) == pytest.approx(bound, abs=5e-5)
    assert exact_lower_bound(n - hits, n) == pytest.approx(1 - bound, abs=5e-5)


def test_nothing_is_bounded_by_nothing() -> None:
    """Without a gate, or when all failed, the share may be anything up to 1."""
    assert exact_upper_bound(0, 0) == exact_upper_bound(5, 5) == 1.0


def test_normal_noise_is_described_as_the_planning_line_foresees_it() -> None:
    """Standard deviation, pairs and detectable effect are those of `outlook`; the t test decides."""
    values = _normal(3)
    found = describe_noise(METRIC, list(values), 0.05, Tally(14, 0, 1))
    view = outlook(float(values.std(ddof=1)), 0.05)

    assert found.sd == pytest.approx(0.02, rel=0.2)
    assert not found.is_heavy
    assert (found.expected_pairs, found.undecided_chance, found.detectable) == (
        view.pairs, view.undecided, view.detectable,
    )  # fmt: skip
    assert (found.gates, found.alarms, found.undecided) == (14, 0, 1)
    assert found.alarm_bound == pytest.approx(1 - 0.05 ** (1 / 14))


def test_normal_boards_are_rarely_taken_for_others() -> None:
    """At most one in fifty normal boards gets the exact test, which costs it one pair per gate."""
    chosen = [shape_of(_normal(seed)).is_heavy for seed in range(200)]

    assert sum(chosen) <= 4


def test_gross_disturbances_choose_the_exact_test() -> None:
    """Eight per cent of disturbed pairs are seen in nine of ten calibrations of 60 pairs."""
    chosen = [shape_of(_disturbed(seed)).is_heavy for seed in range(50)]

    assert sum(chosen) >= 45


def test_a_few_pairs_tell_no_tails() -> None:
    """Below twenty pairs the t test stays, whatever one pair looks like."""
    values = [*_normal(1, 14, 0.01), 0.4]

    assert not describe_noise(METRIC, values, 0.05, Tally()).is_heavy


@pytest.mark.parametrize("ratios", [[0.01] * (LEAST_PAIRS - 1), [math.nan] * LEAST_PAIRS])
def test_too_few_or_impossible_pairs_do_not_calibrate(ratios: list[float]) -> None:
    """They are an error of the caller, never a small noise."""
    with pytest.raises(ValueError, match="do not calibrate"):
        describe_noise(METRIC, ratios, 0.05, Tally())


def test_a_board_that_always_answers_alike_is_normal_and_sees_everything() -> None:
    """Ratios without any scatter have no tails, and the smallest step beyond the margin is found."""
    found = describe_noise(METRIC, [0.0] * 30, 0.05, Tally(10))

    assert (found.sd, found.kurtosis, found.normal_p, found.is_heavy) == (0.0, 0.0, 1.0, False)
    assert found.detectable == pytest.approx(0.05, abs=0.001)


def test_the_spread_ignores_outliers() -> None:
    """A few gross disturbances leave it where it was."""
    values = _normal(4, 200, 0.01)
    disturbed = np.concatenate([values, [0.5, -0.4, 0.6]])

    assert spread_of(values) == pytest.approx(0.01, rel=0.15)
    assert spread_of(disturbed) == pytest.approx(spread_of(values), rel=0.05)
    assert describe_noise(METRIC, list(disturbed), 0.05, Tally()).sd > 0.04


def test_the_exact_test_is_foreseen_from_the_pairs_themselves() -> None:
    """It takes five pairs at least, and finds what lies some deviations beyond the margin."""
    view = flip_outlook(_normal(2, 60, 0.01), 0.05)

    assert 5.0 <= view.pairs < 6.0
    assert view.undecided == 0.0
    assert 0.055 < view.detectable < 0.09


def test_a_wild_board_leaves_unchanged_cells_open() -> None:
    """Cauchy-like noise of the size of the margin: the chance of no answer is foreseen."""
    wild = np.random.default_rng(7).standard_t(1.5, 60) * 0.05

    assert flip_outlook(wild, 0.05).undecided > 0.3
