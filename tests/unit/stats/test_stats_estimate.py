"""Estimates and comparisons of whole cells: what is valid, which interval, and whose fault it is when there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.records.cell import Role, SessionKind, SessionRecord
from harness.records.outcome import Outcome
from harness.records.plan import RecordedFigure
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS
from harness.spec.model import Tier
from harness.stats import Comparison, Evidence, Missing, estimate, session_figures, worsening
from harness.stats.accuracy import pack_hits
from harness.stats.evidence import AnyArray
from harness.stats.figure import KINDS
from harness.testing.evidence import Scene

EXACT = Scene(tier=Tier.DETERMINISTIC, sessions=2)


def _edit(evidence: Evidence, change: Callable[[SessionRecord], SessionRecord]) -> Evidence:
    sessions = tuple(change(session) for session in evidence.cell.sessions)
    return replace(evidence, cell=replace(evidence.cell, sessions=sessions))


def _flag(evidence: Evidence, orders: set[int], flag: str) -> Evidence:
    return _edit(evidence, lambda item: replace(item, flags=(flag,)) if item.order in orders else item)


def _with_arrays(evidence: Evidence, name: str, change: Callable[[AnyArray], AnyArray]) -> Evidence:
    arrays = {key: change(array) if key.endswith(name) else array for key, array in evidence.arrays.items()}
    return replace(evidence, arrays=arrays)


def _figure(found: object) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def _compared(found: object) -> Comparison:
    assert isinstance(found, Comparison), found
    return found


def _missing(found: object) -> Missing:
    assert isinstance(found, Missing), found
    return found


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric in KINDS])
def test_catalogue_and_figures_agree_on_sessions(metric: str) -> None:
    """The session that a metric needs is the same for who plans it and for who reads it."""
    assert METRICS[metric].needs == KINDS[metric].value


def test_every_metric_of_the_catalogue_has_an_answer() -> None:
    """No metric raises: each gives a figure or a reason."""
    evidence = Scene().evidence()

    found = {metric: estimate(evidence, metric) for metric in METRICS}

    missing = {metric for metric, item in found.items() if isinstance(item, Missing)}
    unasked = {"conformance.flips", "conformance.max_abs", "conformance.max_ulp"}
    written = {name for name, metric in METRICS.items() if metric.generates or metric.told}
    lasting = {name for name, metric in METRICS.items() if metric.needs == "sustained"}
    assert missing == {"power.mean", "power.idle", "energy.per_inference", "thermal.max", *unasked, *written, *lasting}


def test_wall_clock_has_sessions_as_n() -> None:
    """1,200 latencies of 6 sessions are 6 figures; the interval is their range."""
    evidence = Scene().evidence()
    figures = session_figures(evidence, "latency.p95")
    assert isinstance(figures, np.ndarray)

    found = _figure(estimate(evidence, "latency.p95"))

    assert found.n == 6
    assert (found.low, found.high) == (figures.min(), figures.max())
    assert found.value == np.median(figures)
    assert "96.9%" in found.method


def test_four_sessions_have_no_bounds() -> None:
    """A figure from too few sessions is shown and cannot decide."""
    found = _figure(estimate(Scene(sessions=4).evidence(), "latency.p50"))

    assert (found.low, found.high) == (None, None)


def test_throughput_is_the_inverse_of_the_mean() -> None:
    """Single stream: inferences per second."""
    evidence = EXACT.evidence()

    assert _figure(estimate(evidence, "throughput")).value == pytest.approx(
        1 / _figure(estimate(evidence, "latency.mean")).value
    )


def test_virtual_time_is_labelled() -> None:
    """Times of a board with an instruction clock say so; its memory and work do not."""
    labels = {name: _figure(estimate(EXACT.evidence(), name)).label for name in ("latency.p50", "work.instructions")}

    assert labels == {"latency.p50": "virtual", "work.instructions": ""}


def test_exact_work_is_a_point() -> None:
    """Two sessions that count the same have no interval."""
    found = _figure(estimate(EXACT.evidence(), "work.instructions"))

    assert found.low == found.high == found.value == 1_000_000


def test_one_session_cannot_show_that_work_repeats() -> None:
    """A count that was taken once decides nothing."""
    assert "at least 2" in _missing(estimate(replace(EXACT, sessions=1).evidence(), "work.instructions")).reason


def test_a_board_without_counter_is_a_device_fault() -> None:
    """No instruction array: DEVICE, with the reason that the agent gave."""
    evidence = _flag(EXACT.evidence(), {0, 1}, "no-counter:EACCES")
    evidence = _edit(
        evidence,
        lambda item: replace(item, arrays={k: ref for k, ref in item.arrays.items() if k != "instructions"}),
    )

    found = _missing(estimate(evidence, "work.instructions"))

    assert found.outcome is Outcome.DEVICE
    assert "no-counter:EACCES" in found.reason
    assert isinstance(estimate(evidence, "latency.p50"), Estimate)


IMPLAUSIBLE = {
    "NaN": lambda a: np.where(np.arange(a.size) == 3, np.nan, a),
    "infinite": lambda a: np.where(np.arange(a.size) == 3, np.inf, a),
    "zero": lambda a: np.where(np.arange(a.size) == 3, 0.0, a),
    "negative": lambda a: -a,
    "empty": lambda a: a[:0],
    "fewer than planned": lambda a: a[:10],
    "all equal": lambda a: np.full(a.size, a[0]),
    "two dimensions": lambda a: a.reshape(2, -1),
}


@pytest.mark.parametrize("change", IMPLAUSIBLE.values(), ids=IMPLAUSIBLE.keys())
def test_implausible_latencies_are_infrastructure(change: Callable[[AnyArray], AnyArray]) -> None:
    """What cannot be a measurement is INFRA, never a figure and never the model's fault."""
    found = _missing(estimate(_with_arrays(Scene().evidence(), "latency_s", change), "latency.p50"))

    assert found.outcome is Outcome.INFRA
    assert "implausible" in found.reason


