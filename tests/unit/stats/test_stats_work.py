"""Counts of deterministic boards: they repeat or are refused, and are compared without statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from harness.records.cell import Role
from harness.records.outcome import Attribution, Outcome
from harness.records.plan import RecordedFigure
from harness.records.verdict import Estimate
from harness.spec.model import MeterSpec, Tier
from harness.stats import Comparison, Evidence, Missing, estimate, worsening
from harness.stats.evidence import AnyArray
from harness.stats.work import BEFORE, OTHER, RUNS_ONCE, SAME
from harness.testing.evidence import Scene

EXACT = Scene(tier=Tier.DETERMINISTIC, device="a53", sessions=2, repeat=24, snapshot="5a")


def _figure(found: Estimate | Missing) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def _compared(found: Comparison | Missing) -> Comparison:
    assert isinstance(found, Comparison), found
    return found


def _missing(found: object) -> Missing:
    assert isinstance(found, Missing), found
    return found


def _with_counts(evidence: Evidence, counts: Mapping[int, AnyArray]) -> Evidence:
    arrays = {f"{order}/instructions": np.asarray(array, dtype=np.int64) for order, array in counts.items()}
    return replace(evidence, arrays={**evidence.arrays, **arrays})


def _with_scalar(evidence: Evidence, name: str, values: Mapping[int, float]) -> Evidence:
    sessions = tuple(
        replace(item, scalars={**item.scalars, name: values[item.order]}) if item.order in values else item
        for item in evidence.cell.sessions
    )
    return replace(evidence, cell=replace(evidence.cell, sessions=sessions))


def test_a_count_that_comes_back_is_a_point() -> None:
    """Two sessions that count the same have no interval."""
    found = _figure(estimate(EXACT.evidence(), "work.instructions"))

    assert found.low == found.high == found.value == 1_000_000


def test_a_count_that_does_not_come_back_is_a_broken_board() -> None:
    """36 instructions in 775,265 are no noise: INFRA, never the model's, with both counts."""
    counts = {0: np.full(24, 775_265), 1: np.full(24, 775_301)}

    found = _missing(estimate(_with_counts(EXACT.evidence(), counts), "work.instructions"))

    assert (found.outcome, found.attribution) == (Outcome.INFRA, Attribution.INFRA)
    assert "the board did not repeat its count: 775,265 and 775,301" in found.reason


def test_disturbed_repeats_do_not_hide_the_count() -> None:
    """What an interrupt adds to single repeats, in the middle of the order too, leaves the figure as it is."""
    work = 775_000 + 7 * np.arange(24)
    first, second = work.copy(), work.copy()
    first[11] += 4
    second[3] += 9

    quiet = _figure(estimate(_with_counts(EXACT.evidence(), {0: work, 1: work}), "work.instructions"))
    found = _figure(estimate(_with_counts(EXACT.evidence(), {0: first, 1: second}), "work.instructions"))

    assert found == quiet
    assert found.value == work[11]


def test_half_of_the_repeats_is_not_enough() -> None:
    """A count of which only every second repeat comes back is none, though the medians agree."""
    first, second = np.full(24, 1000), np.full(24, 1000)
    second[::2] += np.arange(1, 13)

    reason = _missing(estimate(_with_counts(EXACT.evidence(), {0: first, 1: second}), "work.instructions")).reason

    assert "12 of 24 repeats came back" in reason


def test_sessions_with_other_numbers_of_counts_are_implausible() -> None:
    """A session that brought fewer counts than the other cannot be compared with it."""
    counts = {0: np.full(24, 1000), 1: np.full(25, 1000)}

    assert "24 and 25" in _missing(estimate(_with_counts(EXACT.evidence(), counts), "work.instructions")).reason


def test_one_session_cannot_show_that_work_repeats() -> None:
    """A count that was taken once decides nothing."""
    found = _missing(estimate(replace(EXACT, sessions=1).evidence(), "work.instructions"))

    assert found.outcome is Outcome.INCONCLUSIVE
    assert "at least 2" in found.reason


@pytest.mark.parametrize(
    ("metric", "scalar"), [("work.load", "load_instructions"), ("work.first", "first_instructions")]
)
def test_what_runs_once_keeps_a_tolerance(metric: str, scalar: str) -> None:
    """The least of the sessions counts, ±0.1 %; sessions that differ by more are a broken board."""
    near = _with_scalar(EXACT.evidence(), scalar, {0: 21_893_622.0, 1: 21_893_619.0})
    far = _with_scalar(EXACT.evidence(), scalar, {0: 21_893_622.0, 1: 21_993_619.0})

    found = _figure(estimate(near, metric))

    assert found.value == 21_893_619
    assert found.low == pytest.approx(21_871_725.4)
    assert found.high == pytest.approx(21_915_512.6)
    assert _missing(estimate(far, metric)).outcome is Outcome.INFRA


