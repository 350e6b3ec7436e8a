"""Creep: what accepted steps spend, what is left of the budget, and when the anchor moves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.gate import judge
from harness.gate.creep import LONGEST, anchored, explain_spent, extended, narrowed, spent_before, started
from harness.records.chain import Chain, Release
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.spec.model import Limit
from harness.testing.evidence import Scene, limit, run_of

STEP = limit("latency.p50", "regress", 0.05, "5 %")
V1, V2, V3 = (Release(f"v{n}.onnx", f"hash{n}", f"r{n}", 1.0, 0.0) for n in (1, 2, 3))


def _worse(value: float, half: float = 0.0) -> Estimate:
    return Estimate(value, value - half, value + half, 6, "")


def _after(*steps: float, half: float = 0.0) -> tuple[Chain, Release]:
    """Release one model after the other, each so much worse than the one before."""
    chain, base = started(V1), V1
    for number, step in enumerate(steps, 2):
        chain = extended(
            chain, base, Release(f"v{number}.onnx", f"hash{number}", f"r{number}", 1, 0), _worse(step, half)
        )
        base = chain.releases[-1]
    return chain, base


def _left(chain: Chain, base: Release, bound: Limit = STEP) -> Limit:
    return narrowed(bound, spent_before(bound, chain, base, "x.json"))


def test_four_times_four_percent_cannot_pass_a_margin_of_five() -> None:
    """The first step of 4 % is allowed; what is left then is 0.96 %, so the second one is not."""
    chain, last = _after(0.04)

    found = _left(chain, last)

    assert found.value == pytest.approx(1.05 / 1.04 - 1)
    assert found.text == "0.962 %"
    assert found.value < 0.04


def test_steps_within_the_budget_leave_the_margin_of_one_step() -> None:
    """A budget of 12 % is no licence for a step of more than 5 %."""
    chain, last = _after(0.04)
    wide = replace(STEP, creep=0.12)

    assert _left(chain, last, wide) == wide
    assert _left(*_after(0.04, 0.04), wide).value == pytest.approx(1.12 / 1.04**2 - 1)


def test_an_overdrawn_budget_must_be_won_back() -> None:
    """A suite that tightens its budget later asks for an improvement: the margin is below 0."""
    chain, last = _after(0.04, 0.03)

    found = _left(chain, last)

    assert found.value == pytest.approx(1.05 / (1.04 * 1.03) - 1)
    assert found.text.startswith("-")


def test_a_comparison_with_an_older_release_has_that_releases_budget() -> None:
    """The run that was promoted can be repeated: against the anchor nothing is spent."""
    chain, _ = _after(0.04, 0.005)

    first = chain.find("hash1")

    assert first is not None
    assert _left(chain, first) == STEP


def test_a_shown_improvement_moves_the_anchor() -> None:
    """After 10 % better, 5 % is all that may be given back; older releases stay known, relative to the new anchor."""
    chain, last = _after(-0.1)

    assert chain.anchor == "hash2"
    assert last.factor == 1.0
    assert chain.releases[0].factor == pytest.approx(1 / 0.9)
    assert _left(chain, last) == STEP
    assert _left(chain, chain.releases[0]).value == pytest.approx(1.05 * 0.9 - 1)


def test_an_improvement_within_noise_does_not_move_the_anchor() -> None:
    """0.3 % better, give or take 0.5 %, is no new anchor."""
    chain, last = _after(-0.003, half=0.005)

    assert chain.anchor == "hash1"
    assert last.factor == pytest.approx(0.997)


def test_doubt_adds_up_as_independent_errors() -> None:
    """Four steps of 1 % give or take 0.5 %: the sum is known to twice that."""
    _, last = _after(0.01, 0.01, 0.01, 0.01, half=0.005)

    assert last.factor == pytest.approx(1.01**4)
    assert last.doubt == pytest.approx(2 * 0.005 / 1.01, rel=0.01)


def test_a_release_that_is_measured_again_is_not_counted_twice() -> None:
    """Promoting the same file from another run replaces its step."""
    chain, _ = _after(0.04)

    again = extended(chain, V1, replace(V2, run_id="r9"), _worse(0.035))

    assert [(item.run_id, item.factor) for item in again.releases] == [("r1", 1.0), ("r9", pytest.approx(1.035))]
    assert extended(again, again.releases[1], V2, _worse(0.0)) == again


def test_a_new_anchor_on_purpose_keeps_what_was_forgiven() -> None:
    """The chain restarts at the release, says what it drops, and still knows what it was compared with."""
    chain = anchored(V2, V3, _worse(0.04), 0.0816)

    assert (chain.anchor, chain.forgiven) == ("hash3", 0.0816)
    assert [item.factor for item in chain.releases] == [pytest.approx(1 / 1.04), 1.0]
    assert _left(chain, chain.releases[1]) == STEP


def test_a_chain_stays_short_and_keeps_its_anchor() -> None:
    """Of 60 releases the last ones and the anchor are kept, and the spent budget with them."""
    chain, last = _after(*[0.0005] * 60)

    assert len(chain.releases) == LONGEST + 1
    assert chain.releases[0].sha256 == chain.anchor == "hash1"
    assert math.log(last.factor) == pytest.approx(60 * math.log(1.0005))


def test_the_verdict_names_the_anchor_and_what_was_spent() -> None:
    """A step of 4 % after 4 % is a REGRESSION, and the reason says why 5 % was not allowed."""
    chain, last = _after(0.04)
    spent = spent_before(STEP, chain, last, "int8.rpi5.json (run r2)")
    scene = Scene(limits=(narrowed(STEP, spent),), baseline=1 / 1.04, noise=1e-4)
    evidence = scene.evidence()
    run, samples = run_of([replace(evidence, planned=replace(evidence.planned, creep=(spent,)))])

    found = judge(run, samples).verdicts[1]

    assert found.outcome is Outcome.REGRESSION
    assert (
        "more than the allowed 0.962 %; 4 % of the creep budget 5 % is spent since anchor v1.onnx (run r1)"
        in found.reason
    )


def test_nothing_spent_is_said_too() -> None:
    """An improvement within noise has spent nothing."""
    chain, last = _after(-0.003, half=0.005)

    said = explain_spent(spent_before(STEP, chain, last, "x"))

    assert said == "nothing of the creep budget 5 % is spent since anchor v1.onnx (run r1)"