def test_equal_virtual_times_are_possible() -> None:
    """With an instruction clock equal latencies are what one expects."""
    evidence = _with_arrays(EXACT.evidence(), "latency_s", lambda a: np.full(a.size, 2e-3))

    assert _figure(estimate(evidence, "latency.p99")).value == 2e-3


def test_a_tail_of_too_few_samples_is_refused() -> None:
    """p99 of 50 repeats would be their maximum."""
    assert "repeat at least 100" in _missing(estimate(Scene(repeat=50).evidence(), "latency.p99")).reason


def test_flagged_sessions_do_not_decide() -> None:
    """One throttled session of 6 leaves 5 that decide; all flagged leave nothing."""
    evidence = Scene().evidence()

    assert _figure(estimate(_flag(evidence, {2}, "throttled"), "latency.p50")).n == 5
    assert "flagged: throttled" in _missing(estimate(_flag(evidence, set(range(6)), "throttled"), "latency.p50")).reason


def test_heat_does_not_spoil_memory_but_swapping_does() -> None:
    """Flags take away only what they touch."""
    evidence = Scene().evidence()
    memory = {item.order for item in evidence.cell.sessions if item.kind is SessionKind.MEMORY}

    assert isinstance(estimate(_flag(evidence, memory, "throttled"), "memory.peak"), Estimate)
    assert isinstance(estimate(_flag(evidence, memory, "swapped"), "memory.peak"), Missing)


def test_other_model_bytes_are_never_evidence() -> None:
    """A board that opened another file than planned measured something else: INFRA for every figure."""
    evidence = _edit(Scene().evidence(), lambda item: replace(item, model_sha256="0" * 64) if item.order == 1 else item)

    found = [_missing(estimate(evidence, metric)) for metric in ("latency.p50", "storage.size", "accuracy.top1")]

    assert {item.outcome for item in found} == {Outcome.INFRA}


def test_memory_needs_two_sessions_and_knows_the_page() -> None:
    """Memory of three sessions is bounded by Student's t and at least one page."""
    found = _figure(estimate(Scene().evidence(), "memory.peak"))

    assert found.n == 3
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low >= 2 * 4096


def test_memory_of_the_model_is_over_the_empty_runtime() -> None:
    """memory.model is the peak less what the runtime needs without a model."""
    peak, own = (_figure(estimate(Scene().evidence(), f"memory.{name}")).value for name in ("peak", "model"))

    assert peak - own == pytest.approx(20 * 2**20)


def test_worsening_is_the_ratio_of_pairs() -> None:
    """A baseline at 0.95 of the candidate's time: 5.3 % worse, by pairs on the same board."""
    found = _compared(worsening(Scene(baseline=0.95, noise=1e-4).evidence(), "latency.p50"))

    assert found.estimate.value == pytest.approx(1 / 0.95 - 1, abs=1e-3)
    assert found.source == "measured in this run"


def test_higher_is_better_turns_the_ratio() -> None:
    """Less throughput than the baseline is a positive worsening."""
    found = _compared(worsening(Scene(baseline=0.5, noise=1e-4).evidence(), "throughput"))

    assert found.estimate.value == pytest.approx(1.0, abs=0.01)


