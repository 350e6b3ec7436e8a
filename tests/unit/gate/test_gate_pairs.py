"""Gates that are decided pair by pair: when they stop, what they say, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate import forbidden, judge
from harness.gate.multiplicity import hold_family
from harness.gate.schedule import next_pair
from harness.gate.tier import unresolvable
from harness.records.canonical import from_json, to_json
from harness.records.cell import Incident, Role, Stage
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Verdict
from harness.spec.model import Noise, Tier
from harness.stats import Evidence
from harness.stats.pair import HOPELESS, MOST_VOID
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.pairs import Moment, Weather, measure_in_pairs, timed

SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
FASTER_THAN = limit("latency.p95", "max", 4e-3, "4 ms")
SAME = Scene(limits=(SLOWER,), baseline=1.0, noise=0.004)
SLOW = replace(SAME, baseline=1 / 1.12)


def _verdicts(evidence: Evidence) -> dict[str, Verdict]:
    run, samples = run_of([evidence])
    return {f"{item.metric} {item.kind}": item for item in judge(run, samples).verdicts}


def _only(evidence: Evidence) -> Verdict:
    (verdict,) = (item for name, item in _verdicts(evidence).items() if name != "crash runs")
    return verdict


def _stages(evidence: Evidence) -> tuple[int, int]:
    return len(timed(evidence, Stage.FIRST)), len(timed(evidence, Stage.CONFIRM))


def test_an_unchanged_candidate_passes_after_three_pairs() -> None:
    """The verdict shows the pairs, the looks, the test and why it, and the limit at which it would flip."""
    verdict = _only(measure_in_pairs(SAME))

    assert verdict.outcome is Outcome.PASS
    assert verdict.trail is not None
    assert verdict.trail.test == "gs_t"
    assert verdict.trail.why_test == "the board's noise is not known"
    (leg,) = verdict.trail.legs
    assert (leg.stage, leg.alpha, leg.used, leg.answer) == (Stage.FIRST, 0.05, 3, "within")
    assert len(leg.values) == 3
    assert verdict.estimate is not None
    assert verdict.flips_at == verdict.estimate.high
    assert verdict.baseline_source == "measured in this run"


def test_a_failure_needs_fresh_pairs_that_show_it_again() -> None:
    """The figure that is shown is that of the fresh pairs, which nobody chose for being slow."""
    evidence = measure_in_pairs(SLOW)
    verdict = _only(evidence)

    assert _stages(evidence) == (3, 3)
    assert verdict.outcome is Outcome.REGRESSION
    assert verdict.trail is not None
    first, confirm = verdict.trail.legs
    assert (first.alpha, confirm.alpha) == (0.05, 0.01)
    assert verdict.trail.p_value <= 5e-4
    assert "3 pairs show it, 3 fresh ones confirm it" in verdict.reason
    assert verdict.estimate is not None
    assert "fresh" in verdict.estimate.method


def test_a_shock_that_does_not_come_again_is_not_reproduced() -> None:
    """A candidate that is slow in the first pairs only is neither passed nor failed."""

    def shock(stage: Stage, _pair: int, role: Role) -> Moment:
        return Moment(slower=1.12 if stage is Stage.FIRST and role is Role.CANDIDATE else 1.0)

    verdict = _only(measure_in_pairs(SAME, shock))

    assert (verdict.outcome, verdict.abstained) == (Outcome.INCONCLUSIVE, Abstention.NOT_REPRODUCED)
    assert "not reproduced: 3 pairs show it, 3 fresh ones do not" in verdict.reason
    assert verdict.flips_at is None


def test_what_cannot_be_told_in_twelve_pairs_is_not_decided() -> None:
    """A change of just the margin stays open to the cap, and the reason says so."""
    evidence = measure_in_pairs(replace(SAME, baseline=1 / 1.05, noise=0.02, seed=4))
    verdict = _only(evidence)

    assert _stages(evidence) == (12, 0)
    assert (verdict.outcome, verdict.abstained) == (Outcome.INCONCLUSIVE, Abstention.CAP)
    assert "not shown within 12 pairs" in verdict.reason
    assert next_pair(evidence) is None


def _loud(pairs: set[int]) -> Weather:
    def weather(_stage: Stage, pair: int, role: Role) -> Moment:
        return Moment(control=1.2 if pair in pairs and role is Role.CANDIDATE else 1.0)

    return weather


def test_a_pair_beside_which_the_control_work_changed_is_void_and_measured_again() -> None:
    """It stays in the record with its reason, and another pair takes its place."""
    evidence = measure_in_pairs(SAME, _loud({1}))
    verdict = _only(evidence)

    assert _stages(evidence) == (4, 0)
    assert verdict.outcome is Outcome.PASS
    assert verdict.trail is not None
    ((stage, pair, reason),) = [(item.stage, item.pair, item.reason) for item in verdict.trail.void]
    assert (stage, pair) == (Stage.FIRST, 1)
    assert "the control work changed by +20.0% between the arms" in reason


def test_a_change_of_the_board_is_not_taken_for_one_of_the_model() -> None:
    """Other work that slows candidate and control alike by a fifth, in every pair, fails nobody."""

    def busy(_stage: Stage, _pair: int, role: Role) -> Moment:
        return Moment(slower=1.2, control=1.2) if role is Role.CANDIDATE else Moment()

    verdict = _only(measure_in_pairs(SAME, busy))

    assert (verdict.outcome, verdict.abstained) == (Outcome.INCONCLUSIVE, Abstention.LOAD)
    assert f"all {HOPELESS} pairs are void" in verdict.reason


def test_the_known_noise_of_the_control_work_says_what_is_too_much() -> None:
    """On a board whose control scatters by 8 % a change by 20 % voids nothing."""
    noisy = replace(SAME, known_noise=(Noise("control", 0.08),))

    assert _stages(measure_in_pairs(noisy, _loud({1}))) == (3, 0)


def test_a_board_that_spoils_most_pairs_is_given_up() -> None:
    """Sound pairs do not let the void ones go on for ever."""
    odd = {pair for pair in range(100) if pair % 8}
    evidence = measure_in_pairs(replace(SAME, noise=0.03, seed=3), _loud(odd))

    assert sum(item.pair in odd for item in timed(evidence, Stage.FIRST)) == MOST_VOID
    assert _only(evidence).abstained is Abstention.LOAD


@pytest.mark.parametrize(
    ("moment", "why", "words"),
    [
        (Moment(flags=("throttled",)), Abstention.THROTTLED, "the board throttled"),
        (Moment(flags=("clock-step",)), Abstention.CLOCK, "the wall clock was set"),
        (Moment(temp_c=55.0), Abstention.TEMPERATURE, "started at 55.0 and 50.0 °C"),
    ],
)
def test_conditions_that_void_every_pair_are_named(moment: Moment, why: Abstention, words: str) -> None:
    """The reason is one of the closed list, with what was seen."""
    verdict = _only(
        measure_in_pairs(SAME, lambda _s, _p, role: moment if role is Role.CANDIDATE else Moment(temp_c=50.0))
    )

    assert (verdict.outcome, verdict.abstained) == (Outcome.INCONCLUSIVE, why)
    assert words in verdict.reason


def test_other_work_beside_both_arms_is_scatter_for_a_comparison_and_voids_a_figure_alone() -> None:
    """A busy board may still say which of two models is slower; how fast one of them is it cannot say."""
    busy = Moment(flags=("foreign-load",))
    scene = replace(SAME, limits=(SLOWER, FASTER_THAN))

    found = _verdicts(measure_in_pairs(scene, lambda *_: busy))

    assert found["latency.p50 regress"].outcome is Outcome.PASS
    assert found["latency.p95 max"].abstained is Abstention.LOAD
    slow = replace(SLOW, limits=(SLOWER,))
    assert _only(measure_in_pairs(slow, lambda *_: busy)).outcome is Outcome.REGRESSION


def test_a_note_voids_nothing() -> None:
    """A missing instrument is no condition of the board."""
    assert _stages(measure_in_pairs(SAME, lambda *_: Moment(flags=("no-counter:EPERM",)))) == (3, 0)


def test_an_absolute_quantile_is_decided_session_by_session() -> None:
    """Seven clear sessions of the candidate alone, by the e-process; nobody runs a baseline for it."""
    evidence = measure_in_pairs(replace(SAME, limits=(FASTER_THAN,)))
    verdict = _only(evidence)

    assert _stages(evidence) == (7, 0)
    assert {item.role for item in evidence.cell.sessions if item.stage} == {Role.CANDIDATE}
    assert verdict.outcome is Outcome.PASS
    assert verdict.trail is not None
    assert verdict.trail.test == "e-process"


def test_an_absolute_quantile_over_its_limit_is_confirmed_too() -> None:
    """Seven sessions show it, nine fresh ones confirm it at one percent."""
    evidence = measure_in_pairs(replace(SAME, limits=(limit("latency.p95", "max", 1e-3, "1 ms"),)))
    verdict = _only(evidence)

    assert _stages(evidence) == (7, 9)
    assert verdict.outcome is Outcome.FAIL
    assert "7 sessions show it, 9 fresh ones confirm it" in verdict.reason


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        (limit("latency.mean", "max", 3e-3, "3 ms"), Outcome.PASS),
        (limit("latency.mean", "max", 1e-3, "1 ms"), Outcome.FAIL),
        (limit("throughput", "min", 300.0, "300 /s"), Outcome.PASS),
        (limit("throughput", "min", 800.0, "800 /s"), Outcome.FAIL),
        (limit("latency.first", "max", 2e-3, "2 ms"), Outcome.FAIL),
        (limit("throughput", "regress", 0.05, "5 %"), Outcome.PASS),
    ],
)
def test_means_and_peaks_take_the_t_path(asked: object, outcome: Outcome) -> None:
    """Absolute or relative, more is better or worse: three sessions decide what is clear."""
    verdict = _only(measure_in_pairs(replace(SAME, limits=(asked,))))  # type: ignore[arg-type]

    assert verdict.outcome is outcome
    assert verdict.trail is not None
    assert verdict.trail.legs[0].used == 3
    assert verdict.estimate is not None
    low, high = verdict.estimate.low, verdict.estimate.high
    assert low is not None
    assert high is not None
    assert low <= verdict.estimate.value <= high


def test_a_cell_stops_when_its_last_gate_is_decided() -> None:
    """The early gate keeps the pairs that decided it, whatever came after."""
    evidence = measure_in_pairs(replace(SAME, limits=(SLOWER, FASTER_THAN)))
    found = _verdicts(evidence)

    assert _stages(evidence) == (7, 0)
    roles = [item.role for item in evidence.cell.sessions if item.stage]
    assert roles.count(Role.BASELINE) == 3
    trail = found["latency.p50 regress"].trail
    assert trail is not None
    assert trail.legs[0].used == 3


def test_heavy_tails_known_beforehand_choose_the_exact_test() -> None:
    """Five pairs are then the least, and the verdict says what the choice rests on."""
    heavy = replace(SAME, known_noise=(Noise("latency.p50", 0.01, is_heavy=True, source="40 A/A pairs"),))
    evidence = measure_in_pairs(heavy)
    trail = _only(evidence).trail

    assert _stages(evidence) == (5, 0)
    assert trail is not None
    assert (trail.test, trail.why_test) == ("flip", "noise 1.00% with outliers (40 A/A pairs)")
    assert _only(measure_in_pairs(replace(heavy, baseline=1 / 1.15))).outcome is Outcome.REGRESSION


def test_known_noise_is_a_floor_for_what_three_pairs_may_claim() -> None:
    """Pairs that agree by luck on a board that is known to scatter do not decide at once."""
    lucky = replace(SAME, noise=1e-4, known_noise=(Noise("latency.p50", 0.03),))

    assert _stages(measure_in_pairs(lucky))[0] > 3


def test_a_large_family_is_confirmed_more_strictly() -> None:
    """With 1000 gates a failure is confirmed at one in a thousand; Holm then takes nothing back."""
    evidence = measure_in_pairs(SLOW, family=1000)
    verdict = _only(evidence)

    assert verdict.outcome is Outcome.REGRESSION
    assert verdict.trail is not None
    assert verdict.trail.legs[1].alpha == pytest.approx(1e-3)
    assert verdict.trail.p_value <= 0.05 / 1000


def test_a_failure_that_chance_brings_among_so_many_is_taken_back() -> None:
    """Holm over a family of 200 lets one p-value of 5e-4 fall, among 100 it stands."""
    failed = _only(measure_in_pairs(SLOW))
    passed = _only(measure_in_pairs(SAME))
    assert failed.trail is not None
    weak = replace(failed, trail=replace(failed.trail, p_value=5e-4))

    (held, *_), (fallen, *_) = hold_family([weak] + [passed] * 99), hold_family([weak] + [passed] * 199)

    assert held.outcome is Outcome.REGRESSION
    assert (fallen.outcome, fallen.abstained) == (Outcome.INCONCLUSIVE, Abstention.FAMILY)
    assert "among 200 gates" in fallen.reason


def test_an_empty_budget_leaves_what_is_open_undecided() -> None:
    """What was decided before stands; the rest names the budget."""
    evidence = measure_in_pairs(replace(SAME, limits=(SLOWER, FASTER_THAN)), most=4)
    pairing = evidence.cell.pairing
    assert pairing is not None
    cell = replace(evidence.cell, pairing=replace(pairing, out_of_budget=True))

    found = _verdicts(replace(evidence, cell=cell))

    assert found["latency.p50 regress"].outcome is Outcome.PASS
    open_gate = found["latency.p95 max"]
    assert (open_gate.outcome, open_gate.abstained) == (Outcome.INCONCLUSIVE, Abstention.BUDGET)
    assert "--gate-budget" in open_gate.reason


def test_a_lost_link_speaks_for_gates_that_were_still_open() -> None:
    """Infrastructure that ended the cell early is blamed, not the model; what was decided stands."""
    incident = Incident(Outcome.INFRA, Attribution.INFRA, "link", "the link was lost")
    evidence = measure_in_pairs(replace(SAME, limits=(SLOWER, FASTER_THAN), incidents=(incident,)), most=4)

    found = _verdicts(evidence)

    assert found["latency.p50 regress"].outcome is Outcome.PASS
    assert found["latency.p95 max"].outcome is Outcome.INFRA


def test_a_provisional_failure_that_could_not_be_confirmed_blocks_nobody() -> None:
    """Three pairs that show it are not enough when the link goes before the fourth."""
    incident = Incident(Outcome.INFRA, Attribution.INFRA, "link", "the link was lost")

    assert _only(measure_in_pairs(replace(SLOW, incidents=(incident,)), most=3)).outcome is Outcome.INFRA


def test_a_failed_baseline_takes_the_comparison_and_no_more_time() -> None:
    """Its gate is undecided for lack of a baseline; the absolute one goes on without it."""
    incident = Incident(Outcome.INCONCLUSIVE, Attribution.UNKNOWN, "baseline", "it crashed twice", Role.BASELINE)
    evidence = measure_in_pairs(replace(SAME, limits=(SLOWER, FASTER_THAN), incidents=(incident,)))
    found = _verdicts(evidence)

    assert {item.role for item in evidence.cell.sessions if item.stage} == {Role.CANDIDATE}
    assert found["latency.p50 regress"].abstained is Abstention.BASELINE
    assert found["latency.p95 max"].outcome is Outcome.PASS


def test_the_limit_where_a_verdict_flips_is_just_there() -> None:
    """Judged again with a limit on either side of it, the same evidence gives two answers."""
    for scene in (SAME, SLOW, replace(SAME, limits=(FASTER_THAN,))):
        evidence = measure_in_pairs(scene)
        verdict = _only(evidence)
        assert verdict.flips_at is not None
        for factor in (0.999, 1.001):
            moved = tuple(replace(item, value=(verdict.flips_at or 0) * factor) for item in scene.limits)
            again = _only(replace(evidence, planned=replace(evidence.planned, limits=moved)))
            same_side = (factor > 1) is (verdict.outcome is Outcome.PASS)
            assert (again.outcome is verdict.outcome) is same_side, (scene, factor)


def test_a_verdict_is_the_same_after_the_record_was_written_and_read() -> None:
    """Nothing but the record decides."""
    evidence = measure_in_pairs(SLOW)
    run, samples = run_of([evidence])

    again = judge(from_json(type(run), to_json(run)), samples)

    assert to_json(again) == to_json(judge(run, samples))


def test_a_pair_that_stands_twice_is_no_evidence() -> None:
    """A copied session would make a pair count double."""
    evidence = measure_in_pairs(SAME)
    copied = replace(evidence.cell.sessions[-1], order=99, arrays={})
    cell = replace(evidence.cell, sessions=(*evidence.cell.sessions, copied))

    assert _only(replace(evidence, cell=cell)).outcome is Outcome.INFRA


def test_p99_is_never_compared_on_a_board_whose_times_scatter() -> None:
    """The refusal gives the reason and both alternatives; exact boards may compare it."""
    p99 = limit("latency.p99", "regress", 0.1, "10 %")
    device = SAME.evidence().device

    said = forbidden(p99, device)

    assert "scatters by 7 %" in said
    assert "`max`" in said
    assert "latency.p95 with `regress`" in said
    assert forbidden(limit("latency.p99", "max", 0.1), device) == ""
    assert forbidden(p99, replace(device, tier=Tier.DETERMINISTIC)) == ""


def test_a_margin_that_the_board_cannot_resolve_is_refused_with_one_that_it_can() -> None:
    """Noise of 5 % resolves 6.4 %; unknown noise and a number of pairs that somebody fixed refuse nothing."""
    device = SAME.evidence().device
    noisy = replace(device, noise=(Noise("latency.p50", 0.05, source="stated in farm.yaml:4"),))

    said = unresolvable(SLOWER, noisy)

    assert "its noise is 5 % (stated in farm.yaml:4); allow at least 6.4 %" in said
    assert unresolvable(limit("latency.p50", "regress", 0.07), noisy) == ""
    assert unresolvable(SLOWER, device) == unresolvable(SLOWER, replace(noisy, sessions=6)) == ""
    assert forbidden(SLOWER, noisy) == ""


def test_every_open_verdict_has_a_reason_of_the_closed_list() -> None:
    """INCONCLUSIVE and an abstention go together."""
    for most in range(8):
        for verdict in _verdicts(measure_in_pairs(replace(SLOW, limits=(SLOWER, FASTER_THAN)), most=most)).values():
            assert (verdict.outcome is Outcome.INCONCLUSIVE) is (verdict.abstained is not None)
