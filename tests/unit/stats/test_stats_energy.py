"""Energy from traces: known answers, and every trace that is not worth a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.spec.model import MeterSpec, Tier
from harness.stats import Evidence, Missing, estimate
from harness.stats.quantile import FloatArray
from harness.stats.trace import PowerTrace
from harness.testing.evidence import IDLE_W, LOAD_W, Scene

SENSED = Scene(power=MeterSpec("hwmon"))


def _broken(change: object) -> Evidence:
    """Apply a change to (times, watts) of every energy session."""
    evidence = SENSED.evidence()
    arrays = dict(evidence.arrays)
    for key in [key for key in arrays if key.endswith("power_w")]:
        order = key.split("/")[0]
        times, watts = change(arrays[f"{order}/power_t_s"].copy(), arrays[key].copy())  # type: ignore[operator]
        arrays[f"{order}/power_t_s"], arrays[key] = times, watts
    return replace(evidence, arrays=arrays)


def _found(evidence: Evidence, metric: str = "energy.per_inference") -> Estimate:
    found = estimate(evidence, metric)
    assert isinstance(found, Estimate), found
    return found


def test_constant_power_integrates_to_power_times_time() -> None:
    """5 W for 3.3 s is 16.5 J, with edges between samples."""
    times = np.arange(0.0, 10.0, 0.1)

    window = PowerTrace(times, np.full(times.size, 5.0)).between(1.23, 4.53)

    assert window.energy_j() == pytest.approx(16.5)
    assert window.mean_w() == pytest.approx(5.0)


def test_a_ramp_integrates_exactly() -> None:
    """Trapezoids with interpolated edges are exact on straight lines: the integral of 2t over [1, 3] is 8."""
    times = np.sort(np.random.default_rng(0).uniform(0.0, 4.0, 60))
    times[0], times[-1] = 0.0, 4.0

    assert PowerTrace(times, 2 * times).between(1.0, 3.0).energy_j() == pytest.approx(8.0)


def test_energy_is_total_and_idle_is_kept_beside() -> None:
    """10 s at 5 W over 1000 inferences: 50 mJ each, of which 20 mJ idle."""
    found = _found(SENSED.evidence())

    assert found.value == pytest.approx(LOAD_W * 10 / 1000, rel=0.01)
    assert found.components["idle_w"] == pytest.approx(IDLE_W, rel=0.01)
    assert found.components["dynamic_j"] == pytest.approx((LOAD_W - IDLE_W) * 10 / 1000, rel=0.01)
    assert found.n == 3


def test_power_figures() -> None:
    """Mean power is that of the window, idle power that around it."""
    assert _found(SENSED.evidence(), "power.mean").value == pytest.approx(LOAD_W, rel=0.01)
    assert _found(SENSED.evidence(), "power.idle").value == pytest.approx(IDLE_W, rel=0.01)


def _every(step: int) -> object:
    return lambda t, w: (t[::step], w[::step])


def _drift(t: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    return t, np.where(t > 15.2, w + 0.3, w)


def _gap(t: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    keep = (t < 8) | (t > 8.2)
    return t[keep], w[keep]


SPOILED = {
    "too few samples": (_every(10), "at least 100 needed", Outcome.INCONCLUSIVE),
    "frozen": (lambda t, w: (t, np.full(t.size, 5.0)), "frozen sensor", Outcome.INCONCLUSIVE),
    "duplicates": (lambda t, w: (t, np.repeat(w[::3], 3)[: t.size]), "repeat the one before", Outcome.INCONCLUSIVE),
    "gap": (_gap, "a gap of", Outcome.INCONCLUSIVE),
    "idle drift": (_drift, "idle power drifted", Outcome.INCONCLUSIVE),
    "negative": (lambda t, w: (t, -w), "negative power", Outcome.INCONCLUSIVE),
    "window not covered": (lambda t, w: (t[t < 12], w[t < 12]), "not covered", Outcome.INCONCLUSIVE),
    "clock backwards": (lambda t, w: (t[::-1], w), "do not increase", Outcome.INFRA),
    "lengths differ": (lambda t, w: (t[:-1], w), "do not increase with its samples", Outcome.INFRA),
    "NaN": (lambda t, w: (t, np.where(t > 9, np.nan, w)), "were no number", Outcome.INCONCLUSIVE),
}


@pytest.mark.parametrize(("change", "reason", "outcome"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_trace_is_never_a_number(change: object, reason: str, outcome: Outcome) -> None:
    """Each check on a trace turns its energy into a reason."""
    found = estimate(_broken(change), "energy.per_inference")

    assert isinstance(found, Missing)
    assert reason in found.reason
    assert found.outcome is outcome


def test_a_missing_sensor_is_the_boards_fault() -> None:
    """No power array means DEVICE."""
    evidence = SENSED.evidence()
    arrays = {key: array for key, array in evidence.arrays.items() if "power" not in key}

    found = estimate(replace(evidence, arrays=arrays), "energy.per_inference")

    assert isinstance(found, Missing)
    assert found.outcome is Outcome.DEVICE


def test_idle_that_samples_do_not_quite_cover_still_counts() -> None:
    """The sampler starts a little after the idle time and stops a little before its end."""
    evidence = _broken(lambda t, w: (t[(t > 0.6) & (t < 19.4)], w[(t > 0.6) & (t < 19.4)]))

    assert "idle_w" in _found(evidence).components


def test_modelled_energy_is_the_declared_formula() -> None:
    """idle_w x latency + joule_per_instruction x instructions, labelled so."""
    power = MeterSpec("modelled", idle_w=1.5, joule_per_instruction=2e-10)
    scene = Scene(tier=Tier.DETERMINISTIC, sessions=2, power=power, latency_s=2e-3, work=1_000_000)

    found = _found(scene.evidence())

    assert found.value == pytest.approx(1.5 * 2e-3 * 1.005 + 2e-10 * 1e6)
    assert found.label == "modelled"
