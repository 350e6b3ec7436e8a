"""Old runs under new rules: what changes, what cannot be known, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import RecordError
from harness.gate.regate import regate
from harness.records.outcome import Abstention, Outcome, Release
from harness.records.plan import SpentBudget
from harness.records.regate import Change, Regated
from harness.records.trial import SelfTest
from harness.records.verdict import Verdict
from harness.spec.model import Limit, LimitSet
from harness.stats import Evidence
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.pairs import measure_in_pairs

MEMORY = limit("memory.peak", "max", 64 * 2**20, "64 MiB")
SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
SCENE = Scene(limits=(MEMORY, SLOWER), baseline=1.0)


def _regate(evidence: Evidence, *limits: Limit, scope: str = "all") -> Regated:
    run, samples = run_of([evidence])
    return regate(run, samples, [LimitSet(scope, limits)], path="reports/runs/r1")


def _verdict(found: Regated, metric: str) -> Verdict:
    return next(verdict for verdict in found.after.verdicts if verdict.metric == metric)


def test_a_stricter_limit_turns_a_release_around() -> None:
    """Decision before and after, and the one verdict that changed, with both limits."""
    found = _regate(measure_in_pairs(SCENE), limit("memory.peak", "max", 30 * 2**20, "30 MiB"), SLOWER)

    assert (found.before.release, found.after.decision.release) == (Release.GO, Release.NO_GO)
    (change,) = found.changes
    assert (change.metric, change.before, change.after) == ("memory.peak", Outcome.PASS, Outcome.FAIL)
    assert (change.limit_before, change.limit_after) == ("64 MiB", "30 MiB")
    assert "above the limit 30 MiB" in change.reason


def test_the_same_limits_change_nothing() -> None:
    """The new judgement has the same verdicts, those that were decided in pairs too."""
    evidence = measure_in_pairs(SCENE)
    found = _regate(evidence, MEMORY, SLOWER)

    assert found.changes == ()
    assert found.after.decision == found.before


def test_pairs_are_judged_again_by_another_margin() -> None:
    """A candidate 12 % slower failed at 5 %; at 25 % the same pairs show that it is within, and no pair is added."""
    evidence = measure_in_pairs(replace(SCENE, baseline=1 / 1.12))
    found = _regate(evidence, MEMORY, limit("latency.p50", "regress", 0.25, "25 %"))

    assert found.before.release is Release.NO_GO
    assert found.after.decision.release is Release.GO
    assert _verdict(found, "latency.p50").trail is not None


def test_a_failure_that_old_pairs_cannot_confirm_is_no_failure() -> None:
    """What passed at 15 % is shown to be beyond 5 %, and nobody measured fresh pairs: it holds."""
    loose = replace(SCENE, limits=(limit("latency.p50", "regress", 0.25, "25 %"),), baseline=1 / 1.12)
    found = _regate(measure_in_pairs(loose), SLOWER)

    assert found.before.release is Release.GO
    assert _verdict(found, "latency.p50").outcome is Outcome.INCONCLUSIVE
    assert _verdict(found, "latency.p50").abstained is Abstention.FEW


@pytest.mark.parametrize(
    "new",
    [
        limit("energy.per_inference", "regress", 0.05, "5 %"),
        limit("conformance.flips", "max", 0.0, "0"),
        limit("work.instructions", "max", 1e6, "1 M"),
        limit("latency.p50", "regress", 0.05, "5 %"),
    ],
)
def test_what_the_run_did_not_measure_is_not_run(new: Limit) -> None:
    """No sensor, nothing from the controller, no counter, no timed session: never green, and the reason says so."""
    bare = replace(SCENE, limits=(MEMORY,), baseline=None, sessions=3)
    evidence = bare.evidence()
    kept = tuple(item for item in evidence.cell.sessions if item.kind != "timing")
    found = _regate(replace(evidence, cell=replace(evidence.cell, sessions=kept)), new)
    verdict = _verdict(found, new.metric)

    assert verdict.outcome in {Outcome.NOT_RUN, Outcome.INCONCLUSIVE}
    assert found.after.decision.release is Release.HOLD
    if verdict.abstained is not Abstention.TIER:
        assert verdict.outcome is Outcome.NOT_RUN
        assert verdict.reason.startswith("this run did not measure it: ")


def test_what_the_run_was_asked_and_lost_stays_what_it_was() -> None:
    """A gate without evidence under its own rules does not become NOT_RUN by being asked again."""
    evidence = replace(SCENE, limits=(SLOWER,), baseline=None).evidence()
    found = _regate(evidence, limit("latency.p50", "regress", 0.10, "10 %"))

    assert _verdict(found, "latency.p50").outcome is Outcome.INCONCLUSIVE


def test_gates_that_the_policy_does_not_have_are_listed_as_gone() -> None:
    """So are new ones: nothing disappears in silence."""
    found = _regate(measure_in_pairs(SCENE), limit("storage.size", "max", 1e6, "1 MB"), SLOWER)

    sides = {change.metric: (change.before, change.after) for change in found.changes}
    assert sides == {"memory.peak": (Outcome.PASS, None), "storage.size": (None, Outcome.PASS)}


def test_scopes_mean_what_they_mean_in_a_suite() -> None:
    """A policy for another board leaves this one without gates but the one that it runs."""
    evidence = measure_in_pairs(SCENE)

    assert {item.metric for item in _regate(evidence, MEMORY, scope="rpi5").after.verdicts} == {"crash", "memory.peak"}
    assert {item.metric for item in _regate(evidence, MEMORY, scope="rpi4").after.verdicts} == {"crash"}


def test_budgets_of_the_profile_hold_as_they_did() -> None:
    """A policy replaces the suite's gates, not what a kind of board may never exceed."""
    evidence = measure_in_pairs(SCENE)
    device = replace(evidence.device, budgets=(limit("memory.peak", "max", 30 * 2**20, "30 MiB"),))

    assert _verdict(_regate(replace(evidence, device=device), SLOWER), "memory.peak").outcome is Outcome.FAIL


def test_creep_narrows_the_new_margin_too() -> None:
    """Four of ten per cent are spent since the anchor: what is left is 5.77 %, said with the policy's budget."""
    spent = SpentBudget("latency.p50", "v1.onnx (r0)", 0.04, 0.0, "5 %", "5 %", "int8.rpi5.json (run r0)")
    evidence = measure_in_pairs(SCENE)
    evidence = replace(evidence, planned=replace(evidence.planned, creep=(spent,)))
    verdict = _verdict(_regate(evidence, limit("latency.p50", "regress", 0.10, "10 %")), "latency.p50")

    assert verdict.limit == pytest.approx(1.10 / 1.04 - 1)
    assert "of the creep budget 10 % is spent" in verdict.reason


def test_a_self_test_is_never_regated() -> None:
    """It decides no release under any rules."""
    run, samples = run_of([measure_in_pairs(SCENE)])
    tried = replace(run, plan=replace(run.plan, selftest=SelfTest()))

    with pytest.raises(RecordError, match="is a self-test"):
        regate(tried, samples, [], path="reports/runs/r1")


def test_the_record_is_not_touched() -> None:
    """The same objects give the same judgement afterwards."""
    run, samples = run_of([measure_in_pairs(SCENE)])
    first = regate(run, samples, [LimitSet("all", (SLOWER,))], path="r")

    assert regate(run, samples, [LimitSet("all", (SLOWER,))], path="r") == first
    assert isinstance(first.changes[0], Change)
