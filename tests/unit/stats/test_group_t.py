"""The group-sequential t: its table derived again, its error rates on boards of every kind, its known answers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from harness.stats.group_t import BOUNDARIES, boundary, group_t, t_ends
from harness.stats.outlook import walk
from harness.stats.quantile import FloatArray
from harness.stats.trial import ALPHA, CAP, LOOKS, Answer

MARGIN = math.log(1.05)
CELLS = 40_000
ROUGH = 3.5 * math.sqrt(0.05 * 0.95 / CELLS)
"""Three and a half standard errors of a simulated rate of 5 %."""

Draw = Callable[[np.random.Generator, float], FloatArray]


def _normal(rng: np.random.Generator, sd: float) -> FloatArray:
    return rng.normal(0.0, sd, (CELLS, CAP))


def _t3(rng: np.random.Generator, sd: float) -> FloatArray:
    return rng.standard_t(3, (CELLS, CAP)) * sd / math.sqrt(3.0)


def _outliers(rng: np.random.Generator, sd: float) -> FloatArray:
    """Add a disturbance of 15 % to every twelfth pair."""
    return _normal(rng, sd) + (rng.random((CELLS, CAP)) < 0.08) * rng.normal(0.0, 0.15, (CELLS, CAP))


def _drift(rng: np.random.Generator, sd: float) -> FloatArray:
    """Slow the board down by 3 % over the sessions; a coin says which arm of a pair ran first."""
    level = np.linspace(0.0, math.log(1.03), 2 * CAP).reshape(CAP, 2)
    coin = rng.random((CELLS, CAP)) < 0.5
    return _normal(rng, sd) + np.where(coin, 1.0, -1.0) * (level[:, 1] - level[:, 0])


BOARDS = {"normal": _normal, "t3": _t3, "outliers": _outliers, "drift": _drift}


@pytest.mark.parametrize("alpha", BOUNDARIES)
def test_the_boundaries_spend_their_error_look_by_look(alpha: float) -> None:
    """Simulated paths of t cross each boundary of the table for the first time as often as is spent at that look."""
    paths = 400_000
    values = np.random.default_rng(11).standard_normal((paths, CAP))
    alive = np.ones(paths, dtype=bool)
    spent = 0
    for n in LOOKS:
        path = np.abs(values[:, :n].mean(axis=1)) / (values[:, :n].std(axis=1, ddof=1) / math.sqrt(n))
        crossed = alive & (path > boundary(n, alpha))
        alive &= ~crossed
        due = alpha * (n - spent) / CAP
        spent = n

        found = crossed.sum() / paths / 2.0  # two sides
        assert found == pytest.approx(due, abs=4.0 * math.sqrt(due / paths / 2.0) + 0.005 * due), n
    assert spent == CAP


def test_the_first_boundary_is_the_quantile_of_student() -> None:
    """With one look there is nothing to simulate: t with two degrees of freedom at a quarter of the error."""
    for alpha, table in BOUNDARIES.items():
        assert table[0] == pytest.approx(stats.t.ppf(1 - alpha / 4, 2), abs=0.01)


def test_an_alpha_beside_the_table_is_bounded_from_above() -> None:
    """Untabled boundaries split the error as if looks did not overlap: higher than the table at every look after it."""
    split = [stats.t.ppf(1 - 0.05 * share / 12, n - 1) for n, share in zip(LOOKS, (3, 1, 1, 1, 2, 2, 2), strict=True)]

    assert all(high >= low - 0.01 for high, low in zip(split, BOUNDARIES[0.05], strict=True))
    assert boundary(6, 0.002) == pytest.approx(stats.t.ppf(1 - 0.002 / 12, 5))


@pytest.mark.parametrize("kind", BOARDS)
@pytest.mark.parametrize("sd", [0.01, 0.02, 0.04])
def test_at_the_margin_each_wrong_answer_has_five_percent(kind: str, sd: float) -> None:
    """A candidate that is worse by just the margin passes, and fails, in at most 5 % of cells."""
    values = BOARDS[kind](np.random.default_rng(3), sd) + MARGIN

    answers, _ = walk(values, MARGIN)

    assert np.mean(answers == 1) <= ALPHA + ROUGH
    assert np.mean(answers == -1) <= ALPHA + ROUGH


@pytest.mark.parametrize("kind", BOARDS)
def test_an_unchanged_candidate_fails_in_less_than_one_of_a_thousand(kind: str) -> None:
    """Without a change the margin itself is the main guard, even where the board is hardly fit for it."""
    for sd in (0.01, 0.02, 0.04):
        answers, _ = walk(BOARDS[kind](np.random.default_rng(4), sd), MARGIN)

        assert np.mean(answers == 1) <= 1e-3


def test_few_pairs_are_enough_on_an_ordinary_board() -> None:
    """At 2 % noise and a margin of 5 % the mean is at most 4.5 pairs, unchanged or clearly worse."""
    values = _normal(np.random.default_rng(5), 0.02)

    for effect, answer in ((0.0, -1), (math.log(1.10), 1)):
        answers, used = walk(values + effect, MARGIN)
        assert used.mean() <= 4.5
        assert np.mean(answers == answer) > 0.999


def test_a_single_trial_walks_as_many_do() -> None:
    """The test of one cell and the vectorised path give the same answers after the same number of pairs."""
    values = np.random.default_rng(6).normal(0.01, 0.03, (200, CAP))

    answers, used = walk(values, MARGIN)

    sides = {Answer.BEYOND: 1, Answer.WITHIN: -1, Answer.OPEN: 0}
    found = [group_t(row, MARGIN) for row in values]
    assert [sides[trial.answer] for trial in found] == answers.tolist()
    assert [trial.used for trial in found] == used.tolist()


def test_an_answer_is_where_the_margin_leaves_the_interval() -> None:
    """The last look's ends are the margins at which the answer would flip."""
    values = [0.001, -0.002, 0.0, 0.001]

    trial = group_t(values, MARGIN)

    high = trial.looks[-1].high
    assert trial.answer is Answer.WITHIN
    assert group_t(values[: trial.used], high + 1e-9).answer is Answer.WITHIN
    assert group_t(values[: trial.used], high - 1e-9).answer is Answer.OPEN


