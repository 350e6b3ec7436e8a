"""The loss of accuracy split: parts that sum, who is blamed, and the coverage of every interval by simulation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from harness.gate import judge
from harness.gate.answers import explain_split
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate, LossSplit
from harness.stats.accuracy import loss_estimate, paired_table
from harness.stats.attribution import interaction_estimate, loss_split
from harness.testing.evidence import Scene, limit, run_of

Bools = npt.NDArray[np.bool_]
DRAWS, SAMPLES = 1000, 700


def _split(scene: Scene) -> LossSplit:
    found = loss_split(scene.evidence())
    assert found is not None
    return found


def test_a_loss_on_the_controller_is_quantization() -> None:
    """The same 16 samples more are lost on controller and board: all of it is the file's."""
    found = _split(Scene(wrong=20, controller=20))

    assert (found.total.value, found.quantization.value, found.platform.value) == (0.04, 0.04, 0.0)
    assert found.interaction is None


def test_a_loss_only_on_the_board_is_platform_and_of_this_artifact_alone() -> None:
    """The controller loses nothing, the board 40 samples, and nothing of the reference: interaction."""
    found = _split(Scene(wrong=44, controller=4, reference_on_board=4))

    assert (found.total.value, found.quantization.value, found.platform.value) == (0.1, 0.0, 0.1)
    assert found.reference_platform is not None
    assert found.interaction is not None
    assert (found.reference_platform.value, found.interaction.value) == (0.0, 0.1)


def test_a_board_that_costs_the_reference_as_much_is_no_fault_of_the_artifact() -> None:
    """Both lose the same 40 samples on the board: the interaction is 0."""
    found = _split(Scene(wrong=44, controller=4, reference_on_board=44))

    assert found.interaction is not None
    assert found.interaction.value == 0.0
    assert -0.01 < (found.interaction.low or 0) < 0 < (found.interaction.high or 0) < 0.01


def test_the_parts_sum_to_the_whole() -> None:
    """Sample by sample: total = quantization + platform, platform = the reference's part + interaction."""
    found = _split(Scene(wrong=50, controller=20, reference_on_board=10))

    assert found.reference_platform is not None
    assert found.interaction is not None
    assert found.total.value == pytest.approx(found.quantization.value + found.platform.value)
    assert found.platform.value == pytest.approx(found.reference_platform.value + found.interaction.value)


def test_without_the_controller_nothing_is_split() -> None:
    """An unknown part is not guessed."""
    assert loss_split(Scene(wrong=50).evidence()) is None


def test_the_verdict_says_where_the_loss_comes_from() -> None:
    """A failed drop names both parts with their intervals; what passes is left alone."""
    scene = Scene(wrong=24, controller=20, limits=(limit("accuracy.top1", "drop", 0.01, "1 pp"),))
    run, samples = run_of([scene.evidence()])

    found = judge(run, samples)

    assert "; of 5 pp: quantization 4 pp (2.7 … 5.9), platform 1 pp (0.32 … 2.2)" in found.verdicts[1].reason
    assert found.answers[0].split is not None
    assert explain_split(found.answers[0].split) in found.verdicts[1].reason


def test_where_nothing_is_lost_nothing_is_explained() -> None:
    """An undecided limit without a loss keeps its own reason; the parts stay in the record."""
    run, samples = run_of([Scene(controller=4, limits=(limit("accuracy.top1", "drop", 0.001, "0.1 pp"),)).evidence()])

    found = judge(run, samples)

    assert found.verdicts[1].outcome is Outcome.INCONCLUSIVE
    assert "quantization" not in found.verdicts[1].reason
    assert found.answers[0].split is not None


@pytest.mark.parametrize(
    ("quantization", "platform", "shared"),
    [(0.013, 0.001, 0.001), (0.01, 0.02, 0.005), (0.0, 0.1, 0.0), (0.05, 0.05, 0.05), (0.002, 0.002, 0.0)],
)
def test_intervals_cover_the_true_parts(quantization: float, platform: float, shared: float) -> None:
    """Each end of each 90 % interval is wrong in at most 6.5 % of 1,000 draws of 700 samples: 5 %, simulation error."""
    rng = np.random.default_rng(11)
    missed = {name: np.zeros(2) for name in ("quantization", "platform", "interaction")}
    for _ in range(DRAWS):
        reference, controller, board, on_board = _draw(rng, quantization, platform, shared)
        found = {
            "quantization": (loss_estimate(paired_table(reference, controller)), quantization),
            "platform": (loss_estimate(paired_table(controller, board)), platform),
            "interaction": (interaction_estimate((controller, board), (reference, on_board)), platform - shared),
        }
        for name, (part, truth) in found.items():
            missed[name] += _misses(part, truth)

    assert {name: (ends / DRAWS <= 0.065).all() for name, ends in missed.items()} == dict.fromkeys(missed, True), missed


def _misses(part: Estimate, truth: float) -> npt.NDArray[np.float64]:
    assert part.low is not None
    assert part.high is not None
    return np.array([part.low > truth + 1e-12, part.high < truth - 1e-12], dtype=np.float64)


def _draw(
    rng: np.random.Generator, quantization: float, platform: float, shared: float
) -> tuple[Bools, Bools, Bools, Bools]:
    """Draw right answers of reference and candidate on controller and board; each step loses and wins 0.5 % more."""
    churn = 0.005
    reference = rng.random(SAMPLES) < 0.9
    controller = _lose(rng, reference, quantization, churn)
    hit = rng.random(SAMPLES)
    board = _lose(rng, controller, platform, churn, hit)
    on_board = _lose(rng, reference, shared, churn, hit)
    return reference, controller, board, on_board


def _lose(
    rng: np.random.Generator, right: Bools, loss: float, churn: float, hit: npt.NDArray[np.float64] | None = None
) -> Bools:
    """Lose `loss + churn` of all samples and win `churn`; with `hit`, two classifiers tend to lose the same ones."""
    accuracy = 0.9 if hit is None else float(right.mean()) or 1.0
    draw = rng.random(SAMPLES) if hit is None else hit
    lost = right & (draw < (loss + churn) / accuracy)
    won = ~right & (rng.random(SAMPLES) < churn / max(1 - accuracy, 1e-9))
    return (right & ~lost) | won
