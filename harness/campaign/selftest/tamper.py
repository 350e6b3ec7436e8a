"""Faults in what the controller wrote down of a cell: sessions that are not what was planned, or stand twice.

Part of the self-test of the gate. Acts on a finished record, before it is stored and judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.records.cell import ArrayRef, CellRecord, Role, SessionRecord

Change = Callable[[CellRecord], CellRecord]


def tamper(fault: str, record: CellRecord) -> CellRecord:
    """Return the record as the fault leaves it; a fault that acts elsewhere leaves it as it is."""
    change = TAMPERED.get(fault)
    return change(record) if change is not None else record


def _last(change: Callable[[SessionRecord], SessionRecord], role: Role = Role.CANDIDATE) -> Change:
    """Change the last session of an arm."""

    def changed(record: CellRecord) -> CellRecord:
        orders = [session.order for session in record.sessions if session.role is role]
        sessions = (
            change(session) if orders and session.order == max(orders) else session for session in record.sessions
        )
        return replace(record, sessions=tuple(sessions))

    return changed


def _doubled(record: CellRecord) -> CellRecord:
    return replace(record, sessions=record.sessions + record.sessions[-1:])


def _broken_pair(record: CellRecord) -> CellRecord:
    baselines = [session for session in record.sessions if session.role is Role.BASELINE]
    return replace(record, sessions=tuple(item for item in record.sessions if item not in baselines[-1:]))


def _unequal(name: str, candidate: float, baseline: float) -> Change:
    """Have every session of an arm tell a figure of the board's condition that the other arm does not."""

    def told(session: SessionRecord) -> SessionRecord:
        value = candidate if session.role is Role.CANDIDATE else baseline
        return replace(session, scalars={**session.scalars, name: value})

    return lambda record: replace(record, sessions=tuple(told(session) for session in record.sessions))


def _without_reference(record: CellRecord) -> CellRecord:
    kept: dict[str, ArrayRef] = {name: ref for name, ref in record.reference_arrays.items() if name == "labels"}
    return replace(record, reference_arrays=kept)


TAMPERED: dict[str, Change] = {
    "record-other-model": _last(lambda session: replace(session, model_sha256="0" * 64)),
    "record-other-runtime": _last(lambda session: replace(session, runtime=replace(session.runtime, family="other"))),
    "record-other-build": _last(lambda session: replace(session, runtime=replace(session.runtime, build="other==1"))),
    "record-other-threads": _last(lambda session: replace(session, runtime=replace(session.runtime, threads=64))),
    "record-mixed": _last(lambda session: replace(session, runtime=replace(session.runtime, version="0.0-other"))),
    "record-planted": _last(lambda session: replace(session, settings={**session.settings, "planted": "another"})),
    "record-unlike-pair": _last(lambda session: replace(session, cores=(63,)), Role.BASELINE),
    "record-doubled": _doubled,
    "record-broken-pair": _broken_pair,
    "record-control-moved": lambda record: _unequal("control_before_s", 2e-3, 1e-3)(
        _unequal("control_after_s", 2e-3, 1e-3)(record)
    ),
    "record-warm-arm": _unequal("temp_start_c", 60.0, 40.0),
    "record-lost": lambda record: replace(record, sessions=(), incidents=()),
    "record-no-reference": _without_reference,
}
"""Fault -> what it does to the record of a cell."""
