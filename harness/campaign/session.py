"""Which sessions a cell needs, and in which order: only what is asked of it, baseline and candidate alternating.

Owns the choice of sessions. The unit of evidence is the fresh process; how many of each kind is set here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.gate.schedule import Ask, paired_limits
from harness.records.cell import Pairing, Role, SessionKind, SessionRecord, Stage
from harness.records.plan import PlannedCell
from harness.spec.metric import METRICS
from harness.spec.model import MODELLED, Device, LimitKind, Tier
from harness.spec.workload import Split
from harness.stats.evidence import spoiling_flags
from harness.stats.figure import kind_on

TIMED_SESSIONS = {Tier.HARDWARE: 6, Tier.DETERMINISTIC: 2, Tier.FUNCTIONAL: 1, Tier.REPLAYED: 0}
MEMORY_SESSIONS = {Tier.HARDWARE: 3, Tier.DETERMINISTIC: 2, Tier.FUNCTIONAL: 2, Tier.REPLAYED: 0}
MEMORY_REPEAT = 20
"""Inferences of a memory session: the peak stands after a few, and none of them is timed."""
PAUSE_S, COOL_S = 2.0, 15.0
"""Before a spoilt pair is measured again: what spoilt it (other work, heat) may pass."""
_ORDER = (
    SessionKind.ACCURACY, SessionKind.MEMORY, SessionKind.TIMING, SessionKind.ENERGY, SessionKind.SUSTAINED
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a cell: its metrics, those that the baseline must have too, and whether the reference counts."""

    metrics: frozenset[str]
    paired: frozenset[str]
    reference: bool

    @property
    def conformance(self) -> bool:
        """Whether the artifact is to be computed on the controller too."""
        return any(metric.startswith("conformance.") for metric in self.metrics)


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """One fresh process: what it measures and which file it runs."""

    kind: SessionKind
    role: Role
    stage: Stage | None = None
    """Set where pairs are measured until every gate is decided."""
    pair: int = -1


def wanted_by_limits(cell: PlannedCell) -> Wanted:
    """Read from the limits of a cell what must be measured to judge them."""
    return Wanted(
        metrics=frozenset(limit.metric for limit in cell.limits),
        paired=frozenset(limit.metric for limit in cell.limits if limit.kind is LimitKind.REGRESS),
        reference=cell.workload.attribution == Split.ALWAYS
        or any(limit.kind is LimitKind.DROP or METRICS[limit.metric].against_reference for limit in cell.limits),
    )


def sessions_of(cell: PlannedCell, device: Device, wanted: Wanted) -> tuple[PlannedSession, ...]:
    """Order the sessions of a cell whose number is fixed beforehand; what scatters is measured in pairs after them.

    An accuracy session is always among them, but for a tool: it is the evidence that the artifact loads and runs on
    real data, and its outputs are what timed ones are checked against. Pairs of baseline and candidate stand side by
    side; which goes first is a coin whose seed is the cell's key and files, so that the order is fair, recorded, and
    the same again.
    """
    until_decided = {kind_on(device, limit.metric) for limit in paired_limits(cell, device)}
    base = _base(cell)
    asked = _kinds(wanted.metrics, device, base) - until_decided
    kinds = ({base} - until_decided) | asked - {SessionKind.SUSTAINED}
    if cell.workload.sustain is not None and cell.trial is None:  # no fault of a self-test lasts that long
        kinds.add(SessionKind.SUSTAINED)
    paired = _kinds(wanted.paired, device, base) if cell.baseline else set()
    coin = random.Random(f"{cell.key} {cell.model.sha256} {cell.data.sha256}")  # noqa: S311  fairness, not secrecy
    sessions: list[PlannedSession] = []
    for kind in _ORDER:
        for _ in range(count_of(kind, device) if kind in kinds else 0):
            roles = [Role.BASELINE, Role.CANDIDATE] if kind in paired else [Role.CANDIDATE]
            coin.shuffle(roles)
            sessions += [PlannedSession(kind, role) for role in roles]
    return tuple(sessions)


def order_pair(ask: Ask, pairing: Pairing) -> tuple[PlannedSession, ...]:
    """Order one pair by a coin of its own, drawn from the seed of its stage and the pair's number."""
    seed = pairing.seed if ask.stage is Stage.FIRST else pairing.confirm_seed
    roles = list(ask.roles)
    random.Random(f"{seed} {ask.kind.value} {ask.pair}").shuffle(roles)  # noqa: S311  fairness, not secrecy
    return tuple(PlannedSession(ask.kind, role, ask.stage, ask.pair) for role in roles)


def next_again(
    sessions: Sequence[SessionRecord], planned: Sequence[PlannedSession], device: Device
) -> tuple[PlannedSession, ...]:
    """Choose the pair to measure once more because flags spoil an earlier one; none when enough are sound.

    A board that stays unfit is given up after twice the planned pairs: then the gate says what was wrong with it.

    Args:
        sessions: what was measured so far, spoilt sessions included; they stay in the record.
        planned: what was asked in the first place.
        device: the board; an emulated one has neither heat nor neighbours.
    """
    if device.emulation is not None:
        return ()
    for kind in (SessionKind.TIMING, SessionKind.ENERGY):
        pair = _first_pair(planned, kind)
        arms = [[item for item in sessions if item.kind is kind and item.role is asked.role] for asked in pair]
        rounds = list(zip(*arms, strict=False))
        sound = sum(not any(spoiling_flags(item) for item in together) for together in rounds)
        wanted = sum(item.kind is kind and item.role is Role.CANDIDATE for item in planned)
        if rounds and sound < wanted and len(rounds) < 2 * wanted:
            return pair if len(rounds) % 2 else pair[::-1]
    return ()


def count_of(kind: SessionKind, device: Device) -> int:
    """Say how many sessions per arm this kind takes on this board."""
    if kind in {SessionKind.ACCURACY, SessionKind.SUSTAINED}:
        return 1
    if kind is SessionKind.MEMORY:
        return MEMORY_SESSIONS[device.tier]
    return device.sessions or TIMED_SESSIONS[device.tier]


def _first_pair(planned: Sequence[PlannedSession], kind: SessionKind) -> tuple[PlannedSession, ...]:
    roles = dict.fromkeys(item.role for item in planned if item.kind is kind)
    return tuple(PlannedSession(kind, role) for role in roles)


def counts_work(wanted: Wanted, device: Device) -> bool:
    """Tell whether a timed session must count instructions (reading the counter costs a little time)."""
    return any(metric.startswith("work.") or _is_modelled(metric, device) for metric in wanted.metrics)


def _base(cell: PlannedCell) -> SessionKind:
    """Name the kind of session that every cell has; a tool has no answers, its figures are all that it gives."""
    return SessionKind.ACCURACY if cell.workload.tool is None else SessionKind.TIMING


def _kinds(metrics: Iterable[str], device: Device, base: SessionKind) -> set[SessionKind]:
    kinds: set[SessionKind] = set()
    for metric in metrics:
        if _is_modelled(metric, device):
            kinds.add(SessionKind.TIMING)
        else:
            # The size of a file needs no figure of a session, only one that opened the file.
            kinds.add(SessionKind(METRICS[metric].needs or base))
    return kinds


def _is_modelled(metric: str, device: Device) -> bool:
    return METRICS[metric].modelled and device.power is not None and device.power.kind == MODELLED
