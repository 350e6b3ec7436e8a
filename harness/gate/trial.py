"""One limit that is decided in pairs: a first answer, and for a failure a confirmation on fresh pairs.

The same pure function tells the campaign when to stop and gives the verdict afterwards, so that a stored run is judged
as it was stopped. Measures nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from harness.records.cell import Pairing, Stage
from harness.spec.model import Limit, LimitKind
from harness.stats import Evidence, Missing
from harness.stats.figure import QUANTILES, session_kind
from harness.stats.group_t import group_t
from harness.stats.noise import known_noise
from harness.stats.observation import Observed, floor_of, observe
from harness.stats.over_limit import over_limit
from harness.stats.pair import is_spent, rounds
from harness.stats.sign_flip import sign_flip
from harness.stats.trial import ALPHA, CAP, CONFIRM_ALPHA, Answer, Test, Trial

LARGE_FAMILY = int(1 / CONFIRM_ALPHA)
"""So many gates of a run may be confirmed at CONFIRM_ALPHA each: a wrong failure has 5 % * 1 % per gate."""


class Status(StrEnum):
    """How far a gate is."""

    OPEN = "open"
    """More first pairs may decide it."""
    PROVISIONAL = "provisional"
    """A failure was shown; fresh pairs may confirm it."""
    PASSED = "passed"
    FAILED = "failed"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "undecided"
    """The most pairs, or the most void ones, were measured."""


@dataclass(frozen=True, slots=True)
class Stint:
    """One stage of a gate: what was observed and what its test says."""

    stage: Stage
    observed: Observed
    trial: Trial
    is_exhausted: bool
    """No more is measured in this stage, decided or not."""


@dataclass(frozen=True, slots=True)
class GateTrial:
    """How one limit stands."""

    status: Status
    test: Test
    floor: float
    first: Stint
    confirm: Stint | None = None

    @property
    def deciding(self) -> Stint:
        """The stage whose observations the verdict shows: fresh ones are free of having been chosen."""
        has_fresh = self.confirm is not None and self.confirm.trial.looks
        return self.confirm if has_fresh and self.confirm is not None else self.first


def try_limit(evidence: Evidence, limit: Limit) -> GateTrial | Missing:
    """Say how a limit stands on the pairs so far.

    Returns:
        The trial, or why this limit can never be decided here.
    """
    test = test_of(evidence, limit)
    floor = floor_of(evidence, limit.metric, relative=limit.kind is LimitKind.REGRESS)
    first = _stint(evidence, limit, Stage.FIRST, test, floor)
    if isinstance(first, Missing):
        return first
    if first.trial.answer is Answer.WITHIN:
        return GateTrial(Status.PASSED, test, floor, first)
    if first.trial.answer is Answer.OPEN:
        return GateTrial(Status.UNDECIDED if first.is_exhausted else Status.OPEN, test, floor, first)
    confirm = _stint(evidence, limit, Stage.CONFIRM, test, floor)
    if isinstance(confirm, Missing):
        return confirm
    return GateTrial(_confirmed(confirm), test, floor, first, confirm)


def test_of(evidence: Evidence, limit: Limit) -> Test:
    """Choose the test from the kind of limit and from what was known of the board before it was measured."""
    if limit.kind is not LimitKind.REGRESS:
        return Test.E_PROCESS if limit.metric in QUANTILES else Test.GS_T
    known = known_noise(evidence, limit.metric)
    return Test.FLIP if known is not None and known.is_heavy else Test.GS_T


def confirm_alpha(pairing: Pairing | None) -> float:
    """Return the error at which a failure is confirmed: in a large family so little that Holm's first step is met."""
    family = pairing.family if pairing else 1
    return CONFIRM_ALPHA if family <= LARGE_FAMILY else 1.0 / family


def _confirmed(confirm: Stint) -> Status:
    if confirm.trial.answer is Answer.BEYOND:
        return Status.FAILED
    if confirm.trial.answer is Answer.WITHIN or confirm.is_exhausted:
        return Status.NOT_REPRODUCED
    return Status.PROVISIONAL


def _stint(evidence: Evidence, limit: Limit, stage: Stage, test: Test, floor: float) -> Stint | Missing:
    relative = limit.kind is LimitKind.REGRESS
    observed = observe(evidence, limit.metric, stage, relative=relative)
    if isinstance(observed, Missing):
        return observed
    alpha = ALPHA if stage is Stage.FIRST else confirm_alpha(evidence.cell.pairing)
    trial = _test(observed, limit, test, alpha, floor)
    seen = rounds(evidence, session_kind(evidence, limit.metric), stage, compared=relative)
    return Stint(stage, observed, trial, len(observed.candidate) >= CAP or is_spent(seen))


def _test(observed: Observed, limit: Limit, test: Test, alpha: float, floor: float) -> Trial:
    if test is Test.E_PROCESS:
        return over_limit(observed.calls, QUANTILES[limit.metric], limit.value, alpha=alpha)
    if limit.kind is LimitKind.REGRESS:
        values, margin = observed.worsening(limit.metric), math.log1p(limit.value)
    else:
        sign = sign_of(limit)
        values = tuple(sign * math.log(figure) for figure in observed.candidate)
        margin = sign * math.log(limit.value) if limit.value > 0 else -sign * math.inf
    return (sign_flip if test is Test.FLIP else group_t)(values, margin, alpha=alpha, floor=floor)


def sign_of(limit: Limit) -> float:
    """Return -1 where more is better, so that larger always means worse."""
    return -1.0 if limit.kind is LimitKind.MIN else 1.0
