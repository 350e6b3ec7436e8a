"""Answers to questions: which choice was likely, what was judged, and what so few answers are worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.gate import check_limit
from harness.records.cell import Incident, Role, SessionKind
from harness.records.outcome import Attribution, Outcome
from harness.records.verdict import Estimate
from harness.spec.model import Limit, LimitKind, Origin
from harness.spec.questions import KINDS
from harness.spec.workload import Generation, Workload
from harness.stats import Evidence, Missing, estimate, loss
from harness.stats.evidence import AnyArray
from harness.stats.questions import questions_needed
from harness.testing.language import LanguageScene, array_ref

ORIGIN = Origin("s.suite.yaml", 9, 5)


def cell(ours: dict[str, AnyArray], key: dict[str, AnyArray], **reference: AnyArray) -> Evidence:
    """Make a cell whose accuracy session brought answers."""
    evidence = LanguageScene().evidence()
    session = evidence.sessions(Role.CANDIDATE, SessionKind.ACCURACY)[0]
    order = session.order
    more = {f"{order}/{name}": array for name, array in ours.items()}
    known = {**key, **{f"reference/{name}": array for name, array in reference.items()}}
    refs = {name: array_ref(f"{order}/{name}", array) for name, array in ours.items()}
    session = replace(session, arrays={**session.arrays, **refs})
    others = tuple(item for item in evidence.cell.sessions if item.order != order)
    references = {name: array_ref(name, array) for name, array in known.items()}
    record = replace(
        evidence.cell,
        sessions=(session, *others),
        reference_arrays={**evidence.cell.reference_arrays, **references},
    )
    return replace(evidence, cell=record, arrays={**evidence.arrays, **more, **known})


def written(scores: list[float], kind: str = "answer") -> Evidence:
    """Make a cell that wrote one judged text per question."""
    n = len(scores)
    return cell(answers(scores), key_of([-1] * n, [kind] * n))


def answers(scores: list[float]) -> dict[str, AnyArray]:
    """Give the arrays of judged texts."""
    n = len(scores)
    return {
        "question_index": np.arange(n, dtype=np.int32),
        "choice_count": np.zeros(n, dtype=np.int32),
        "check_score": np.array(scores),
    }


def key_of(right: list[int], kinds: list[str]) -> dict[str, AnyArray]:
    """Give the arrays of the controller."""
    return {
        "questions/answer": np.array(right, dtype=np.int32),
        "questions/kind": np.array([KINDS.index(kind) for kind in kinds], dtype=np.int8),
    }


def found(evidence: Evidence, metric: str) -> Estimate:
    """Estimate what must be there."""
    value = estimate(evidence, metric)
    assert isinstance(value, Estimate), value
    return value


CHOSEN: dict[str, AnyArray] = {
    "question_index": np.array([2, 0], dtype=np.int32),
    "choice_count": np.array([2, 3], dtype=np.int32),
    "choice_logp": np.array([-4.0, -5.0, -9.0, -8.0, -0.5]),
    "choice_bytes": np.array([4, 10, 3, 8, 1], dtype=np.int32),
}
KEY = key_of([2, 0, 0], ["choice", "choice", "choice"])


def test_choices_by_sum_and_by_byte() -> None:
    """The longer answer is less likely as a whole and more likely per byte; questions count by their place."""
    evidence = cell(CHOSEN, KEY)

    assert found(evidence, "llm.choice_accuracy").value == 1.0
    assert found(evidence, "llm.choice_accuracy_norm").value == 0.5
    assert found(evidence, "llm.choice_accuracy").n == 2


def test_a_loss_is_paired_with_the_reference() -> None:
    """Only questions that the candidate was asked are compared, each with its own."""
    reference = {**CHOSEN, "choice_logp": np.array([-5.0, -4.0, -9.0, -8.0, -0.5])}
    compared = loss(cell(CHOSEN, KEY, **reference), "llm.choice_accuracy")

    assert not isinstance(compared, Missing)
    assert compared.estimate.value == -0.5
    assert (compared.candidate.value, compared.baseline.value) == (1.0, 0.5)


@pytest.mark.parametrize(("passed", "outcome"), [(0, Outcome.INCONCLUSIVE), (5, Outcome.INCONCLUSIVE)])
def test_five_answers_are_no_evidence(passed: int, outcome: Outcome) -> None:
    """Neither 0 nor 5 of 5 decides a limit within the exact bounds, and the text says how many questions would."""
    limit = Limit("llm.refusal_rate", LimitKind.MIN, 0.4 if passed == 0 else 0.9, "90 %", ORIGIN)
    verdict = check_limit(written([1.0] * passed + [0.0] * (5 - passed), "refusal"), limit)

    assert verdict.outcome is outcome
    assert "5 questions are no evidence for the limit 90 %" in verdict.reason
    assert f"at least {6 if passed == 0 else 29} questions are needed" in verdict.reason


def test_enough_answers_decide() -> None:
    """The number that was asked for is the number that decides, and one fewer does not."""
    limit = Limit("llm.pass_rate", LimitKind.MIN, 0.9, "90 %", ORIGIN)

    assert check_limit(written([1.0] * 29), limit).outcome is Outcome.PASS
    assert check_limit(written([1.0] * 28), limit).outcome is Outcome.INCONCLUSIVE
    assert questions_needed(found(written([1.0] * 5), "llm.pass_rate"), 0.9) == 29
    assert questions_needed(found(written([1.0] * 5), "llm.pass_rate"), 1.0) is None


def test_scores_between_are_a_mean() -> None:
    """A checker's scores have a mean, with bounds that hold for any of them."""
    value = found(written([0.5] * 40), "llm.pass_rate")

    assert value.value == 0.5
    assert value.low is not None
    assert 0.2 < value.low < 0.45


