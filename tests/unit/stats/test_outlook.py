"""What is foretold of a paired gate agrees with what then happens."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats.outlook import RESOLVES, outlook, resolvable, walk
from harness.stats.trial import CAP


def test_a_forecast_comes_true() -> None:
    """Pairs, chance of no answer and power of other simulated cells are those foretold."""
    foreseen = outlook(0.04, 0.05)
    values = np.random.default_rng(77).normal(0.0, 0.04, (20_000, CAP))

    answers, used = walk(values, math.log(1.05))
    worse, _ = walk(values + math.log1p(foreseen.detectable), math.log(1.05))

    assert foreseen.pairs == pytest.approx(used.mean(), abs=0.2)
    assert foreseen.undecided == pytest.approx(np.mean(answers == 0), abs=0.01)
    assert np.mean(worse == 1) == pytest.approx(0.9, abs=0.02)


def test_more_noise_costs_more_and_sees_less() -> None:
    """Pairs, undecided cells and the smallest effect grow with the noise."""
    found = [outlook(sd, 0.05) for sd in (0.0, 0.01, 0.02, 0.04, 0.08)]

    assert [item.pairs for item in found] == sorted(item.pairs for item in found)
    assert [item.detectable for item in found] == sorted(item.detectable for item in found)
    assert found[0].pairs == 3.0


def test_a_board_far_too_noisy_sees_nothing() -> None:
    """Then the detectable effect is infinite."""
    assert outlook(1.0, 0.05).detectable == math.inf


def test_a_margin_at_the_edge_is_decided_in_most_cells() -> None:
    """Noise of 0.8 margins leaves less than one unchanged cell in twenty undecided: that is why the edge is there."""
    assert outlook(RESOLVES * math.log(1.05), 0.05).undecided < 0.05
    assert resolvable(RESOLVES * math.log(1.05)) == pytest.approx(0.05)


def test_impossible_questions_are_refused() -> None:
    """A negative margin has no forecast; a margin of nothing is hardly ever shown to be kept."""
    with pytest.raises(ValueError, match="impossible"):
        outlook(0.02, -0.01)
    assert outlook(0.02, 0.0).undecided > 0.8
