"""The laws of the release decision, proven over all small cases, and held against faults drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.gate import judge
from harness.gate.decision import release_of
from harness.records.cell import Incident, Role
from harness.records.outcome import Attribution, Outcome, Release
from harness.records.verdict import Decision
from harness.spec.model import Tier
from harness.stats import Evidence
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.pairs import measure_in_pairs

BADNESS = {Release.GO: 0, Release.HOLD: 1, Release.NO_GO: 2, Release.SECURITY: 3}
ALL = tuple(Outcome)
MULTISETS = [case for size in range(6) for case in combinations_with_replacement(ALL, size)]


def _badness(outcomes: Sequence[Outcome]) -> int:
    return BADNESS[release_of(outcomes)[0]]


def test_all_multisets_are_covered() -> None:
    """11 outcomes, up to 5 gates: 4,368 cases."""
    assert len(MULTISETS) == 4368


def test_go_needs_positive_evidence_for_everything() -> None:
    """Law 2: GO iff at least one PASS and nothing but PASS and SKIPPED."""
    for case in MULTISETS:
        expected = Outcome.PASS in case and set(case) <= {Outcome.PASS, Outcome.SKIPPED}
        assert (release_of(case)[0] is Release.GO) == expected, case


def test_nothing_is_never_go() -> None:
    """No gates, and gates that are all skipped, hold."""
    assert release_of([]) == (Release.HOLD, 10)
    assert release_of([Outcome.SKIPPED] * 3) == (Release.HOLD, 10)


def test_replacing_a_pass_never_improves() -> None:
    """Law 3: whatever takes the place of a PASS, the decision is the same or worse."""
    for case in MULTISETS:
        if Outcome.PASS not in case:
            continue
        at = case.index(Outcome.PASS)
        for other in ALL:
            assert _badness((*case[:at], other, *case[at + 1 :])) >= _badness(case), (case, other)


def test_adding_anything_but_a_pass_never_improves() -> None:
    """Law 3: a cell that is added without evidence never helps."""
    for case in MULTISETS:
        for other in set(ALL) - {Outcome.PASS}:
            if len(case) < 5:
                assert _badness((*case, other)) >= _badness(case), (case, other)


def test_a_pass_beside_a_hold_does_not_release() -> None:
    """Adding passes never outweighs what holds or blocks."""
    for case in MULTISETS:
        if _badness(case) > 0 and set(case) - {Outcome.SKIPPED}:
            assert _badness((*case, Outcome.PASS)) == _badness(case), case


def test_exit_codes_say_the_release_and_whose_turn_it_is() -> None:
    """SECURITY 40 > NO-GO 1 > HOLD: 20 when only farm and boards are to blame, else 10."""
    for case in MULTISETS:
        release, code = release_of(case)
        holding = set(case) - {Outcome.PASS, Outcome.SKIPPED}
        if release is Release.HOLD:
            assert code == (20 if holding and holding <= {Outcome.INFRA, Outcome.DEVICE} else 10), case
        else:
            assert code == {Release.GO: 0, Release.NO_GO: 1, Release.SECURITY: 40}[release], case


def test_order_does_not_matter() -> None:
    """The decision is about a multiset."""
    for case in MULTISETS:
        assert release_of(case) == release_of(case[::-1])


LIMITS = (
    limit("latency.p50", "max", 2.5e-3, "2.5 ms"),
    limit("latency.p50", "regress", 0.05, "5 %"),
    limit("memory.peak", "max", 2**26, "64 MiB"),
    limit("accuracy.top1", "min", 0.96, "96 %"),
    limit("work.instructions", "max", 1.2e6, "1.2 M"),
)
GOOD = Scene(limits=LIMITS, baseline=1.0, noise=1e-3)
SCENES = {
    "good": GOOD,
    "slow": replace(GOOD, latency_s=3e-3),
    "regressed": replace(GOOD, baseline=0.9),
    "big": replace(GOOD, memory_bytes=2**27),
    "wrong": replace(GOOD, wrong=80),
}
EVIDENCE = {name: scene.evidence() for name, scene in SCENES.items()}
EVIDENCE |= {f"{name} in pairs": measure_in_pairs(scene) for name, scene in SCENES.items()}
GOOD_ONES = ("good", "good in pairs")
FAULTS = st.lists(
    st.tuples(st.sampled_from(["drop", "flag", "array", "nan", "infra", "device", "cut"]), st.integers(0, 999)),
    min_size=1,
    max_size=4,
)


def _spoil(evidence: Evidence, fault: str, at: int) -> Evidence:
    """Apply one fault of farm or board."""
    cell, arrays = evidence.cell, dict(evidence.arrays)
    order = at % max(len(cell.sessions), 1)
    keys = sorted(arrays)
    sessions = list(cell.sessions)
    incidents = cell.incidents
    if fault == "drop" and sessions:
        sessions.pop(order)
    elif fault == "flag" and sessions:
        sessions[order] = replace(sessions[order], flags=("throttled",))
    elif fault == "array" and keys:
        arrays.pop(keys[at % len(keys)])
    elif fault in {"nan", "cut"} and keys:
        timed = [key for key in keys if key.endswith("latency_s")]
        for key in timed[at % max(len(timed), 1) :][:1]:
            arrays[key] = arrays[key] * np.nan if fault == "nan" else arrays[key][:3]
    elif fault == "infra":
        incidents = (*incidents, Incident(Outcome.INFRA, Attribution.INFRA, "link", "the link was lost"))
    elif fault == "device":
        incidents = (*incidents, Incident(Outcome.DEVICE, Attribution.DEVICE, "reboot", "the board was started anew"))
    return replace(evidence, cell=replace(cell, sessions=tuple(sessions), incidents=incidents), arrays=arrays)


def _spoiled(name: str, faults: Sequence[tuple[str, int]]) -> Evidence:
    evidence = EVIDENCE[name]
    for fault, at in faults:
        evidence = _spoil(evidence, fault, at)
    return evidence


@pytest.mark.parametrize("name", [name for name in EVIDENCE if name not in GOOD_ONES])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=FAULTS)
def test_faults_never_release_a_bad_model(name: str, faults: list[tuple[str, int]]) -> None:
    """Whatever the farm loses or spoils, a model that truly fails is never GO."""
    run, samples = run_of([_spoiled(name, faults)])

    assert judge(run, samples).decision.release is not Release.GO


@pytest.mark.parametrize("name", GOOD_ONES)
@settings(max_examples=60, deadline=None)
@given(faults=FAULTS)
def test_faults_never_blame_a_good_model(name: str, faults: list[tuple[str, int]]) -> None:
    """Whatever the farm loses or spoils, a good model is never FAIL or REGRESSION; what is open says why."""
    run, samples = run_of([_spoiled(name, faults)])

    verdicts = judge(run, samples).verdicts

    assert not {item.outcome for item in verdicts} & {Outcome.FAIL, Outcome.REGRESSION, Outcome.SECURITY}
    assert all((item.outcome is Outcome.INCONCLUSIVE) is (item.abstained is not None) for item in verdicts)


EMULATED = Scene(tier=Tier.DETERMINISTIC, device="a53", sessions=2, limits=LIMITS[2:])
NOWHERE = replace(EMULATED, device="max", exists=False)


def _decided(*scenes: Scene) -> Decision:
    run, samples = run_of([scene.evidence() for scene in scenes])
    return judge(run, samples).decision


def test_a_board_that_does_not_exist_never_releases() -> None:
    """Passes on `max` alone hold and say why; beside a board that exists they neither help nor harm."""
    alone, beside = _decided(NOWHERE), _decided(EMULATED, NOWHERE)

    assert (alone.release, alone.exit_code) == (Release.HOLD, 10)
    assert "digits::int8 was measured on no board that exists (max does not)" in alone.sentence
    assert beside.release is Release.GO
    assert "What passes on max, no board that exists, releases nothing." in beside.sentence


def test_each_artifact_needs_a_board_that_exists() -> None:
    """One artifact's pass on a real kind of board does not release another that only `max` has run."""
    other = replace(NOWHERE, artifact="fp16")
    skipped = replace(EMULATED, artifact="fp16", skip_reason="planned for max only")

    assert _decided(EMULATED, other).release is Release.HOLD
    assert _decided(EMULATED, skipped, other).release is Release.HOLD
    assert _decided(EMULATED, replace(EMULATED, artifact="fp16"), other).release is Release.GO


