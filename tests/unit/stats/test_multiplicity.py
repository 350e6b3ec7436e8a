"""Two-stage p-values and Holm's step-down."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.multiplicity import combined_p, holm


def test_a_failure_shown_twice_has_the_product_of_its_alphas_at_most() -> None:
    """Just shown at 5 % and just confirmed at 1 %: 0.0005."""
    assert combined_p([(0.05, 0.05), (0.01, 0.01)]) == pytest.approx(5e-4)
    assert combined_p([(0.3, 0.05), (0.3, 0.01)]) == pytest.approx(5e-4)
    assert combined_p([(0.0, 0.05), (0.01, 0.01)]) == 0.0


def test_the_combined_p_value_is_one() -> None:
    """Of uniform p-values that pass both alphas, it is below u in a share u of all."""
    rng = np.random.default_rng(1)
    pairs = rng.random((20_000, 2)) * np.array([0.05, 0.01])  # given that both reject

    found = np.array([combined_p([(a, 0.05), (b, 0.01)]) for a, b in pairs])

    for share in (0.1, 0.5, 0.9):
        assert np.mean(found <= share * 5e-4) == pytest.approx(share, abs=0.015)


def test_holm_gives_the_answers_of_print() -> None:
    """Holm (1979): 0.01, 0.04, 0.03 and 0.005 in a family of four reject 0.005 and 0.01 only."""
    assert holm([0.01, 0.04, 0.03, 0.005], 4) == (True, False, False, True)
    assert holm([0.01, 0.005], 4) == (True, True)
    assert holm([], 4) == ()
    assert holm([0.02], 4) == (False,)