def test_equal_readings_decide_no_more_than_their_step() -> None:
    """Three equal readings just below the margin are open when the floor says how coarse they are."""
    equal = [MARGIN - 0.01] * 3

    assert group_t(equal, MARGIN).answer is Answer.WITHIN
    assert group_t(equal, MARGIN, floor=0.02).answer is Answer.OPEN


def test_too_few_observations_are_open() -> None:
    """Nothing is decided before the first look, and what is not finite is refused."""
    assert group_t([], MARGIN).answer is Answer.OPEN
    assert group_t([0.5, 0.5], MARGIN).looks == ()
    with pytest.raises(ValueError, match="finite"):
        group_t([math.nan] * 3, MARGIN)


def test_the_p_value_is_small_only_where_a_failure_is_shown() -> None:
    """Under a true margin it is below 1 % in about 1 % of cells at most; a clear failure has a small one."""
    rng = np.random.default_rng(8)
    at_margin = [group_t(rng.normal(MARGIN, 0.02, CAP), MARGIN).p_value for _ in range(1500)]

    assert np.mean(np.asarray(at_margin) < 0.02) < 0.02 + 3.5 * math.sqrt(0.02 / 1500)
    assert group_t([0.2, 0.21, 0.2], MARGIN).p_value < 0.01


def test_ends_are_those_of_the_known_formula() -> None:
    """For d = 0, 0.02, 0.04 the mean is 0.02, sd 0.02, and 6.21 standard errors to each side."""
    low, high = t_ends(np.array([0.0, 0.02, 0.04]))

    assert (float(low), float(high)) == pytest.approx((0.02 - 6.21 * 0.02 / 3**0.5, 0.02 + 6.21 * 0.02 / 3**0.5))