def test_pairs_that_lost_a_partner_decide_nothing() -> None:
    """Candidate and baseline are compared position by position or not at all."""
    evidence = Scene(baseline=1.0).evidence()
    sessions = tuple(item for item in evidence.cell.sessions if item.order != 0)
    evidence = replace(evidence, cell=replace(evidence.cell, sessions=sessions))

    assert "pairs broken" in _missing(worsening(evidence, "latency.p50")).reason


def test_arms_that_ran_differently_do_not_compare() -> None:
    """Other cores in the baseline's sessions make the comparison INCONCLUSIVE."""
    evidence = _edit(
        Scene(baseline=1.0).evidence(),
        lambda item: replace(item, cores=(0,)) if item.role is Role.BASELINE else item,
    )

    assert "cores (3,) against (0,)" in _missing(worsening(evidence, "latency.p50")).reason


def test_a_flag_on_one_partner_drops_the_pair() -> None:
    """Five clean pairs of six remain."""
    evidence = _flag(Scene(baseline=1.0).evidence(), {0}, "clock-step")

    assert _compared(worsening(evidence, "latency.p50")).estimate.n == 5


def test_without_a_baseline_there_is_no_comparison() -> None:
    """A time without a baseline file, and a count without file or record, are INCONCLUSIVE."""
    recorded = (RecordedFigure("latency.p50", 1.0, 1.0, 1.0, "x"),)

    assert "moves with the day" in _missing(worsening(Scene(recorded=recorded).evidence(), "latency.p50")).reason
    assert _missing(worsening(EXACT.evidence(), "work.instructions")).outcome is Outcome.INCONCLUSIVE


def test_a_committed_figure_serves_for_what_does_not_move() -> None:
    """Work against the record of a release."""
    recorded = (RecordedFigure("work.instructions", 990_000.0, 990_000.0, 990_000.0, "int8.json (run r7)"),)

    found = _compared(worsening(replace(EXACT, recorded=recorded).evidence(), "work.instructions"))

    assert found.estimate.value == pytest.approx(1 / 0.99 - 1)
    assert found.source == "int8.json (run r7)"


def test_accuracy_against_the_record_is_paired_with_its_answers() -> None:
    """A record that says which samples were right gives the interval that a baseline file gives."""
    right = np.arange(400) >= 4
    recorded = (RecordedFigure("accuracy.top1", 0.99, 0.97, 1.0, "x", pack_hits(right)),)

    found = _compared(worsening(Scene(recorded=recorded).evidence(), "accuracy.top1"))

    measured = _compared(worsening(Scene(baseline=1.0).evidence(), "accuracy.top1"))
    assert found.estimate == measured.estimate
    assert found.estimate.value == 0.0


def test_accuracy_against_a_record_without_answers_is_as_unsure_as_both() -> None:
    """Without pairs the ends of both intervals count, never the two figures as if they were exact."""
    recorded = (RecordedFigure("accuracy.top1", 0.99, 0.97, 1.0, "x"),)

    found = _compared(worsening(Scene(recorded=recorded).evidence(), "accuracy.top1"))

    assert found.estimate.value == 0.0
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert found.estimate.low < -0.01 < 0.01 < found.estimate.high


def test_accuracy_against_a_baseline_file_is_paired() -> None:
    """Both answered the same: no worsening, with the doubt that the samples leave."""
    found = _compared(worsening(Scene(baseline=1.0).evidence(), "accuracy.top1"))

    assert found.estimate.value == 0.0
    assert found.estimate.high is not None
    assert found.estimate.high > 0.005


def test_a_relative_limit_on_zero_has_no_meaning() -> None:
    """A perfect baseline cannot be worsened by a ratio."""
    recorded = (RecordedFigure("parity.max_abs", 0.0, 0.0, 0.0, "x"),)

    assert "no meaning" in _missing(worsening(Scene(wrong=9, recorded=recorded).evidence(), "parity.max_abs")).reason


def test_storage_compares_bytes() -> None:
    """Size is the planned file's, once a board has opened it."""
    assert _figure(estimate(Scene(size_bytes=61_000).evidence(), "storage.size")).value == 61_000
    assert isinstance(estimate(replace(Scene().evidence(), cell=replace(Scene().evidence().cell, sessions=())),
                               "storage.size"), Missing)  # fmt: skip


def test_temperature_is_the_highest_reading() -> None:
    """thermal.max comes from what the sessions saw; absurd readings are the board's fault."""
    evidence = _edit(
        Scene().evidence(), lambda item: replace(item, scalars={**item.scalars, "thermal_max_c": 50.0 + item.order})
    )
    absurd = _edit(evidence, lambda item: replace(item, scalars={**item.scalars, "thermal_max_c": 1e6}))

    assert _figure(estimate(evidence, "thermal.max")).value == 55.0
    assert _missing(estimate(absurd, "thermal.max")).outcome is Outcome.DEVICE


