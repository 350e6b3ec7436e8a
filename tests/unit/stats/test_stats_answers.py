"""Answers compared: accuracy, parity, and whether timed calls gave them at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.records.cell import Role, SessionKind
from harness.records.outcome import Attribution, Outcome
from harness.records.verdict import Estimate
from harness.stats import Evidence, Missing, estimate, loss
from harness.stats.accuracy import paired_table, top_hits
from harness.stats.evidence import AnyArray
from harness.stats.interval import PairedTable
from harness.stats.parity import cosine, distribution, kl, max_abs, snr_db
from harness.stats.timed_output import timed_output_problem
from harness.testing.evidence import Scene


def _with_array(evidence: Evidence, name: str, array: AnyArray) -> Evidence:
    """Put another array in the place of the one that ends in `name`."""
    key = next(key for key in sorted(evidence.arrays) if key.endswith(name) and not key.startswith("reference"))
    return replace(evidence, arrays={**evidence.arrays, key: array})


def _figure(found: Estimate | Missing) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def _missing(found: object) -> Missing:
    assert isinstance(found, Missing), found
    return found


def test_top_k_counts_the_label_among_the_best() -> None:
    """The second best class is right for top-2 and wrong for top-1."""
    scores = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    labels = np.array([2, 0])

    assert top_hits(scores, labels, 1).tolist() == [False, True]
    assert top_hits(scores, labels, 2).tolist() == [True, True]


def test_ties_go_to_the_lower_class_as_argmax_does() -> None:
    """A constant output is right only for class 0: it cannot look accurate."""
    scores, labels = np.zeros((10, 10)), np.arange(10)

    assert top_hits(scores, labels, 1).sum() == 1
    assert (top_hits(scores, labels, 1) == (scores.argmax(axis=1) == labels)).all()


def test_paired_table_counts_who_was_right() -> None:
    """Lost: only the reference is right. Won: only the candidate is."""
    reference, candidate = np.array([True, True, False, False]), np.array([True, False, True, False])

    assert paired_table(reference, candidate) == PairedTable(1, 1, 4)


def test_accuracy_of_a_cell_has_its_samples_as_n() -> None:
    """396 of 400 right is 99 % with a Wilson interval around it."""
    found = _figure(estimate(Scene().evidence(), "accuracy.top1"))

    assert (found.value, found.n) == (0.99, 400)
    assert found.low == pytest.approx(0.9779, abs=1e-4)


def test_loss_pairs_the_same_samples() -> None:
    """Reference and candidate wrong on the same 4 samples: no loss; 6 more wrong: 6 lost."""
    assert not isinstance(same := loss(Scene().evidence(), "accuracy.top1"), Missing)
    assert not isinstance(worse := loss(Scene(wrong=10).evidence(), "accuracy.top1"), Missing)

    assert same.estimate.value == 0.0
    assert (worse.estimate.components["lost"], worse.estimate.components["won"]) == (6.0, 0.0)
    assert worse.baseline.value == 0.99


def test_a_model_that_answers_nan_fails() -> None:
    """NaN is the model's fault and never compares as right."""
    evidence = Scene().evidence()
    scores = evidence.arrays["9/output_0"].copy()
    scores[7, 3] = np.nan

    found = _missing(estimate(_with_array(evidence, "output_0", scores), "accuracy.top1"))

    assert (found.outcome, found.attribution) == (Outcome.FAIL, Attribution.MODEL)
    assert "1 of 400 samples" in found.reason


@pytest.mark.parametrize(
    ("scores", "reason"),
    [(np.zeros((399, 10), np.float32), "399 answers for 400"), (np.zeros((400, 1), np.float32), "no top-1")],
)
def test_answers_that_cannot_be_scored_are_missing(scores: AnyArray, reason: str) -> None:
    """Too few answers and too few classes give no accuracy."""
    found = _missing(estimate(_with_array(Scene().evidence(), "output_0", scores), "accuracy.top1"))

    assert reason in found.reason


def test_labels_must_be_there() -> None:
    """Without labels there is no accuracy, and the plan is to blame."""
    evidence = Scene().evidence()
    arrays = {key: array for key, array in evidence.arrays.items() if key != "labels"}

    found = _missing(estimate(replace(evidence, arrays=arrays), "accuracy.top1"))

    assert found.attribution is Attribution.PLAN


def test_parity_figures_known_answers() -> None:
    """Each figure on a case that can be computed by hand."""
    reference, candidate = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[4.0, 3.0], [0.0, 1.0]])

    assert cosine(candidate, reference) == pytest.approx((24 / 25 + 0.0) / 2)
    assert max_abs(candidate, reference) == 1.0
    assert snr_db(candidate, reference) == pytest.approx(10 * np.log10(26 / 4))
    assert kl(np.array([[0.5, 0.5]]), np.array([[0.75, 0.25]])) == pytest.approx(
        0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    )


def test_parity_of_equal_outputs_is_perfect_and_finite() -> None:
    """No difference is 200 dB, because a record has no infinity."""
    same = np.array([[0.0, 0.0], [0.2, 0.8]])

    assert (cosine(same, same), max_abs(same, same), snr_db(same, same), kl(same, same)) == (1.0, 0.0, 200.0, 0.0)


def test_zero_outputs_are_told_from_equal_ones() -> None:
    """A dead output has cosine 0 and the lowest possible signal to noise ratio is finite."""
    assert cosine(np.zeros((1, 2)), np.ones((1, 2))) == 0.0
    assert snr_db(np.ones((1, 2)), np.zeros((1, 2))) == -200.0


