"""The sequential sign-flip test: exact by construction, checked by listing and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from harness.stats.sign_flip import FLIP_LOOKS, flip_ends, is_extreme, sign_flip, spending
from harness.stats.trial import CAP, Answer

MARGIN = math.log(1.05)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_of_all_sign_patterns_just_the_stated_share_is_extreme(alpha: float) -> None:
    """Ten distances with every pattern of signs: the share that ends the test is the error spent, never more."""
    sizes = np.array([0.011, 0.023, 0.007, 0.031, 0.017, 0.029, 0.003, 0.013, 0.041, 0.019])
    spent = spending(alpha)[FLIP_LOOKS.index(10)]

    share = np.mean([is_extreme(sizes * np.array(signs), alpha) for signs in itertools.product((-1, 1), repeat=10)])

    assert spent - 1.5 / 1024 <= share <= spent


def test_ties_spend_less_never_more() -> None:
    """Equal distances make patterns that cannot be told apart; those beyond the room are all left out."""
    share = np.mean([is_extreme(np.array(signs) * 0.01, 0.05) for signs in itertools.product((-1, 1), repeat=8)])

    assert 0 < share <= 0.043


def test_five_pairs_on_one_side_are_the_least_that_decides() -> None:
    """1/32 is spent by five equal signs; four decide nothing, and at 1 % not even five do."""
    values = [0.0, 0.001, -0.002, 0.003, 0.001]

    assert sign_flip(values, MARGIN).answer is Answer.WITHIN
    assert sign_flip(values[:4], MARGIN).answer is Answer.OPEN
    assert sign_flip([0.1, 0.11, 0.12, 0.1, 0.13], MARGIN, alpha=0.01).answer is Answer.OPEN
    assert sign_flip([0.1, 0.11, 0.12, 0.1, 0.13] * 2, MARGIN, alpha=0.01).answer is Answer.BEYOND


def _error(values: np.ndarray) -> tuple[float, float]:
    beyond = [any(is_extreme(row[:n] - MARGIN, 0.05) for n in FLIP_LOOKS) for row in values]
    within = [any(is_extreme(MARGIN - row[:n], 0.05) for n in FLIP_LOOKS) for row in values]
    return float(np.mean(beyond)), float(np.mean(within))


@pytest.mark.parametrize("kind", ["normal", "outliers", "cauchy"])
def test_at_the_margin_each_wrong_answer_has_five_percent(kind: str) -> None:
    """Whatever the distribution, as long as it is symmetric, which the coin for the order makes it."""
    cells = 500
    rng = np.random.default_rng(2)
    noise = {
        "normal": rng.normal(0.0, 0.02, (cells, CAP)),
        "outliers": rng.normal(0.0, 0.02, (cells, CAP)) + (rng.random((cells, CAP)) < 0.08) * 0.15,
        "cauchy": rng.standard_cauchy((cells, CAP)) * 0.02,
    }[kind]
    signs = np.where(rng.random((cells, CAP)) < 0.5, 1.0, -1.0)

    beyond, within = _error(MARGIN + signs * noise)

    rough = 3.5 * math.sqrt(0.05 * 0.95 / cells)
    assert beyond <= 0.05 + rough
    assert within <= 0.05 + rough


def test_the_ends_are_where_the_answer_flips() -> None:
    """Just inside of an end the margin is open, just outside it is decided."""
    values = np.random.default_rng(9).normal(0.0, 0.02, 8)

    low, high = flip_ends(values)

    assert is_extreme(values - (low - 1e-6), 0.05)
    assert not is_extreme(values - (low + 1e-6), 0.05)
    assert is_extreme(high + 1e-6 - values, 0.05)
    assert not is_extreme(high - 1e-6 - values, 0.05)
    assert flip_ends(values[:5], alpha=0.01)[0] == -math.inf


def test_distances_below_the_floor_count_as_none() -> None:
    """Five readings on the margin within their own step show nothing."""
    values = [MARGIN - 1e-5] * 5

    assert sign_flip(values, MARGIN).answer is Answer.WITHIN
    assert sign_flip(values, MARGIN, floor=1e-4).answer is Answer.OPEN


def test_an_answer_has_its_end_whatever_the_floor() -> None:
    """A floor of rounding's size or of the noise's: what is shown to be within a margin has an end below it."""
    rng = np.random.default_rng(8)
    for floor in (0.0, 1e-6, 0.013, 0.0527):
        for _ in range(40):
            trial = sign_flip(rng.normal(0.0, 0.08, 5), 0.5, floor=floor)

            assert trial.answer is Answer.WITHIN
            assert trial.looks[-1].high <= 0.5


@pytest.mark.parametrize("shift", [0.0, 1e-9, -1e-9])
def test_answer_and_ends_never_contradict_each_other(shift: float) -> None:
    """A distance of just the floor is a gap in the decided margins, where the ends once said what the answer denied."""
    values = [0.0229, 0.0311, 0.02 + shift, 0.032, 0.0405, 0.0249]

    trial = sign_flip(values, 0.015, floor=0.005)

    low, high = trial.looks[-1].low, trial.looks[-1].high
    sides = {Answer.BEYOND: low > 0.015, Answer.WITHIN: high < 0.015, Answer.OPEN: low <= 0.015 <= high}
    assert sides[trial.answer]
