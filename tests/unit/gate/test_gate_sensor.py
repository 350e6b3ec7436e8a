"""An absolute limit within the sensor's accuracy is not decided; a comparison on one board is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate import judge
from harness.records.outcome import Abstention, Outcome
from harness.records.verdict import Verdict
from harness.spec.model import MeterSpec
from harness.testing.evidence import Scene, limit, run_of

ENERGY_J = 0.05


def _verdict(meter: MeterSpec, value: float, kind: str = "max", baseline: float | None = None) -> Verdict:
    asked = limit("energy.per_inference", kind, value, f"{value:g}")
    scene = Scene(power=meter, limits=(asked,), baseline=baseline)
    run, samples = run_of([scene.evidence()])
    return judge(run, samples).verdicts[1]


@pytest.mark.parametrize(
    ("accuracy", "limit_j", "outcome"),
    [
        (0.01, 0.0515, Outcome.PASS),
        (0.04, 0.0515, Outcome.INCONCLUSIVE),
        (0.01, 0.0485, Outcome.FAIL),
        (0.04, 0.0485, Outcome.INCONCLUSIVE),
        (0.0, 0.0515, Outcome.INCONCLUSIVE),
        (0.0, 0.054, Outcome.PASS),
    ],
)
def test_a_limit_within_the_accuracy_is_open(accuracy: float, limit_j: float, outcome: Outcome) -> None:
    """50 mJ measured: 3 % of room are an answer of a sensor of 1 %, and none of one of 4 % or of one nobody knows."""
    found = _verdict(MeterSpec("hwmon", accuracy=accuracy), limit_j)

    assert found.outcome is outcome
    if outcome is Outcome.INCONCLUSIVE:
        assert found.abstained is Abstention.SENSOR
        assert "lies within the sensor's accuracy" in found.reason
        assert ("not declared" in found.reason) == (accuracy == 0.0)


def test_an_offset_counts_at_the_measured_power() -> None:
    """200 mW of offset are 4 % of 5 W."""
    meter = MeterSpec("hwmon", accuracy=0.001, offset_w=0.2)

    assert _verdict(meter, 0.0515).outcome is Outcome.INCONCLUSIVE
    assert _verdict(replace(meter, offset_w=0.02), 0.0515).outcome is Outcome.PASS


def test_accuracy_falls_out_of_a_comparison() -> None:
    """Two arms on one sensor share its error: a ratio of 1 within 3 % is decided by a sensor of 5 %."""
    found = _verdict(MeterSpec("hwmon"), 0.03, "regress", baseline=1.0)

    assert found.outcome is Outcome.PASS
    assert found.candidate is not None
    assert found.candidate.components["uncertainty_j"] > 0
