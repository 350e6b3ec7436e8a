"""Energy that a simulated meter tells: decided in pairs on an emulated board, labelled, only where it is accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.campaign.energy import energy_times
from harness.gate import judge
from harness.records.cell import Role, Stage
from harness.records.outcome import Outcome
from harness.records.verdict import Verdict
from harness.report.board import view_board
from harness.spec.model import Limit, MeterSpec, Tier
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.pairs import Moment, measure_in_pairs

METER = MeterSpec("simulated", idle_w=2.4, busy_w=2.4, rate_hz=60.0, accuracy=0.01, averaging_s=1 / 60, scope="board")
ACCEPTED = limit("energy.per_inference", "regress", 0.25, "25 %", accept="simulated")
SCENE = Scene(
    device="a72", tier=Tier.FUNCTIONAL, cpu="cortex-a72", power=METER, limits=(ACCEPTED,), baseline=1.0, noise=0.01
)


def _judged(scene: Scene) -> Verdict:
    run, samples = run_of([measure_in_pairs(scene, _busy_host)])
    return next(item for item in judge(run, samples).verdicts if item.metric == "energy.per_inference")


def _busy_host(_stage: Stage, _pair: int, role: Role) -> Moment:
    """Let the control work of one arm take twice as long: on an emulated board it tells of the host alone."""
    return Moment(control=2.0 if role is Role.CANDIDATE else 1.0)


@pytest.mark.parametrize(("baseline", "outcome"), [(1.0, Outcome.PASS), (0.5, Outcome.REGRESSION)])
def test_pairs_end_in_a_verdict(baseline: float, outcome: Outcome) -> None:
    """Equal work keeps the margin; twice the baseline's is a regression that fresh pairs confirm; both are labelled."""
    found = _judged(replace(SCENE, baseline=baseline))

    assert found.outcome is outcome
    assert found.candidate is not None
    assert found.estimate is not None
    assert (found.candidate.label, found.estimate.label) == ("simulated", "simulated")
    assert found.candidate.components["uncertainty_j"] > 0


@pytest.mark.parametrize("accept", ["", "modelled"])
def test_nothing_is_decided_by_it_unless_the_limit_says_so(accept: str) -> None:
    """A plan that was edited past the check gets no PASS of a figure that no instrument gave."""
    unsaid: Limit = replace(ACCEPTED, accept=accept)

    found = _judged(replace(SCENE, limits=(unsaid,)))

    assert found.outcome is Outcome.INCONCLUSIVE
    assert "accept: simulated" in found.reason


def test_a_short_window_has_short_rests() -> None:
    """What is declared short is not stretched by rests and leads made for ten seconds; others keep theirs."""
    short = energy_times(replace(METER, window_s=1.8))
    usual = energy_times(MeterSpec("hwmon"))
    longer = energy_times(MeterSpec("hwmon", window_s=60.0))

    assert (short.window_s, short.idle_s, short.lead_s) == pytest.approx((1.8, 0.9, 0.18))
    assert (usual.window_s, usual.idle_s, usual.lead_s) == (10.0, 5.0, 0.5)
    assert (longer.idle_s, longer.lead_s) == (5.0, 0.5)


def test_the_report_says_of_the_board_that_its_meter_is_simulated() -> None:
    """Beside the board stands the model, and that no instrument was there."""
    run, _ = run_of([SCENE.evidence()])
    (device,) = run.plan.devices

    facts = view_board(device, run.devices[0], ()).facts

    (source,) = (fact.value for fact in facts if fact.name == "Power source")
    assert source.startswith("simulated, no instrument: 2.4 W idle plus 2.4 W while the emulator computes")
