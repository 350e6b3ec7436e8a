"""Scripted power, sampled as a board samples it: the right joules, or INCONCLUSIVE with the right reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from harness.records.cell import ArrayRef, SessionKind
from harness.records.outcome import Outcome
from harness.spec.model import MeterSpec
from harness.stats import Evidence, Missing, estimate
from harness.stats.energy import SessionEnergy, session_energy
from harness.stats.marker import lag_problem
from harness.stats.quantile import FloatArray
from harness.stats.sensor import sensor_of
from harness.stats.trace import PowerTrace
from harness.testing.evidence import Scene

WINDOW = (6.0, 16.0)
IDLE = {"idle_before_start_s": 0.2, "idle_before_end_s": 5.0, "idle_after_start_s": 17.0, "idle_after_end_s": 21.8}
LENGTH_S = 22.0
INFERENCES = 1000.0
_SESSION = next(item for item in Scene(power=MeterSpec("hwmon")).evidence().cell.sessions)
SENSOR = sensor_of(None, replace(_SESSION, scalars={"power_rate_hz": 50.0}))
EXACT = MeterSpec("hwmon", accuracy=0.01)
Profile = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Trace:
    """What a sampler would have sent, and the joules that were scripted into the window."""

    t_s: FloatArray
    watts: FloatArray
    joules: float


def loaded(profile: Profile) -> Profile:
    """Put a load on top of 2 W of idle, from a little before the window to a little after it."""
    return lambda t: np.where((t > WINDOW[0] - 0.6) & (t < WINDOW[1] + 0.6), profile(t), 2.0)


def bursts(width_s: float, period_s: float) -> Profile:
    """2 W, and 10 W for `width_s` in each period."""
    return loaded(lambda t: np.where(t % period_s < width_s, 10.0, 2.0))


def sample(profile: Profile, rate_hz: float, *, seed: int = 1, noise_w: float = 0.02, averaging: bool = False) -> Trace:
    """Sample a profile at random moments; an averaging sensor gives in each period the mean of the one before."""
    rng = np.random.default_rng(seed)
    fine = np.arange(0.0, LENGTH_S, 1e-4)
    power = profile(fine)
    joules = float(np.sum(power[(fine >= WINDOW[0]) & (fine < WINDOW[1])]) * 1e-4)
    count = np.concatenate(([0.0], np.cumsum(power) * 1e-4))
    period_s = 1.0 / rate_hz
    moments = 0.0 if averaging else rng.random(int(LENGTH_S * rate_hz))
    t = np.asarray((np.arange(int(LENGTH_S * rate_hz)) + moments) * period_s, dtype=np.float64)
    at = np.minimum((t / 1e-4).astype(int), fine.size - 1)
    before = np.maximum(at - int(period_s / 1e-4), 0)
    watts = (count[at + 1] - count[before]) / ((at + 1 - before) * 1e-4) if averaging else power[at]
    watts = np.asarray(watts, dtype=np.float64)
    return Trace(t, watts + rng.normal(0.0, noise_w, t.size) * (noise_w > 0), joules)


def measure(
    arrays: dict[str, FloatArray], rate_hz: float, meter: MeterSpec = EXACT, /, **scalars: float
) -> SessionEnergy | Missing:
    """Integrate one session that brought these arrays."""
    evidence = Scene(power=meter).evidence()
    session = next(item for item in evidence.cell.sessions if item.kind is SessionKind.ENERGY)
    refs = {name: ArrayRef(f"x/{name}", array.shape, "float64") for name, array in arrays.items()}
    marks = {"window_start_s": WINDOW[0], "window_end_s": WINDOW[1], "inference_count": INFERENCES, **IDLE}
    session = replace(session, arrays=refs, scalars={**marks, "power_rate_hz": rate_hz, **scalars})
    kept = {f"x/{name}": array for name, array in arrays.items()}
    found = Evidence(evidence.planned, evidence.device, evidence.cell, {**evidence.arrays, **kept})
    return session_energy(found, session)


def of(trace: Trace, rate_hz: float, meter: MeterSpec = EXACT, /, **scalars: float) -> SessionEnergy | Missing:
    """Integrate a trace of readings."""
    return measure({"power_t_s": trace.t_s, "power_w": trace.watts}, rate_hz, meter, **scalars)


def _error(found: SessionEnergy | Missing, joules: float) -> float:
    assert isinstance(found, SessionEnergy), found
    return abs(found.total_j * INFERENCES / joules - 1.0)


SOUND: dict[str, tuple[Profile, float, dict[str, float]]] = {
    "constant": (loaded(lambda t: np.full(t.size, 5.0)), 50.0, {}),
    "steps": (loaded(lambda t: np.where(t < 9.0, 4.0, np.where(t < 13.0, 7.0, 5.0))), 50.0, {}),
    "ramp": (loaded(lambda t: 2.0 + 0.4 * t), 50.0, {}),
    "slow sine": (loaded(lambda t: 5.0 + 2.0 * np.sin(2 * np.pi * t)), 50.0, {}),
    "bursts of 200 ms": (bursts(0.2, 1.0), 400.0, {}),
    "bursts of 20 ms, sampled at 2 kHz": (bursts(0.02, 0.1), 2000.0, {}),
    "bursts of 20 ms, each reading the mean since the last": (
        bursts(0.02, 0.1),
        50.0,
        {"power_window_s": 0.02, "power_is_regular": 1.0},
    ),
}


@pytest.mark.parametrize(("profile", "rate_hz", "told"), SOUND.values(), ids=SOUND.keys())
def test_a_sound_trace_gives_the_scripted_joules(profile: Profile, rate_hz: float, told: dict[str, float]) -> None:
    """Within 0.5 %, and within three of its own standard uncertainties."""
    trace = sample(profile, rate_hz, averaging=bool(told))

    found = of(trace, rate_hz, **told)

    assert _error(found, trace.joules) <= 0.005
    assert isinstance(found, SessionEnergy)
    assert abs(found.total_j - trace.joules / INFERENCES) <= 3 * found.uncertainty.total


def test_steps_without_any_noise_are_believed_of_a_quick_sensor() -> None:
    """Equal readings are no frozen sensor when it says how often it updates and has moved on both sides."""
    trace = sample(loaded(lambda t: np.where(t < 9.0, 4.0, 7.0)), 50.0, noise_w=0.0)

    assert _error(of(trace, 50.0, power_window_s=0.0022), trace.joules) <= 0.005
    doubted = of(trace, 50.0)
    assert isinstance(doubted, Missing)
    assert "repeat the one before" in doubted.reason


def _drop(trace: Trace) -> Trace:
    gone = (trace.t_s > 9.0) & (trace.t_s < 9.3)
    return Trace(trace.t_s[~gone], trace.watts[~gone], trace.joules)


def _lose(trace: Trace) -> Trace:
    watts = trace.watts.copy()
    watts[400:403] = np.nan
    return replace(trace, watts=watts)


def _freeze(trace: Trace) -> Trace:
    return replace(trace, watts=np.where(trace.t_s > 11.0, trace.watts[trace.t_s > 11.0][0], trace.watts))


def _hang(trace: Trace) -> Trace:
    watts = trace.watts.copy()
    watts[450:462] = watts[450]
    return replace(trace, watts=watts)


def _scale(factor: float) -> Callable[[Trace], Trace]:
    return lambda trace: replace(trace, watts=trace.watts * factor)


def _clip(trace: Trace) -> Trace:
    return replace(trace, watts=np.minimum(trace.watts, 5.01))


def _warm(trace: Trace) -> Trace:
    return replace(trace, watts=trace.watts + np.where(trace.t_s < 2.6, 0.2, 0.0))


def _same(trace: Trace) -> Trace:
    return trace


def SHARP(t: FloatArray) -> FloatArray:  # noqa: N802  a profile among profiles
    """Load that begins and ends with the window itself."""
    return np.where((t > WINDOW[0]) & (t < WINDOW[1]), 8.0, 2.0)


RISING = loaded(lambda t: 3.0 * t)
FIVE = loaded(lambda t: np.full(t.size, 5.0))
SPOILT: dict[str, tuple[Profile, Callable[[Trace], Trace], dict[str, float], str]] = {
    "bursts of 20 ms at 50 Hz": (bursts(0.02, 0.1), _same, {}, "undersampled"),
    "bursts of 20 ms in step with the sampling": (bursts(0.02, 0.2), _same, {}, "undersampled"),
    "dropout": (FIVE, _drop, {}, "a gap of 0.3"),
    "readings that are no numbers": (FIVE, _lose, {}, "3 of 1100 readings were no number"),
    "frozen from the middle on": (FIVE, _freeze, {}, "in a row are equal"),
    "frozen at the height of a ramp": (RISING, _freeze, {}, "in a row are equal"),
    "stuck for a quarter of a second": (FIVE, _hang, {}, "12 samples in a row are equal"),
    "clip at a range that is known": (FIVE, _same, {"power_range_w": 5.0}, "end of the sensor's range"),
    "clip at a range that nobody tells": (FIVE, _clip, {}, "are exactly the highest"),
    "negative": (FIVE, _scale(-1.0), {}, "negative power"),
    "milliwatts taken for watts": (FIVE, _scale(1e4), {}, "beyond any board"),
    "late": (FIVE, _same, {"power_late_count": 200.0}, "200 samples were late"),
    "an averaging time too long for the window": (FIVE, _same, {"power_window_s": 1.0}, "10 averaging times"),
    "idle not stable": (FIVE, _warm, {}, "idle power before the window is not stable"),
    "volts times amperes say otherwise": (FIVE, _same, {"power_rival_ratio": 1.1}, "1.1 times its power"),
    "edges on a clock that is not known": (SHARP, _same, {"power_clock_u_s": 0.2}, "at the edges"),
    "too few inferences": (FIVE, _same, {"inference_count": 9.0}, "9 inferences"),
}  # fmt: skip


@pytest.mark.parametrize(("profile", "change", "told", "words"), SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_trace_says_why(
    profile: Profile, change: Callable[[Trace], Trace], told: dict[str, float], words: str
) -> None:
    """What spoils a trace makes it INCONCLUSIVE with that reason, never a number."""
    found = of(change(sample(profile, 50.0)), 50.0, **told)

    assert isinstance(found, Missing), found
    assert words in found.reason
    assert found.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 200.0, 1000.0])
def test_no_burst_ever_gives_a_wrong_number(rate_hz: float) -> None:
    """Over many widths and periods, also those in step with the sampling: as right as it says, or undersampled."""
    rng = np.random.default_rng(7)
    answers = []
    for seed in range(30):
        period_s = rng.choice([0.04, 0.1, 0.2, float(rng.uniform(0.03, 1.0))])
        trace = sample(bursts(period_s * float(rng.uniform(0.1, 0.9)), period_s), rate_hz, seed=seed)
        found = of(trace, rate_hz)
        if isinstance(found, Missing):
            assert "undersampled" in found.reason
        else:
            answers.append(_error(found, trace.joules))
            assert abs(found.total_j - trace.joules / INFERENCES) <= 4 * found.uncertainty.scatter
    assert max(answers, default=0.0) <= 0.01


def _counted(trace: Trace, range_j: float, first_j: float = 0.0, step_j: float = 1e-3) -> dict[str, FloatArray]:
    steps = 0.5 * (trace.watts[1:] + trace.watts[:-1]) * np.diff(trace.t_s)
    total = first_j + np.concatenate(([0.0], np.cumsum(steps)))
    raw = np.floor(total / step_j) * step_j
    raw = raw % range_j if range_j else raw
    return {"power_t_s": trace.t_s, "energy_j": raw[:, None], "energy_range_j": np.array([range_j])}


@pytest.mark.parametrize(("range_j", "first_j"), [(0.0, 5.0), (65.536, 60.0), (20.0, 3.0), (65.536, 30.0)])
def test_a_counter_gives_the_scripted_joules_across_its_wraps(range_j: float, first_j: float) -> None:
    """A counter that starts again in or around the window is unwrapped when its range is known."""
    trace = sample(FIVE, 50.0)

    found = measure(_counted(trace, range_j, first_j), 50.0)

    assert _error(found, trace.joules) <= 0.005
    assert isinstance(found, SessionEnergy)
    assert found.dynamic_j == pytest.approx(0.03, rel=0.01)


def test_a_counter_sees_bursts_between_its_readings() -> None:
    """What a counter adds up needs no sampling rate: bursts of 20 ms at 50 readings per second."""
    fine = sample(bursts(0.02, 0.1), 2000.0, noise_w=0.0)
    counted = _counted(fine, 0.0)
    some = {name: array[::40] if array.ndim and array.size > 1 else array for name, array in counted.items()}

    assert _error(measure(some, 50.0), fine.joules) <= 0.005


SPOILT_COUNTERS: dict[str, tuple[float, Callable[[FloatArray], FloatArray], str]] = {
    "wrap of unknown range": (0.0, lambda j: j % 30.0, "where it starts again is not known"),
    "reset": (1e6, lambda j: np.where(j > 40.0, j - 40.0, j), "jumped by|it was reset"),
    "wraps faster than it is read": (0.3, lambda j: j, "ambiguous"),
    "outside its range": (50.0, lambda j: j, "outside its range"),
    "frozen": (0.0, lambda j: np.where(j > 40.0, 40.0, j), "stood still"),
    "never moves": (0.0, lambda j: np.full_like(j, 7.0), "did not move"),
    "jump": (0.0, lambda j: j + 1e4 * (j > 40.0), "jumped by"),
    "no number": (0.0, lambda j: np.where(j > 40.0, np.nan, j), "no number"),
    "falls": (0.0, lambda j: -j, "where it starts again is not known"),
}


@pytest.mark.parametrize(("range_j", "change", "words"), SPOILT_COUNTERS.values(), ids=SPOILT_COUNTERS.keys())
def test_a_spoilt_counter_says_why(range_j: float, change: Callable[[FloatArray], FloatArray], words: str) -> None:
    """A counter whose story cannot be told apart from another gives no joules."""
    arrays = _counted(sample(FIVE, 50.0), range_j if words == "ambiguous" else 0.0)
    arrays["energy_j"] = change(arrays["energy_j"])
    arrays["energy_range_j"] = np.array([range_j])

    found = measure(arrays, 50.0)

    assert isinstance(found, Missing), found
    assert any(word in found.reason for word in words.split("|")), found.reason
    assert found.outcome is Outcome.INCONCLUSIVE


def test_six_terms_of_uncertainty() -> None:
    """Each term follows its formula where it can be computed by hand."""
    trace = sample(FIVE, 50.0, noise_w=0.05)
    meter = MeterSpec("hwmon", accuracy=0.02, offset_w=0.1, averaging_s=0.02)

    found = of(trace, 50.0, meter, power_step_w=0.04)

    assert isinstance(found, SessionEnergy)
    u = found.uncertainty
    assert u.gain == pytest.approx(0.02 * found.total_j / 3**0.5)
    assert u.offset == pytest.approx(0.1 * 10 / 3**0.5 / INFERENCES)
    assert u.scatter == pytest.approx(10 * 0.05 / 500**0.5 / INFERENCES, rel=0.2)
    assert u.step == pytest.approx(10 * 0.04 / (12 * 500) ** 0.5 / INFERENCES, rel=0.01)
    assert u.start < 0.02 * u.gain
    assert u.total == pytest.approx((u.gain**2 + u.offset**2 + u.scatter**2 + u.step**2 + u.start**2 + u.end**2) ** 0.5)


def test_what_nobody_declares_is_assumed_and_said() -> None:
    """Without a declared accuracy 5 % is assumed, and the words say so."""
    found = of(sample(FIVE, 50.0), 50.0, MeterSpec("hwmon"))

    assert isinstance(found, SessionEnergy)
    assert found.uncertainty.gain == pytest.approx(0.05 * found.total_j / 3**0.5)
    assert found.assumed[0] == "accuracy not declared, taken as ±5%"
    assert "averaging time not known" in found.assumed[1]


def test_the_slowdown_by_measuring_is_told() -> None:
    """An inference took 10 ms while sampled and 9.5 ms before and after."""
    found = of(sample(FIVE, 50.0), 50.0, plain_before_s=0.0094, plain_after_s=0.0096)

    assert isinstance(found, SessionEnergy)
    assert found.slowdown == pytest.approx(10.0 / 9.5 - 1.0)


@pytest.mark.parametrize("lag_s", [-3.0, -0.4, 0.4, 3.0])
def test_power_that_moves_when_the_load_does_not_is_not_believed(lag_s: float) -> None:
    """The load's own edges check the clocks: readings stamped 0.4 s off are found out, readings in time are not."""
    trace = sample(FIVE, 50.0)
    load = {"load_start_s": WINDOW[0] - 0.6, "load_end_s": WINDOW[1] + 0.6}

    in_time = of(trace, 50.0, **load)
    marked = lag_problem(PowerTrace(trace.t_s + lag_s, trace.watts), replace(_SESSION, scalars=load), SENSOR, 2.0)

    assert _error(in_time, trace.joules) <= 0.005
    found = re.search(r"([\d.]+) s (late|early)", marked)
    assert found
    assert float(found[1]) == pytest.approx(abs(lag_s), abs=0.05)
    assert found[2] == ("late" if lag_s > 0 else "early")


