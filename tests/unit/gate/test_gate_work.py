"""Verdicts on counted work: exact, in words that name the code path, and honest about another snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate import check_limit
from harness.records.outcome import Outcome
from harness.records.plan import RecordedFigure
from harness.records.verdict import Verdict
from harness.spec.model import Tier
from harness.testing.evidence import Scene, limit

EXACT = Scene(tier=Tier.DETERMINISTIC, device="a53", sessions=2, repeat=24, snapshot="5a")


def _against_file(baseline: float, allowed: float) -> Verdict:
    scene = replace(EXACT, baseline=baseline)
    return check_limit(scene.evidence(), limit("work.instructions", "regress", allowed, f"{allowed * 100:g} %"))


def _against_record(count: float, allowed: float, *, snapshot: str = "5b") -> Verdict:
    recorded = (RecordedFigure("work.instructions", count, count, count, "int8.json (run r7)", snapshot=snapshot),)
    evidence = replace(EXACT, recorded=recorded).evidence()
    return check_limit(evidence, limit("work.instructions", "regress", allowed, f"{allowed * 100:g} %"))


@pytest.mark.parametrize(
    ("baseline", "allowed", "outcome", "words"),
    [
        (1.0, 0.0, Outcome.PASS, "work.instructions is equal: the same code path (1,000,000 against 1,000,000; same"),
        (
            0.998,
            0.05,
            Outcome.PASS,
            "work.instructions: code path changed, within the limit: +0.2 % (1,000,000 against",
        ),
        (1.14, 0.05, Outcome.PASS, "work.instructions: code path changed, fewer instructions: -12.3 % (1,000,000 "),
        (0.8905, 0.05, Outcome.REGRESSION, "work.instructions: code path changed: +12.3 % (1,000,000 against 890,500"),
        (
            1 - 1e-6,
            0.0,
            Outcome.REGRESSION,
            "work.instructions: code path changed: +0.0001 % (1,000,000 against 999,999",
        ),
    ],
)
def test_counts_of_one_snapshot_are_compared_to_the_digit(
    baseline: float, allowed: float, outcome: Outcome, words: str
) -> None:
    """Equal, more within the limit, fewer, more than allowed, and one single instruction more than none."""
    verdict = _against_file(baseline, allowed)

    assert verdict.outcome is outcome
    assert verdict.reason.startswith(words)
    assert "same snapshot: equal to the last digit expected" in verdict.reason


@pytest.mark.parametrize(
    ("count", "allowed", "outcome", "words"),
    [
        (1e6, 0.01, Outcome.PASS, "is equal: the same code path"),
        (999_800.0, 0.01, Outcome.PASS, "is equal within 0.1 %: +0.02 %"),
        (999_800.0, 0.0005, Outcome.INCONCLUSIVE, "the limit 0.05 % lies inside [-0.08 %, +0.12 %]"),
        (1e6, 0.0005, Outcome.INCONCLUSIVE, "lies inside [-0.1 %, +0.1 %]"),
        (998_000.0, 0.0005, Outcome.REGRESSION, ": code path changed: +0.2 %"),
        (1_020_000.0, 0.01, Outcome.PASS, "fewer instructions: -1.96 %"),
    ],
)
def test_another_snapshot_leaves_a_tenth_of_a_percent_open(
    count: float, allowed: float, outcome: Outcome, words: str
) -> None:
    """A limit finer than what two machine states differ by is neither passed nor failed."""
    verdict = _against_record(count, allowed)

    assert verdict.outcome is outcome
    assert words in verdict.reason
    assert "another snapshot (or host): 0.1 %" in verdict.reason
    assert verdict.estimate is not None
    assert verdict.estimate.method == "counts compared; another snapshot (or host): 0.1 %"


def test_the_same_snapshot_is_recognised_in_a_record() -> None:
    """A committed count of this very snapshot decides limits that another could not, to a hundredth of a percent."""
    assert _against_record(999_800.0, 0.00005, snapshot="5a").outcome is Outcome.REGRESSION
    assert _against_record(1e6, 0.0, snapshot="5a").outcome is Outcome.PASS
    near = _against_record(999_990.0, 0.01, snapshot="5a")
    assert near.outcome is Outcome.PASS
    assert "is equal within 0.01 %: +0.001 %" in near.reason
    assert "same snapshot, other sessions before it: 0.01 %" in near.reason
