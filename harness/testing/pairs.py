"""A cell measured in pairs without a board: the schedule asks, a seeded scene answers, until every gate is decided.

Pairs are asked for by the same function that a campaign asks, so that what is judged here was stopped as a run stops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from harness.gate.schedule import Ask, next_pair, paired_limits
from harness.records.cell import CellRecord, Pairing, Role, SessionKind, SessionRecord, Stage
from harness.stats.evidence import AnyArray, Evidence
from harness.stats.figure import kind_on
from harness.testing.evidence import Scene, add_session


@dataclass(frozen=True, slots=True)
class Moment:
    """What a board is like while one session runs."""

    slower: float = 1.0
    """Factor on the times of the model."""
    control: float = 1.0
    """Factor on the time of the control work."""
    flags: tuple[str, ...] = ()
    temp_c: float | None = None


Weather = Callable[[Stage, int, Role], Moment]
"""What the board is like in a session of a stage, pair and arm."""


def calm(_stage: Stage, _pair: int, _role: Role) -> Moment:
    """Let nothing happen."""
    return Moment()


def measure_in_pairs(scene: Scene, weather: Weather = calm, *, most: int = 1000, family: int = 1) -> Evidence:
    """Measure a scene's cell.

    Args:
        scene: the cell; its sessions of memory and answers are there, timed ones are drawn when they are asked for.
        weather: what happens to the board.
        most: so many pairs in all, then something ends the cell.
        family: gates of the run that are decided in pairs.
    """
    drawn = scene.evidence()
    arrays = dict(drawn.arrays)
    rng = np.random.default_rng(scene.seed)
    paired = {kind_on(drawn.device, item.metric) for item in paired_limits(drawn.planned, drawn.device)}
    kept = tuple(item for item in drawn.cell.sessions if item.kind not in paired)
    cell = replace(drawn.cell, sessions=kept, pairing=Pairing("seed", "confirm", family))
    evidence = replace(drawn, cell=cell, arrays=arrays)
    for _ in range(most):
        ask = next_pair(evidence)
        if ask is None:
            break
        for role in ask.roles:
            cell = _session(scene, cell, ask, role, weather(ask.stage, ask.pair, role), rng, arrays)
        evidence = replace(evidence, cell=cell)
    return evidence


def _session(  # noqa: PLR0913, PLR0917  a scene, a place and a moment
    scene: Scene,
    cell: CellRecord,
    ask: Ask,
    role: Role,
    moment: Moment,
    rng: np.random.Generator,
    arrays: dict[str, AnyArray],
) -> CellRecord:
    order = 1 + max((item.order for item in cell.sessions), default=-1)
    slowed = replace(scene, latency_s=scene.latency_s * moment.slower)
    session = add_session(slowed, order, (role, ask.kind), rng, arrays)
    scalars = {**session.scalars, "control_before_s": 1e-3 * moment.control, "control_after_s": 1e-3 * moment.control}
    if moment.temp_c is not None:
        scalars["temp_start_c"] = moment.temp_c
    session = replace(session, stage=ask.stage, pair=ask.pair, scalars=scalars, flags=moment.flags)
    return replace(cell, sessions=(*cell.sessions, session))


def timed(evidence: Evidence, stage: Stage) -> tuple[SessionRecord, ...]:
    """Return the candidate's timed sessions of one stage."""
    found = (item for item in evidence.cell.sessions if item.stage is stage and item.role is Role.CANDIDATE)
    return tuple(item for item in found if item.kind is SessionKind.TIMING)