def test_a_board_without_counter_counts_nothing_once_either() -> None:
    """No scalar: the board's fault, with the reason that the agent gave."""
    evidence = EXACT.evidence()
    sessions = tuple(replace(item, scalars={}, flags=("no-counter:EACCES",)) for item in evidence.cell.sessions)
    evidence = replace(evidence, cell=replace(evidence.cell, sessions=sessions))

    found = _missing(estimate(evidence, "work.load"))

    assert found.outcome is Outcome.DEVICE
    assert "EACCES" in found.reason


def test_energy_modelled_from_a_count_that_does_not_come_back_is_none() -> None:
    """What is computed from a count is lost with it."""
    scene = replace(EXACT, power=MeterSpec("modelled", idle_w=1.0, joule_per_instruction=1e-10))
    evidence = scene.evidence()

    assert _figure(estimate(evidence, "energy.per_inference")).label == "modelled"
    broken = _with_counts(evidence, {1: np.full(24, 1_000_001)})
    assert _missing(estimate(broken, "energy.per_inference")).outcome is Outcome.INFRA


def test_a_baseline_file_is_counted_in_the_same_state() -> None:
    """The smallest difference is one, and no difference is none: no interval."""
    equal = _compared(worsening(replace(EXACT, baseline=1.0).evidence(), "work.instructions"))
    more = _compared(worsening(replace(EXACT, baseline=1.0 - 1e-6).evidence(), "work.instructions"))

    assert equal.basis == more.basis == SAME
    assert (equal.estimate.low, equal.estimate.value, equal.estimate.high) == (0.0, 0.0, 0.0)
    assert more.estimate.low == more.estimate.value == more.estimate.high == pytest.approx(1e-6, rel=1e-3)


def test_a_baseline_that_does_not_repeat_is_a_broken_board() -> None:
    """The comparison is lost to the farm, not merely without a baseline."""
    evidence = replace(EXACT, baseline=1.0).evidence()
    first = next(item for item in evidence.sessions(Role.BASELINE, evidence.cell.sessions[0].kind))

    found = _missing(worsening(_with_counts(evidence, {first.order: np.full(24, 999_999)}), "work.instructions"))

    assert found.outcome is Outcome.INFRA
    assert found.reason.startswith("baseline: the board did not repeat its count")


@pytest.mark.parametrize(("snapshot", "basis", "half"), [("5a", BEFORE, 1e-4), ("5b", OTHER, 1e-3), ("", OTHER, 1e-3)])
def test_a_committed_count_is_close_in_its_own_snapshot_only(snapshot: str, basis: str, half: float) -> None:
    """Another machine state, or one that nobody noted, widens the change by 0.1 % to both sides; the same by 0.01 %."""
    recorded = (RecordedFigure("work.instructions", 998_000.0, 998_000.0, 998_000.0, "x", snapshot=snapshot),)

    found = _compared(worsening(replace(EXACT, recorded=recorded).evidence(), "work.instructions"))

    change = 1_000_000 / 998_000 - 1
    assert found.basis == basis
    assert found.estimate.low == pytest.approx(change - half)
    assert found.estimate.high == pytest.approx(change + half)


def test_what_runs_once_is_never_compared_to_the_digit() -> None:
    """Loading against a baseline file keeps its 0.1 %."""
    found = _compared(worsening(replace(EXACT, baseline=1.0).evidence(), "work.load"))

    assert found.basis == RUNS_ONCE
    assert (found.estimate.low, found.estimate.high) == (-1e-3, 1e-3)


def test_two_boards_without_an_id_are_not_the_same() -> None:
    """An unknown snapshot equals no other, not even another unknown one."""
    recorded = (RecordedFigure("work.instructions", 1e6, 1e6, 1e6, "x"),)

    found = _compared(worsening(replace(EXACT, snapshot="", recorded=recorded).evidence(), "work.instructions"))

    assert found.basis == OTHER


def test_hardware_counts_keep_their_statistics() -> None:
    """Counts of a physical board scatter: order statistics over sessions, as for its times."""
    found = _figure(estimate(Scene(sessions=6).evidence(), "work.load"))

    assert found.method.startswith("order statistics")
