"""Faults in what an external meter told, planted by the controller: there its readings meet the marks of the board.

A meter of the board's own has its faults planted on the board, by the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.agent.message import PlantRequest
from harness.agent.plant.result import RESULTS
from harness.device.envelope import SessionResult

if TYPE_CHECKING:
    from harness.farm.boards import SessionSeen

_ABSENT = "absent-sensor"


@dataclass(slots=True)
class _Figures:
    """What a session brought, to be changed."""

    scalars: dict[str, float]
    arrays: dict[str, Any]
    flags: list[str]


def spoil_external(seen: SessionSeen, plant: PlantRequest) -> SessionSeen:
    """Return an energy session as its fault leaves it; one that failed already is returned as it is."""
    if seen.reply.error is not None:
        return seen
    if plant.fault == _ABSENT:
        error: Mapping[str, Any] = {"code": "sensor", "message": "no power sensor: a planted fault"}
        return SessionResult(replace(seen.reply, error=dict(error)), {}, seen.seconds)
    spoil = RESULTS.get(plant.fault)
    if spoil is None:
        return seen
    figures = _Figures(dict(seen.reply.scalars), dict(seen.arrays), list(seen.reply.flags))
    spoil(figures, plant)
    return SessionResult(
        replace(seen.reply, scalars=figures.scalars, flags=figures.flags), figures.arrays, seen.seconds
    )
