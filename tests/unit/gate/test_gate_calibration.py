"""A/A gates, and what gates do with what is known of a board's noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate import judge
from harness.gate.calibration import judge_self, self_limits, void_pairs
from harness.gate.forecast import forecast
from harness.gate.tier import unresolvable
from harness.records.cell import Role, Stage
from harness.records.outcome import Outcome
from harness.records.plan import CalibratedNoise, CellCalibration, Plan
from harness.records.verdict import Trail
from harness.spec.model import LimitKind, MeterSpec, Noise, Tier
from harness.stats import Evidence
from harness.stats.calibration import Tally
from harness.stats.noise import calibrated_noise, noise_of
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.pairs import Moment, measure_in_pairs, timed

SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
SAME = Scene(limits=(SLOWER,), baseline=1.0, noise=0.004)
NOISE = CalibratedNoise("latency.p50", 60, 0.03, 0.02, 0.1, 0.4, False, 0.05, 14, 0, 1, 0.19, 6.5, 0.02, 0.084)
KNOWN = CellCalibration("int8.pi.json of 2026-11-20", "", (NOISE,))


def _trail(evidence: Evidence) -> Trail:
    run, samples = run_of([evidence])
    verdict = next(item for item in judge(run, samples).verdicts if item.metric == "latency.p50")
    assert verdict.trail is not None
    return verdict.trail


def test_a_gate_per_metric_that_is_decided_in_pairs() -> None:
    """The suite's margin where there is one, else 5 %; no memory, no answers, no p99, nothing on emulated boards."""
    limits = (
        limit("latency.p95", "max", 4e-3), limit("latency.p50", "max", 4e-3), limit("latency.p50", "regress", 0.1),
        limit("latency.p99", "max", 5e-3), limit("memory.peak", "regress", 0.05), limit("accuracy.top1", "min", 0.9),
        limit("thermal.max", "max", 80.0),
    )  # fmt: skip
    scene = Scene()
    made = self_limits(limits, scene.evidence().device)

    assert [(item.metric, item.kind, item.value) for item in made] == [
        ("latency.p95", LimitKind.REGRESS, 0.05),
        ("latency.p50", LimitKind.REGRESS, 0.1),
    ]
    assert self_limits(limits, replace(scene, tier=Tier.DETERMINISTIC).evidence().device) == ()
    assert self_limits(limits, replace(scene.evidence().device, sessions=6)) == ()


def test_energy_is_calibrated_where_a_sensor_is() -> None:
    """A board without a power source has no energy gate, and so none of itself."""
    limits = (limit("energy.per_inference", "max", 3e-3),)

    assert self_limits(limits, Scene().evidence().device) == ()
    assert len(self_limits(limits, Scene(power=MeterSpec("hwmon")).evidence().device)) == 1


def test_an_unchanged_file_gives_its_pairs_and_no_alarm() -> None:
    """Three pairs decide; each has a log-ratio around 0."""
    gate = judge_self(measure_in_pairs(SAME), SLOWER)

    assert gate.tally == Tally(1, 0, 0)
    assert len(gate.ratios) == 3
    assert all(abs(ratio) < 0.03 for ratio in gate.ratios)


def test_a_false_alarm_is_a_confirmed_one() -> None:
    """A board on which the second arm always runs slower: both stages' pairs count as noise, and the alarm as one."""
    evidence = measure_in_pairs(SAME, lambda _s, _p, role: Moment(1.12 if role is Role.CANDIDATE else 1.0))
    gate = judge_self(evidence, SLOWER)

    assert gate.tally == Tally(1, 1, 0)
    assert len(gate.ratios) == len(timed(evidence, Stage.FIRST)) + len(timed(evidence, Stage.CONFIRM))


def test_what_stays_open_is_counted_apart() -> None:
    """Twelve pairs of a board that is too noisy for its margin: no alarm, and no answer."""
    evidence = measure_in_pairs(replace(SAME, noise=0.12, seed=5))

    assert judge_self(evidence, SLOWER).tally == Tally(1, 0, 1)


def test_a_cell_that_was_cut_short_decides_nothing() -> None:
    """Its pairs still tell of the noise."""
    gate = judge_self(measure_in_pairs(replace(SAME, noise=0.02), most=2), SLOWER)

    assert (gate.tally, len(gate.ratios)) == (Tally(), 2)


def test_void_pairs_are_counted_and_say_nothing_of_the_noise() -> None:
    """A pair on a board that throttled is no pair."""
    evidence = measure_in_pairs(SAME, lambda _s, pair, _r: Moment(3.0, flags=("throttled",) if pair == 0 else ()))

    assert void_pairs(evidence) == 1
    assert len(judge_self(evidence, SLOWER).ratios) == 3