def test_texts_that_were_not_judged_leave_their_gate_open() -> None:
    """A score that is no number is the checker's, whose words stand in the verdict; other kinds are not touched."""
    evidence = cell(answers([1.0] * 4 + [np.nan]), key_of([-1] * 5, ["format"] * 4 + ["answer"]))
    incident = Incident(Outcome.INCONCLUSIVE, Attribution.USER, "checker", "the checker failed: no idea")
    evidence = replace(evidence, cell=replace(evidence.cell, incidents=(incident,)))
    limits = [Limit(f"llm.{name}_rate", LimitKind.MIN, 0.3, "30 %", ORIGIN) for name in ("format", "pass")]

    judged, open_one = (check_limit(evidence, limit) for limit in limits)

    assert judged.outcome is Outcome.PASS
    assert open_one.outcome is Outcome.INCONCLUSIVE
    assert "1 of 1 texts could not be judged: the checker failed: no idea" in open_one.reason


def test_equal_texts_come_with_a_warning() -> None:
    """Whatever the verdict, it says why equal texts are a bad gate."""
    limit = Limit("llm.exact_match", LimitKind.MIN, 0.5, "50 %", ORIGIN)

    for scores in ([1.0] * 20, [0.0] * 20):
        assert (
            "the first token that rounding flips; prefer llm.kl" in check_limit(written(scores, "exact"), limit).reason
        )


@pytest.mark.parametrize(
    ("ours", "outcome", "said"),
    [
        ({"question_index": np.array([0, 9], np.int32)}, Outcome.INFRA, "was not asked"),
        ({"question_index": np.array([0, 0], np.int32)}, Outcome.INFRA, "answered twice"),
        ({"choice_count": np.array([2], np.int32)}, Outcome.INFRA, "do not fit their questions"),
        ({"choice_logp": np.zeros(4)}, Outcome.INFRA, "do not fit their choices"),
        ({"choice_logp": np.array([0, 0, 0, 0, np.nan])}, Outcome.FAIL, "no finite probability for 1 of 5 choices"),
    ],
)
def test_answers_that_cannot_be(ours: dict[str, AnyArray], outcome: Outcome, said: str) -> None:
    """What does not fit is the farm's, a probability that is none the model's."""
    value = estimate(cell({**CHOSEN, **ours}, KEY), "llm.choice_accuracy")

    assert isinstance(value, Missing)
    assert (value.outcome, said in value.reason) == (outcome, True)


def test_in_parts_the_bounds_are_wider() -> None:
    """An evaluation that was looked at again and again has bounds that allow for it, and its windows pair by place."""
    plain = written([1.0] * 30)
    generation = Generation(prompts=("a", "b"), new_tokens=15, budget_tokens=1000)
    parts = replace(
        plain, planned=replace(plain.planned, workload=Workload("generation", "e", 1, generation=generation))
    )
    once, ever = found(plain, "llm.pass_rate"), found(parts, "llm.pass_rate")

    assert once.low is not None
    assert ever.low is not None
    assert ever.low < once.low
    assert "valid at any time" in ever.method
    whole, looked = found(plain, "llm.kl"), found(parts, "llm.kl")
    assert whole.value == looked.value
    assert (looked.high or 0) > (whole.high or 0)


def test_windows_pair_by_their_place() -> None:
    """Windows in a drawn order are compared with the reference's at the same places: the figures are the same."""
    evidence = LanguageScene().evidence()
    session = evidence.sessions(Role.CANDIDATE, SessionKind.ACCURACY)[0]
    order = np.random.default_rng(0).permutation(24)
    names = ("tokens", "nll", "best", "window_bytes", "probe_logq")
    arrays = dict(evidence.arrays)
    for name in names:
        arrays[f"{session.order}/{name}"] = arrays[f"{session.order}/{name}"][order]
    arrays[f"{session.order}/window_index"] = order
    refs = {**session.arrays, "window_index": array_ref(f"{session.order}/window_index", order)}
    sessions = tuple(replace(item, arrays=refs) if item is session else item for item in evidence.cell.sessions)
    mixed = replace(evidence, cell=replace(evidence.cell, sessions=sessions), arrays=arrays)

    for metric in ("llm.kl", "llm.same_top", "llm.bits_per_byte"):
        assert found(mixed, metric).value == pytest.approx(found(evidence, metric).value, rel=1e-12)
    ours, theirs = loss(mixed, "llm.perplexity"), loss(evidence, "llm.perplexity")
    assert not isinstance(ours, Missing)
    assert not isinstance(theirs, Missing)
    assert ours.estimate.value == pytest.approx(theirs.estimate.value, rel=1e-12)
