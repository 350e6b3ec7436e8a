"""Figures of a load that lasts, on series that are made up: levels, fading, throttling, and what is no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.gate.cell import check_limit
from harness.records.cell import ArrayRef, Role, RuntimeRecord, SessionKind, SessionRecord
from harness.records.outcome import Abstention, Outcome
from harness.records.verdict import Estimate
from harness.spec.model import Noise, Tier
from harness.spec.workload import Sustain
from harness.stats import Comparison, Evidence, Missing, estimate, worsening
from harness.stats.sustained import theil_sen
from harness.testing.evidence import Scene, limit

LENGTH_S = 1200.0
Curve = Callable[[np.ndarray], np.ndarray]


def lasting(
    speed: Curve,
    baseline: Curve | None = None,
    *,
    scene: Scene = Scene(),  # noqa: B008  frozen
    rate_hz: float = 0.0,
    flags: tuple[str, ...] = (),
    control: dict[Role, float] = {},  # noqa: B006  read only
    **signs: np.ndarray,
) -> Evidence:
    """Add sustained sessions of 20 minutes to a scene; `speed` gives inferences per second at a time."""
    made = replace(scene, baseline=1.0 if baseline else scene.baseline).evidence()
    cell = made.cell
    for role, curve in ((Role.CANDIDATE, speed), (Role.BASELINE, baseline)):
        if curve is None:
            continue
        times = np.arange(1.0, LENGTH_S + 1)
        speeds = curve(times) * np.random.default_rng(len(cell.sessions)).normal(1.0, 0.005, times.size)
        arrays = {
            "window_end_s": 50.0 + times, "window_calls": np.full(times.size, rate_hz) if rate_hz else speeds,
            "window_median_s": 1.0 / speeds, "window_longest_s": 2.0 / speeds,
            "signs_t_s": 49.5 + times, **signs,
        }  # fmt: skip
        order = len(cell.sessions)
        model = next(item.model_sha256 for item in cell.sessions if item.role is role)
        runtime: RuntimeRecord = cell.sessions[0].runtime
        scalars = {"load_start_s": 50.0, "rate_hz": rate_hz, "control_before_s": control.get(role, 0.01)}
        refs = {name: ArrayRef(f"{order}/{name}", array.shape, "float64") for name, array in arrays.items()}
        made.arrays.update({f"{order}/{name}": array for name, array in arrays.items()})  # type: ignore[attr-defined]
        record = SessionRecord(order, role, SessionKind.SUSTAINED, model, runtime, (3,), scalars, refs, flags)
        cell = replace(cell, sessions=(*cell.sessions, record))
    planned = replace(made.planned, workload=replace(made.planned.workload, sustain=Sustain(LENGTH_S)))
    return replace(made, cell=cell, planned=planned)


def steady(level: float) -> Curve:
    """Always the same speed."""
    return lambda times: np.full(times.size, level)


def throttles(times: np.ndarray) -> np.ndarray:
    """100 per second, and 70 from minute five on."""
    return np.where(times < 300, 100.0, 70.0)


def fades(times: np.ndarray) -> np.ndarray:
    """Lose a tenth in twenty minutes, evenly."""
    return 100.0 * (1.0 - 0.1 * times / LENGTH_S)


def figure(found: object) -> Estimate:
    """Take an estimate for granted."""
    assert isinstance(found, Estimate), found
    return found


def test_the_end_counts_and_not_the_beginning() -> None:
    """Throughput and time of the last third; the interval holds what processes are assumed to differ by."""
    evidence = lasting(throttles)

    rate, single = (figure(estimate(evidence, f"sustained.{name}")) for name in ("throughput", "latency"))

    assert rate.value == pytest.approx(70.0, rel=0.005)
    assert single.value == pytest.approx(1 / 70.0, rel=0.005)
    assert rate.low is not None
    assert rate.high is not None
    assert 0.02 < rate.high / rate.value - 1 < 0.03
    assert "assumed" in rate.method


def test_known_noise_takes_the_place_of_the_assumed_one() -> None:
    """What the farm states of the board narrows the interval and is named."""
    scene = Scene(known_noise=(Noise("sustained.throughput", 0.002, source="stated in farm.yaml:3"),))

    found = figure(estimate(lasting(throttles, scene=scene), "sustained.throughput"))

    assert found.high is not None
    assert found.high / found.value - 1 < 0.006
    assert "farm.yaml:3" in found.method


def test_no_steady_state_is_an_answer() -> None:
    """A speed that still falls at the end has no sustained value; how it fades is told all the same."""
    evidence = lasting(fades)

    end, fade = estimate(evidence, "sustained.throughput"), figure(estimate(evidence, "sustained.fade"))

    assert isinstance(end, Missing)
    assert "no steady state: it still changes by -3" in end.reason
    assert end.outcome is Outcome.INCONCLUSIVE
    assert fade.value == pytest.approx(0.0526, abs=0.002)
    assert fade.low is not None
    assert fade.high is not None
    assert fade.low < 0.0526 < fade.high < fade.low + 0.01


def test_a_load_at_a_rate_fades_by_its_single_inferences() -> None:
    """The rate holds, so that throughput says nothing: the speed of computing does."""
    evidence = lasting(fades, rate_hz=10.0)

    assert figure(estimate(evidence, "sustained.throughput")).value == pytest.approx(10.0)
    assert figure(estimate(evidence, "sustained.fade")).value == pytest.approx(0.0526, abs=0.002)


@pytest.mark.parametrize(
    ("begins_s", "limit_s", "expected"),
    [(300.0, 240.0, Outcome.PASS), (300.0, 600.0, Outcome.FAIL), (9e9, 900.0, Outcome.PASS), (9e9, 1800.0, None)],
)
def test_time_to_throttle(begins_s: float, limit_s: float, expected: Outcome | None) -> None:
    """The first sign counts; none in twenty minutes is more than fifteen, and says nothing of thirty."""
    told = (np.arange(1.0, LENGTH_S + 1) > begins_s).astype(float)
    asked = limit("sustained.time_to_throttle", "min", limit_s)

    found = check_limit(lasting(steady(100.0), throttled=told), asked)

    assert found.outcome is (expected or Outcome.INCONCLUSIVE), found.reason


@pytest.mark.parametrize("metric", ["sustained.time_to_throttle", "sustained.temperature"])
def test_what_a_board_does_not_tell_is_unknown(metric: str) -> None:
    """Never "did not throttle", never a temperature of 0."""
    kind = "min" if metric.endswith("throttle") else "max"

    found = check_limit(lasting(steady(100.0)), limit(metric, kind, 60.0))

    assert found.outcome is Outcome.DEVICE
    assert "unknown: the board does not tell" in found.reason


def test_the_hottest_reading() -> None:
    """Readings that failed do not count."""
    celsius = np.where(np.arange(LENGTH_S) % 7, 50.0 + np.arange(LENGTH_S) / 60, np.nan)

    assert figure(
        estimate(lasting(steady(9.0), temperature_c=celsius), "sustained.temperature")
    ).value == pytest.approx(69.98, abs=0.02)


@pytest.mark.parametrize(("theirs", "allowed", "expected"), [(70.0, 0.05, "PASS"), (80.0, 0.05, "REGRESSION")])
def test_against_the_baseline(theirs: float, allowed: float, expected: str) -> None:
    """What was as fast in minute one is compared in minute twenty."""
    evidence = lasting(throttles, steady(theirs))

    found = check_limit(evidence, limit("sustained.throughput", "regress", allowed))
    compared = worsening(evidence, "sustained.throughput")

    assert found.outcome.value == expected, found.reason
    assert isinstance(compared, Comparison)
    assert compared.estimate.value == pytest.approx(theirs / 70.0 - 1, abs=0.01)


def test_a_board_that_was_another_one_compares_nothing() -> None:
    """Other work in one arm alone looks like a regression: the control work before the load tells."""
    evidence = lasting(steady(70.0), steady(100.0), control={Role.CANDIDATE: 0.012})

    found = check_limit(evidence, limit("sustained.throughput", "regress", 0.05))

    assert found.outcome is Outcome.INCONCLUSIVE
    assert "the control work changed by +20.0% between the arms" in found.reason


def test_a_session_that_was_cut_short_decides_nothing() -> None:
    """It is kept, and its gate says why it is open."""
    found = check_limit(lasting(steady(9.0), flags=("cut-short",)), limit("sustained.throughput", "min", 1.0))

    assert found.outcome is Outcome.INCONCLUSIVE
    assert "it ended before its time" in found.reason


def test_a_workload_without_a_load_that_lasts() -> None:
    """A limit of a profile's budget meets a suite that asks for none."""
    found = estimate(Scene().evidence(), "sustained.throughput")

    assert isinstance(found, Missing)
    assert found.why is Abstention.INPUT


@pytest.mark.parametrize("metric", ["sustained.fade", "sustained.time_to_throttle", "sustained.temperature"])
def test_emulated_boards_have_no_heat(metric: str) -> None:
    """What heat does cannot be gated where there is none."""
    scene = Scene(tier=Tier.DETERMINISTIC)

    found = check_limit(lasting(steady(9.0), scene=scene), limit(metric, "max" if "time" not in metric else "min", 1.0))

    assert found.abstained is Abstention.TIER
    assert "gets no warmer" in found.reason


def test_theil_sen_ignores_a_third_of_outliers() -> None:
    """The slope is that of the line, and the interval holds it."""
    x = np.arange(30.0)
    y = 2.0 * x + np.random.default_rng(3).normal(0, 0.1, 30)
    y[::5] += 100.0

    slope, low, high = theil_sen(x, y)

    assert slope == pytest.approx(2.0, abs=0.3)
    assert low <= 2.0 <= high
