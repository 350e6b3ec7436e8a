"""Flips and conformance: ties apart from hard flips, the tolerance of float and of quantised outputs, bounded lists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.records.verdict import Estimate
from harness.stats import Evidence, Missing, estimate
from harness.stats.conformance import describe_conformance
from harness.stats.evidence import AnyArray
from harness.stats.flip import LISTED, find_flips, list_flips
from harness.stats.rounding import noise, output_step, ulp
from harness.testing.evidence import Scene

SCENE = Scene(controller=4)


def _figure(found: Estimate | Missing) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def _on_controller(scores: AnyArray) -> Evidence:
    evidence = SCENE.evidence()
    return replace(evidence, arrays={**evidence.arrays, "controller/output_0": scores})


def test_a_tie_is_told_from_a_hard_flip() -> None:
    """Scores that differ by rounding may fall either way; a flip over a real margin may not."""
    before = np.array([[10.0, 10.0 + 1e-6, 0.0], [10.0, 5.0, 0.0], [1.0, 2.0, 3.0]])
    after = np.array([[10.0 + 1e-6, 10.0, 0.0], [4.9, 5.0, 0.0], [1.0, 2.0, 3.0]])

    found = find_flips(before, after)

    assert found.sample.tolist() == [0, 1]
    assert found.is_tie.tolist() == [True, False]
    assert found.margin.tolist() == pytest.approx([1e-6, 5.0])
    assert (found.hard, found.ties, found.samples) == (1, 1, 3)


def test_one_step_of_a_quantised_output_is_a_tie_and_two_are_not() -> None:
    """An int8 head that puts two classes one step apart has no opinion."""
    scores = np.arange(-128, 128, dtype=np.float64).reshape(-1, 2) / 8
    before = np.vstack([scores, [[1.0, 1.125], [1.0, 1.25]]])
    after = before.copy()
    after[-2:] = [[1.125, 1.0], [1.25, 1.0]]

    found = find_flips(before, after)

    assert output_step(before) == 0.125
    assert found.is_tie.tolist() == [True, False]


def test_the_tolerance_follows_the_size_of_the_scores() -> None:
    """64 units in the last place: 7.6e-6 of a score of 1, 512 times that of 1,000; all-zero scores have one too."""
    assert ulp(np.array([[1.0, 0.5]]))[0] == np.spacing(np.float32(1.0))
    assert noise(np.array([[1.0, -0.3]]))[0] == pytest.approx(64 * 2**-23)
    assert noise(np.array([[1000.0, 1.5]]))[0] == pytest.approx(64 * 2**-14)
    assert noise(np.zeros((1, 2)))[0] > 0


def test_the_list_is_bounded_and_counts_all() -> None:
    """120 flips: 50 are listed, hard ones and large margins first, and the counts are of all."""
    before = np.zeros((120, 2))
    before[:, 0] = np.where(np.arange(120) < 30, 1e-9, 1.0 + np.arange(120) / 100)
    after = before[:, ::-1].copy()

    found = list_flips(find_flips(before, after), np.ones(120, dtype=np.int64))

    assert (found.samples, found.hard, found.ties, len(found.listed)) == (120, 90, 30, LISTED)
    assert [item.sample for item in found.listed[:2]] == [119, 118]
    assert found.listed[0].label == 1
    assert not any(item.is_tie for item in found.listed)


def test_the_same_answers_conform() -> None:
    """Board and controller agree: three exact zeros, and nothing to describe."""
    evidence = SCENE.evidence()

    figures = [_figure(estimate(evidence, f"conformance.{name}")) for name in ("flips", "max_abs", "max_ulp")]

    assert [(item.low, item.value, item.high) for item in figures] == [(0.0, 0.0, 0.0)] * 3
    assert figures[0].n == 400
    assert describe_conformance(evidence) is None


def test_differences_are_findings_with_their_size() -> None:
    """10 samples answered otherwise: 10 hard flips, the largest difference, and how many samples differ."""
    evidence = Scene(controller=14).evidence()

    flips, distance = (_figure(estimate(evidence, f"conformance.{name}")) for name in ("flips", "max_abs"))
    found = describe_conformance(evidence)

    assert (flips.low, flips.value, flips.high) == (10.0, 10.0, 10.0)
    assert distance.value == pytest.approx(0.9)
    assert distance.components == {"differing_samples": 10.0}
    assert found is not None
    assert found.flips is not None
    assert (found.differing, found.samples, found.flips.hard) == (10, 400, 10)


def test_rounding_is_a_difference_but_no_flip_and_beyond_no_tolerance() -> None:
    """One unit in the last place everywhere: max_ulp 1, no sample beyond the tolerance."""
    evidence = SCENE.evidence()
    scores = evidence.arrays["controller/output_0"]
    found = _on_controller(np.nextafter(scores, np.float32(2.0)))

    assert _figure(estimate(found, "conformance.max_ulp")).value == pytest.approx(1.0)
    assert _figure(estimate(found, "conformance.flips")).value == 0.0
    assert _figure(estimate(found, "conformance.max_abs")).components == {"differing_samples": 0.0}


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.zeros((400, 9), np.float32), "has shape"),
        (np.full((400, 10), np.nan, np.float32), "not finite on the controller"),
    ],
)
def test_what_does_not_compare_is_missing(scores: AnyArray, said: str) -> None:
    """Another shape, or a controller that answers NaN, gives no figure instead of a good one."""
    found = estimate(_on_controller(scores), "conformance.flips")

    assert isinstance(found, Missing)
    assert said in found.reason


def test_without_the_controller_there_is_no_conformance() -> None:
    """Not computed is not conform."""
    found = estimate(Scene().evidence(), "conformance.max_abs")

    assert isinstance(found, Missing)
    assert "did not compute" in found.reason