@pytest.mark.parametrize("phase_s", [0.0, 0.3, 0.6, 0.9])
def test_a_load_of_bursts_is_no_marker(phase_s: float) -> None:
    """Bursts may begin with a pause: that says nothing of the clocks."""
    trace = sample(loaded(lambda t: np.where((t + phase_s) % 1.0 < 0.2, 10.0, 2.0)), 50.0)
    load = {"load_start_s": WINDOW[0] - 0.6, "load_end_s": WINDOW[1] + 0.6}

    assert lag_problem(PowerTrace(trace.t_s, trace.watts), replace(_SESSION, scalars=load), SENSOR, 2.0) == ""


def test_a_load_that_does_not_show_is_no_marker() -> None:
    """Where load and idle differ by less than the readings scatter, nothing can be said of the clocks."""
    trace = sample(loaded(lambda t: np.full(t.size, 2.05)), 50.0, noise_w=0.1)
    load = {"load_start_s": WINDOW[0] - 3.0, "load_end_s": WINDOW[1] - 3.0}

    assert lag_problem(PowerTrace(trace.t_s, trace.watts), replace(_SESSION, scalars=load), SENSOR, 2.0) == ""


def test_a_negative_rail_is_not_hidden_by_its_sum() -> None:
    """Of two rails one is negative: the sum looks sound and is not."""
    trace = sample(FIVE, 50.0)
    rails = np.stack((trace.watts + 1.0, np.full(trace.watts.size, -1.0)), axis=1)

    found = measure({"power_t_s": trace.t_s, "power_w": trace.watts, "rail_w": rails}, 50.0)

    assert isinstance(found, Missing)
    assert "negative power on one of the rails" in found.reason


def test_components_stand_beside_the_estimate() -> None:
    """Uncertainty and its terms are kept beside the energy that the gate looks at."""
    found = estimate(Scene(power=MeterSpec("hwmon")).evidence(), "energy.per_inference")

    assert not isinstance(found, Missing)
    assert found.components["uncertainty_j"] > found.components["u_gain_j"] > 0