def test_logits_become_a_distribution() -> None:
    """Scores that do not sum to 1 go through softmax, also large ones."""
    assert distribution(np.array([[1000.0, 1000.0]])).tolist() == [[0.5, 0.5]]
    assert distribution(np.array([[0.25, 0.75]])).tolist() == [[0.25, 0.75]]


def test_parity_takes_the_worst_output() -> None:
    """Of two outputs the one that differs counts."""
    evidence = Scene().evidence()
    session = next(item for item in evidence.cell.sessions if "output_0" in item.arrays)
    refs = {**session.arrays, "output_1": replace(session.arrays["output_0"], key="x/output_1")}
    sessions = tuple(replace(item, arrays=refs) if item is session else item for item in evidence.cell.sessions)
    arrays = {**evidence.arrays, "x/output_1": np.ones((400, 2)), "reference/output_1": np.full((400, 2), 3.0)}
    evidence = replace(evidence, cell=replace(evidence.cell, sessions=sessions), arrays=arrays)

    found = _figure(estimate(evidence, "parity.max_abs"))

    assert found.value == 2.0
    assert "worst of 2 outputs" in found.method


def test_agreement_is_a_rate_and_parity_is_exact() -> None:
    """Agreement has an interval over samples, cosine is a fact about these samples."""
    evidence = Scene(wrong=10).evidence()

    agreement, exact = (
        _figure(estimate(evidence, "parity.top1_agreement")),
        _figure(estimate(evidence, "parity.cosine")),
    )

    assert agreement.value == pytest.approx(394 / 400)
    assert agreement.low != agreement.high
    assert exact.low == exact.high == exact.value < 1.0


def test_shapes_that_do_not_compare_are_missing() -> None:
    """A reference of another shape gives no parity."""
    evidence = _with_array(Scene().evidence(), "output_0", np.zeros((400, 9), np.float32))

    assert "do not compare" in _missing(estimate(evidence, "parity.cosine")).reason


def test_no_reference_is_missing() -> None:
    """Parity without a reference is INCONCLUSIVE, not perfect."""
    evidence = Scene().evidence()
    evidence = replace(evidence, arrays={key: a for key, a in evidence.arrays.items() if not key.startswith("ref")})

    assert _missing(estimate(evidence, "parity.cosine")).outcome is Outcome.INCONCLUSIVE


def test_timed_answers_that_differ_take_the_times_away() -> None:
    """A runtime that is fast because it does something else has no latency, but keeps its accuracy."""
    evidence = Scene().evidence()
    evidence = _with_array(evidence, "timed_output", evidence.arrays["0/timed_output"] + np.float32(0.05))

    assert "differ from the accuracy pass by up to 0.05" in _missing(estimate(evidence, "latency.p50")).reason
    assert "differ" in _missing(estimate(evidence, "work.instructions")).reason
    assert _figure(estimate(evidence, "accuracy.top1")).value == 0.99


@pytest.mark.parametrize("timed", [np.zeros(9, np.float32), np.full(10, np.nan, np.float32)])
def test_timed_answers_of_another_length_or_nan_differ(timed: AnyArray) -> None:
    """Wrong sizes and NaN never count as equal."""
    assert timed_output_problem(_with_array(Scene().evidence(), "timed_output", timed), Role.CANDIDATE)


def test_timed_answers_within_float_noise_are_equal() -> None:
    """A batched accuracy pass may differ in the last bits."""
    evidence = Scene().evidence()
    noisy = _with_array(evidence, "timed_output", evidence.arrays["0/timed_output"] * np.float32(1.0005))

    assert timed_output_problem(noisy, Role.CANDIDATE) == ""


def test_a_fixed_batch_is_timed_on_copies_of_one_sample() -> None:
    """A model exported for four samples answers four times; one copy that differs, or a free model's, does not pass."""
    evidence = Scene().evidence()
    sessions = tuple(
        replace(item, scalars={**item.scalars, "batch_size": 4.0}) if item.kind is SessionKind.ACCURACY else item
        for item in evidence.cell.sessions
    )
    fixed = replace(evidence, cell=replace(evidence.cell, sessions=sessions))
    four = np.tile(evidence.arrays["0/timed_output"], 4)
    wrong = four + np.float32(0.05) * (np.arange(four.size) == 33)

    assert timed_output_problem(_with_array(fixed, "timed_output", four), Role.CANDIDATE) == ""
    assert "by up to 0.05" in timed_output_problem(_with_array(fixed, "timed_output", wrong), Role.CANDIDATE)
    assert "40 values instead of 10" in timed_output_problem(
        _with_array(evidence, "timed_output", four), Role.CANDIDATE
    )


def test_one_step_of_a_quantised_output_is_equal() -> None:
    """An int8 output may round the other way by one step, not by two."""
    evidence, step = Scene().evidence(), 1 / 64
    scores = np.random.default_rng(2).integers(-128, 128, (400, 10)).astype(np.float32) * np.float32(step)
    evidence = _with_array(evidence, "output_0", scores)

    def differs(steps: int) -> bool:
        problems = []
        timed = scores[0].copy()
        timed[0] += np.float32(steps * step)
        arrays = {key: timed if key.endswith("timed_output") else array for key, array in evidence.arrays.items()}
        problems.append(timed_output_problem(replace(evidence, arrays=arrays), Role.CANDIDATE))
        return any(problems)

    assert not differs(1)
    assert differs(2)