def test_an_unchanged_model_is_rarely_called_worse() -> None:
    """A gate of 5 % on a board with 3 % noise fails an unchanged model in at most 5 % of 300 runs."""
    wrong = 0
    for seed in range(300):
        scene = Scene(baseline=1.0, noise=0.03, repeat=30, samples=20, wrong=0, seed=seed)
        found = _compared(worsening(scene.evidence(), "latency.p50"))
        wrong += found.estimate.low is not None and found.estimate.low > 0.05

    assert wrong <= 15


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"family": "tflite"}, "runtime tflite, planned was onnxruntime"),
        ({"build": "onnxruntime==1.16.0"}, "build onnxruntime==1.16.0, planned"),
        ({"threads": 8}, "threads 8, planned was 1"),
        ({"provider": "CPU"}, "provider CPU, planned was Fast"),
    ],
)
def test_sessions_of_another_runtime_than_planned_are_no_evidence(change: dict[str, object], words: str) -> None:
    """Whatever a session says of runtime, build, threads or provider against the plan takes every figure away."""
    planned = replace(Scene().evidence().planned, provider="Fast")
    sound = {"provider": "Fast"}
    evidence = _edit(
        replace(Scene().evidence(), planned=planned),
        lambda item: replace(item, runtime=replace(item.runtime, **{**sound, **change})),  # type: ignore[arg-type]
    )

    for metric in ("latency.p50", "memory.peak", "accuracy.top1", "storage.size"):
        found = _missing(estimate(evidence, metric))
        assert (found.outcome, words in found.reason) == (Outcome.INFRA, True)


def test_sessions_of_one_arm_share_one_runtime() -> None:
    """A runtime that changed its version between two sessions is not one measurement."""
    evidence = _edit(
        Scene().evidence(), lambda item: replace(item, runtime=replace(item.runtime, version=f"1.{item.order // 4}"))
    )

    assert "3 different runtimes" in _missing(estimate(evidence, "latency.p50")).reason


def test_a_session_counts_once() -> None:
    """One session under six numbers, and six sessions under one number, are no six sessions."""
    sound = Scene().evidence()
    first = sound.cell.sessions[0]
    copied = _edit(sound, lambda item: replace(first, order=item.order) if item.kind is first.kind else item)
    numbered = _edit(sound, lambda item: replace(item, order=0))

    for evidence in (copied, numbered):
        assert "stands twice" in _missing(estimate(evidence, "latency.p50")).reason


def test_a_time_without_a_checked_answer_is_none() -> None:
    """A timed session without its answer, and a cell without an accuracy pass, may have timed anything."""
    sound = Scene().evidence()
    mute = replace(
        sound, arrays={key: found for key, found in sound.arrays.items() if not key.endswith("timed_output")}
    )
    sessions = tuple(item for item in sound.cell.sessions if item.kind is not SessionKind.ACCURACY)
    unchecked = replace(sound, cell=replace(sound.cell, sessions=sessions))

    assert "brought no answer of its timed calls" in _missing(estimate(mute, "latency.p50")).reason
    assert "no answer of an accuracy pass" in _missing(estimate(unchecked, "latency.p50")).reason


def test_accuracy_sessions_must_agree() -> None:
    """A first accuracy pass that is right does not outweigh a second that is not."""
    sound = Scene().evidence()
    accuracy = next(item for item in sound.cell.sessions if item.kind is SessionKind.ACCURACY)
    output = accuracy.arrays["output_0"]
    second = replace(accuracy, order=99, arrays={"output_0": replace(output, key="99/output_0")})
    arrays = {**sound.arrays, "99/output_0": np.roll(sound.arrays[output.key], 1, axis=1)}
    evidence = replace(sound, arrays=arrays, cell=replace(sound.cell, sessions=(*sound.cell.sessions, second)))

    assert "not the same in all 2 accuracy sessions" in _missing(estimate(evidence, "accuracy.top1")).reason


@pytest.mark.parametrize("reading", [None, float("nan"), 1e6])
def test_a_thermometer_that_fails_in_one_session_gives_no_highest_temperature(reading: float | None) -> None:
    """What the other sessions saw is no upper bound for the one that nobody watched."""
    shown = {"thermal_max_c": 50.0}
    odd = {} if reading is None else {"thermal_max_c": reading}
    evidence = _edit(
        Scene().evidence(), lambda item: replace(item, scalars={**item.scalars, **(odd if item.order == 2 else shown)})
    )

    assert _missing(estimate(evidence, "thermal.max")).outcome is Outcome.DEVICE
