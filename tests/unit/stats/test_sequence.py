"""Bounds that may be looked at at any time: known values, and how often a whole sequence of looks is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats.interval import student_interval, wilson_interval
from harness.stats.sequence import FEWEST, mean_sequence, rate_sequence

LOOKS = (6, 8, 12, 16, 24, 32, 48)


def test_few_windows_bound_nothing() -> None:
    """Below the fewest windows the mean is not bounded, above it is."""
    samples = np.random.default_rng(0).normal(size=FEWEST)

    assert mean_sequence(samples[:-1]).high == math.inf
    assert math.isfinite(mean_sequence(samples).high)


def test_wider_than_an_interval_that_is_looked_at_once() -> None:
    """The price of looking at any time is less than a factor of three here."""
    samples = np.random.default_rng(1).normal(size=40)
    ours, once = mean_sequence(samples), student_interval(samples)

    assert 1.5 < (ours.high - ours.low) / (once.high - once.low) < 3.0
    assert rate_sequence(30, 40).low < wilson_interval(30, 40).low


def test_whole_sequences_are_wrong_in_five_percent() -> None:
    """Looked at seven times, an end misses the true mean in at most 5 %; the fixed interval misses far more often."""
    draws = np.random.default_rng(2).normal(size=(500, LOOKS[-1]))
    ours = sum(any(mean_sequence(row[:n]).low > 0 for n in LOOKS) for row in draws)
    fixed = sum(any(student_interval(row[:n]).low > 0 for n in LOOKS) for row in draws[:200])

    assert ours / 500 < 0.05
    assert fixed / 200 > 0.10


@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_rates_and_scores_are_wrong_in_five_percent(rate: float) -> None:
    """The same of rates, and of scores of the same mean that are neither 0 nor 1."""
    generator = np.random.default_rng(3)
    hits = generator.random((120, LOOKS[-1])) < rate
    scores = 0.5 * (hits + rate)
    for draws in (hits.astype(float), scores):
        bounds = [[rate_sequence(float(row[:n].sum()), n) for n in LOOKS[2::2]] for row in draws]
        assert np.mean([any(bound.low > rate for bound in row) for row in bounds]) <= 0.06
        assert np.mean([any(bound.high < rate for bound in row) for row in bounds]) <= 0.06


def test_ends_of_a_rate() -> None:
    """All or none leave one end open; what is no rate is refused."""
    assert rate_sequence(0, 5).low == 0.0
    assert rate_sequence(5, 5).high == 1.0
    assert 0.3 < rate_sequence(5, 5).low < 0.55
    with pytest.raises(ValueError, match="is no rate"):
        rate_sequence(6, 5)
