"""One limit against one interval, and the sentence that says so."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gate.decide import decide, margin
from harness.gate.reason import explain_comparison, explain_figure
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.stats import Comparison
from harness.stats.accuracy import loss_estimate
from harness.stats.interval import PairedTable
from harness.testing.evidence import limit

FIGURE = st.floats(0.001, 1000.0)


def _estimate(value: float, low: float | None, high: float | None, n: int = 6) -> Estimate:
    return Estimate(value, low, high, n, "6 sessions")


CASES = [
    ("max", (3.0, 2.0, 3.9), Outcome.PASS),
    ("max", (3.0, 2.0, 4.0), Outcome.PASS),
    ("max", (3.0, 2.0, 4.1), Outcome.INCONCLUSIVE),
    ("max", (4.0, 4.0, 5.0), Outcome.INCONCLUSIVE),
    ("max", (4.5, 4.1, 5.0), Outcome.FAIL),
    ("max", (3.0, None, 3.9), Outcome.PASS),
    ("max", (3.0, 2.0, None), Outcome.INCONCLUSIVE),
    ("max", (5.0, 4.5, None), Outcome.FAIL),
    ("max", (1.0, None, None), Outcome.INCONCLUSIVE),
    ("min", (5.0, 4.0, 6.0), Outcome.PASS),
    ("min", (5.0, 3.9, 6.0), Outcome.INCONCLUSIVE),
    ("min", (3.0, 2.0, 3.9), Outcome.FAIL),
    ("min", (3.0, 2.0, 4.0), Outcome.INCONCLUSIVE),
    ("regress", (4.5, 4.1, 5.0), Outcome.REGRESSION),
    ("regress", (-3.0, -4.0, -2.0), Outcome.PASS),
    ("drop", (4.5, 4.1, 5.0), Outcome.FAIL),
]


@pytest.mark.parametrize(("kind", "ends", "expected"), CASES)
def test_three_answers(kind: str, ends: tuple[float, float | None, float | None], expected: Outcome) -> None:
    """Against a limit of 4: all of the interval allowed passes, none of it fails, else it is INCONCLUSIVE."""
    assert decide(limit("latency.p50", kind, 4.0), _estimate(*ends)) is expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["max", "min", "regress", "drop"])
def test_what_is_no_figure_never_passes(value: float, kind: str) -> None:
    """NaN and infinity on either side of the comparison are INCONCLUSIVE."""
    assert decide(limit("latency.p50", kind, 4.0), _estimate(value, None, None)) is Outcome.INCONCLUSIVE
    assert decide(limit("latency.p50", kind, value), _estimate(1.0, 1.0, 1.0)) is Outcome.INCONCLUSIVE
    assert decide(limit("latency.p50", kind, 4.0), _estimate(3.0, value, value)) is Outcome.INCONCLUSIVE


def test_an_interval_without_its_own_figure_never_passes() -> None:
    """An edited or broken estimate decides nothing."""
    assert decide(limit("latency.p50", "max", 4.0), _estimate(9.0, 1.0, 2.0)) is Outcome.INCONCLUSIVE


@given(FIGURE, FIGURE, FIGURE, FIGURE)
def test_worse_figures_never_get_better_answers(value: float, half: float, bound: float, shift: float) -> None:
    """Moving the whole interval up never improves the answer on a max limit."""
    rank = {Outcome.PASS: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAIL: 2}
    ceiling = limit("latency.p50", "max", bound)

    now = decide(ceiling, _estimate(value, value - half, value + half))
    worse = decide(ceiling, _estimate(value + shift, value + shift - half, value + shift + half))

    assert rank[worse] >= rank[now]


@given(FIGURE, FIGURE, FIGURE)
def test_the_margin_has_the_sign_of_the_answer(value: float, half: float, bound: float) -> None:
    """Positive or zero for PASS, negative otherwise."""
    ceiling, found = limit("latency.p50", "max", bound), _estimate(value, value - half, value + half)
    outcome = decide(ceiling, found)

    distance = margin(ceiling, found, outcome)

    assert distance is not None
    assert (distance >= 0) == (outcome is Outcome.PASS)


def test_margin_of_unbounded_and_zero_limits() -> None:
    """An open end has no margin; a limit of 0 is measured in its own unit."""
    assert margin(limit("latency.p50", "max", 4.0), _estimate(1.0, None, None), Outcome.INCONCLUSIVE) is None
    assert margin(limit("parity.max_abs", "max", 0.0), _estimate(0.2, 0.2, 0.2), Outcome.FAIL) == -0.2


SENTENCES = [
    ((4.31e-3, 4.26e-3, 4.4e-3), "4.31 ms [4.26 ms, 4.4 ms] is above the limit 4 ms by at least 6.5 %"),
    ((3.7e-3, 3.6e-3, 3.8e-3), "3.7 ms [3.6 ms, 3.8 ms] meets the limit 4 ms, with at least 5 % to spare"),
    ((3.9e-3, 3.8e-3, 4.1e-3), "3.9 ms [3.8 ms, 4.1 ms]: within noise: the limit 4 ms lies inside the interval"),
    ((3.9e-3, None, None), "3.9 ms [-∞, ∞]: not enough data to compare with the limit 4 ms (6 sessions)"),
    ((5e-3, 5e-3, 5e-3), "5 ms is above the limit 4 ms by 25 %"),
    ((3e-3, 3e-3, 3e-3), "3 ms meets the limit 4 ms, with 25 % to spare"),
    (
        (3.0000e-3, 2.9999e-3, 3.0001e-3),
        "3 ms [2.9999 ms, 3.0001 ms] meets the limit 4 ms, with at least 25 % to spare",
    ),
]


@pytest.mark.parametrize(("ends", "sentence"), SENTENCES)
def test_sentences_on_absolute_limits(ends: tuple[float, float | None, float | None], sentence: str) -> None:
    """Value, interval, limit and margin in words."""
    bound, found = limit("latency.p95", "max", 4e-3, "4 ms"), _estimate(*ends)
    outcome = decide(bound, found)

    assert explain_figure(bound, found, outcome, margin(bound, found, outcome)) == f"latency.p95 {sentence}"


def test_an_exact_figure_is_told_from_its_limit() -> None:
    """Just over the limit is not printed as the limit."""
    bound, found = limit("storage.size", "max", 102_400, "100 KiB"), _estimate(102_605, 102_605, 102_605)

    said = explain_figure(bound, found, Outcome.FAIL, margin(bound, found, Outcome.FAIL))

    assert said == "storage.size 100.2 KiB is above the limit 100 KiB by 0.2 %"


def test_sentence_on_a_regression() -> None:
    """Both arms, the change and what is allowed."""
    arms = (_estimate(4.3e-3, None, None), _estimate(4e-3, None, None))
    found = Comparison(_estimate(0.075, 0.06, 0.09), *arms, "measured in this run")

    said = explain_comparison(limit("latency.p50", "regress", 0.05, "5 %"), found, Outcome.REGRESSION)

    assert said == (
        "latency.p50 is 7.5 % [6 %, 9 %] worse than the baseline (4.3 ms against 4 ms), more than the allowed 5 %"
    )


def test_sentence_on_an_improvement_and_on_equality() -> None:
    """Better is said as better, with the sign of the interval explained."""
    arms = (_estimate(3e-3, None, None), _estimate(4e-3, None, None))
    bound = limit("latency.p50", "regress", 0.05, "5 %")

    better = explain_comparison(bound, Comparison(_estimate(-0.25, -0.26, -0.24), *arms, ""), Outcome.PASS)
    equal = explain_comparison(bound, Comparison(_estimate(0.0, 0.0, 0.0), *arms, ""), Outcome.PASS)

    assert "25 % (worsening [-26 %, -24 %]) better than the baseline" in better
    assert "is equal to the baseline" in equal


def test_a_limit_that_the_samples_cannot_resolve_is_said() -> None:
    """0.5 points on 719 samples of which 15 differ: which margin they resolve, and how many samples would do."""
    found = Comparison(loss_estimate(PairedTable(8, 7, 719)), _estimate(1, 1, 1), _estimate(1, 1, 1), "reference")

    said = explain_comparison(limit("accuracy.top1", "drop", 0.005, "0.5 pp"), found, Outcome.INCONCLUSIVE)

    assert "719 samples of which 2.1 % differ resolve 1.8 pp; ask for >= 1.8 pp or bring >= 7,400 samples" in said


def test_a_loss_near_a_limit_that_could_be_resolved_is_said() -> None:
    """1.8 points allowed and 1.3 lost: the samples are many enough, the loss is what is near."""
    found = Comparison(loss_estimate(PairedTable(11, 2, 719)), _estimate(1, 1, 1), _estimate(1, 1, 1), "reference")

    said = explain_comparison(limit("accuracy.top1", "drop", 0.018, "1.8 pp"), found, Outcome.INCONCLUSIVE)

    assert "resolve 1.7 pp, but the loss is near it, about 5,400 samples would tell them apart" in said