def test_pairs_that_contradict_the_plan_say_why() -> None:
    """Another model's sessions are no calibration of this one."""
    evidence = measure_in_pairs(SAME)
    cell = replace(evidence.cell, sessions=tuple(replace(s, model_sha256="0" * 64) for s in evidence.cell.sessions))
    gate = judge_self(replace(evidence, cell=cell), SLOWER)

    assert gate.ratios == ()
    assert "the board opened model 000000000000" in gate.problem


def test_measured_noise_is_a_floor_and_stands_in_the_trail() -> None:
    """Pairs that agree by luck do not decide at once, as with noise that a farm states."""
    lucky = measure_in_pairs(replace(SAME, noise=1e-4, calibration=KNOWN))
    trail = _trail(lucky)

    assert len(timed(lucky, Stage.FIRST)) > 3
    assert trail.floor == pytest.approx(0.015)
    assert trail.why_test == "noise 3.00% with no outliers (int8.pi.json of 2026-11-20)"


def test_measured_tails_choose_the_exact_test() -> None:
    """The choice rests on the calibration, not on the pairs that are judged."""
    heavy = replace(KNOWN, noise=(replace(NOISE, spread=0.01, is_heavy=True),))
    evidence = measure_in_pairs(replace(SAME, calibration=heavy))

    assert _trail(evidence).test == "flip"
    assert len(timed(evidence, Stage.FIRST)) == 5


def test_outliers_are_no_floor_for_the_test_that_ignores_them() -> None:
    """One gross disturbance makes the deviation 9 %; the floor is half of what the other pairs scatter by."""
    wild = replace(KNOWN, noise=(replace(NOISE, sd=0.09, spread=0.008, is_heavy=True),))
    evidence = measure_in_pairs(replace(SAME, calibration=wild))

    assert _trail(evidence).floor == pytest.approx(0.004)
    assert len(timed(evidence, Stage.FIRST)) == 5
    assert unresolvable(SLOWER, evidence.device, evidence.planned) == ""


def test_what_was_measured_counts_more_than_what_was_stated() -> None:
    """A calibrated metric wins, others keep the farm's word."""
    scene = replace(SAME, calibration=KNOWN, known_noise=(Noise("latency.p50", 0.01), Noise("latency.p95", 0.02)))
    planned, device = scene.evidence().planned, scene.evidence().device

    assert [noise_of(planned, device, name) for name in ("latency.p50", "latency.p95")] == [
        Noise("latency.p50", 0.03, False, KNOWN.source),
        Noise("latency.p95", 0.02),
    ]


@pytest.mark.parametrize("known", [replace(KNOWN, stale="it is 45 days old"), replace(KNOWN, board="another board")])
def test_a_calibration_that_does_not_hold_decides_nothing(known: CellCalibration) -> None:
    """Too old, or of another board: test and floor are those of a board that nobody knows."""
    evidence = measure_in_pairs(replace(SAME, calibration=known))

    assert _trail(evidence).why_test == "the board's noise is not known"
    assert len(timed(evidence, Stage.FIRST)) == 3


def test_before_a_board_is_met_its_calibration_is_believed() -> None:
    """The plan refuses by it; whether it is the same board is known when it is met."""
    planned = replace(SAME, calibration=replace(KNOWN, board="b1")).evidence().planned

    assert calibrated_noise(planned, "latency.p50") == NOISE
    assert calibrated_noise(planned, "latency.p50", board="b2") is None


def test_a_margin_that_a_calibrated_board_cannot_resolve_is_refused() -> None:
    """The message says which margin it could, and where that is known from."""
    evidence = replace(SAME, calibration=replace(KNOWN, noise=(replace(NOISE, sd=0.05),))).evidence()

    said = unresolvable(SLOWER, evidence.device, evidence.planned)

    assert "its noise is 5 % (int8.pi.json of 2026-11-20); allow at least 6.4 %" in said
    assert unresolvable(SLOWER, evidence.device) == ""


def test_the_forecast_is_that_of_the_calibration() -> None:
    """Pairs, chance and detectable effect of the calibrated margin; nothing is assumed."""
    evidence = replace(SAME, calibration=KNOWN).evidence()
    (found,) = forecast(Plan("lab", "farm.yaml", (evidence.device,), (evidence.planned,)), {})

    assert (found.pairs, found.detectable, found.assumed) == (6.5, 0.084, False)
    assert found.undecided == pytest.approx(0.02)


def test_an_unchanged_candidate_still_passes_on_a_calibrated_board() -> None:
    """Knowing the noise is no reason to fail."""
    run, samples = run_of([measure_in_pairs(replace(SAME, calibration=KNOWN))])

    assert {item.outcome for item in judge(run, samples).verdicts} == {Outcome.PASS}