@pytest.mark.parametrize("bad", ["FAIL", "INFRA"])
def test_what_is_wrong_on_a_board_that_does_not_exist_still_counts(bad: str) -> None:
    """A failure on `max` blocks, a lost cell holds, whatever passes elsewhere."""
    incident = Incident(Outcome(bad), Attribution.UNKNOWN, "crash", "it died")

    decision = _decided(EMULATED, replace(NOWHERE, incidents=(incident,)))

    assert decision.exit_code == (1 if bad == "FAIL" else 20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=FAULTS, name=st.sampled_from(["good", "big", "wrong"]))
def test_adding_a_board_that_does_not_exist_never_improves(faults: list[tuple[str, int]], name: str) -> None:
    """Whatever a real kind of board shows, a perfect `max` beside it leaves the decision as it is."""
    scene = replace(EMULATED, memory_bytes=SCENES[name].memory_bytes, wrong=SCENES[name].wrong)
    evidence = scene.evidence()
    for fault, at in faults[:2]:
        evidence = _spoil(evidence, fault, at)
    alone, together = (judge(*run_of(cells)).decision for cells in ([evidence], [evidence, NOWHERE.evidence()]))

    assert together.exit_code == alone.exit_code


@pytest.mark.parametrize("fault", ["infra", "device"])
def test_a_link_or_board_fault_holds_even_with_all_figures(fault: str) -> None:
    """An incident of the farm beside complete evidence still holds: exit code 20."""
    run, samples = run_of([_spoil(EVIDENCE["good"], fault, 0)])

    assert judge(run, samples).decision.exit_code == 20


@pytest.mark.parametrize("tier", [Tier.HARDWARE, Tier.DETERMINISTIC, Tier.FUNCTIONAL])
@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.BASELINE])
def test_a_flaky_candidate_is_not_laundered(tier: Tier, role: Role) -> None:
    """Law 4: failed once and ran once on the same input is INCONCLUSIVE for the candidate, whatever its figures say."""
    incident = Incident(Outcome.INCONCLUSIVE, Attribution.UNKNOWN, "flaky", "failed once", role)
    run, samples = run_of([Scene(tier=tier, incidents=(incident,)).evidence()])

    verdict = judge(run, samples).verdicts[0]

    assert verdict.outcome is (Outcome.INCONCLUSIVE if role is Role.CANDIDATE else Outcome.PASS)
