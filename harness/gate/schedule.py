"""Which pair to measure next in a cell, or that every gate is decided: a pure function of the evidence so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.gate.trial import GateTrial, Status, try_limit
from harness.records.cell import Role, SessionKind, Stage
from harness.records.plan import PlannedCell
from harness.spec.model import Device, Limit, LimitKind
from harness.stats import Evidence
from harness.stats.figure import KINDS, kind_on
from harness.stats.pair import MOST_VOID, PAIRED_KINDS, in_pairs, is_spent, rounds
from harness.stats.trial import CAP

FIXED = 6
"""Sessions of a figure that is not decided in pairs and still scatters: a count against a committed record."""
AT_REST = 3
"""Sessions under load that a temperature needs."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The next pair: its kind, stage and number, and the arms that undecided gates need."""

    kind: SessionKind
    stage: Stage
    pair: int
    roles: tuple[Role, ...]


def next_pair(evidence: Evidence) -> Ask | None:
    """Choose the next pair of a cell that is measured in pairs; None when nothing more can be decided."""
    for kind in PAIRED_KINDS:
        ask = _first(evidence, kind) or _confirm(evidence, kind)
        if ask:
            return ask
    return None


def paired_limits(planned: PlannedCell, device: Device) -> tuple[Limit, ...]:
    """Return the limits of a cell that are decided in pairs."""
    return tuple(limit for limit in planned.limits if is_paired(planned, device, limit))


def is_paired(planned: PlannedCell, device: Device, limit: Limit) -> bool:
    """Tell whether a limit is decided in pairs; one that is compared with a committed record is not."""
    is_recorded = limit.kind is LimitKind.REGRESS and planned.baseline is None
    return in_pairs(limit.metric, device) and not is_recorded


def most_pairs(planned: PlannedCell, device: Device) -> int:
    """Return how many pairs a cell may take at most: two stages of each kind, sound and void ones."""
    kinds = {kind_on(device, limit.metric) for limit in paired_limits(planned, device)}
    return len(kinds) * len(Stage) * (CAP + MOST_VOID)


def _first(evidence: Evidence, kind: SessionKind) -> Ask | None:
    limits = _limits(evidence, kind)
    if not limits:
        return None
    wanting = _with_status(evidence, limits, Status.OPEN)
    seen = rounds(evidence, kind, Stage.FIRST, compared=any(limit.kind is LimitKind.REGRESS for limit in limits))
    if not wanting and (is_spent(seen) or sum(not item.void for item in seen) >= _least(evidence, kind)):
        return None
    return Ask(kind, Stage.FIRST, len(seen), _roles(wanting or limits[:1]))


def _confirm(evidence: Evidence, kind: SessionKind) -> Ask | None:
    limits = _limits(evidence, kind)
    wanting = _with_status(evidence, limits, Status.PROVISIONAL)
    if not wanting:
        return None
    seen = rounds(evidence, kind, Stage.CONFIRM, compared=True)
    return Ask(kind, Stage.CONFIRM, len(seen), _roles(wanting))


def _limits(evidence: Evidence, kind: SessionKind) -> list[Limit]:
    limits = paired_limits(evidence.planned, evidence.device)
    return [limit for limit in limits if kind_on(evidence.device, limit.metric) is kind]


def _with_status(evidence: Evidence, limits: Iterable[Limit], status: Status) -> list[Limit]:
    trials = ((limit, try_limit(evidence, limit)) for limit in limits)
    return [limit for limit, trial in trials if isinstance(trial, GateTrial) and trial.status is status]


def _roles(limits: Iterable[Limit]) -> tuple[Role, ...]:
    compares = any(limit.kind is LimitKind.REGRESS for limit in limits)
    return (Role.BASELINE, Role.CANDIDATE) if compares else (Role.CANDIDATE,)


def _least(evidence: Evidence, kind: SessionKind) -> int:
    """Return how many sessions the figures need that are not decided in pairs but come of the same sessions."""
    least = 1
    paired = _limits(evidence, kind)
    for limit in evidence.planned.limits:
        if limit.metric == "thermal.max" and kind is SessionKind.TIMING:
            least = max(least, AT_REST)
        elif limit.metric in KINDS and kind_on(evidence.device, limit.metric) is kind and limit not in paired:
            least = max(least, FIXED)
    return min(least, CAP)
