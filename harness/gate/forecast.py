"""What the timed gates of a board will take and can see, from its noise alone: said before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.gate.schedule import paired_limits
from harness.records.plan import Plan, PlannedCell
from harness.spec.model import Device, Limit, LimitKind
from harness.stats.figure import QUANTILES
from harness.stats.noise import calibrated_noise, noise_of
from harness.stats.outlook import ASSUMED_NOISE, Outlook, outlook
from harness.stats.trial import LOOKS

CLEAR_SESSIONS = 7
"""Sessions after which an e-process knows that a quantile clearly keeps its limit."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The timed gates of one board, if nothing has changed."""

    device: str
    cells: int
    pairs: float
    """Expected in all cells together."""
    seconds: float | None
    """Device time of them; None: a cell was never measured here, so that nobody knows."""
    undecided: float
    """Chance that at least one gate that compares stays INCONCLUSIVE at the most pairs."""
    margin: float
    """The tightest one, and …"""
    detectable: float
    """… the smallest worsening that is found beside it in nine of ten runs; both 0 where nothing is compared."""
    assumed: bool
    """Whether the noise of a gate is not known, so that ASSUMED_NOISE stands for it."""


def forecast(plan: Plan, costs_s: Mapping[str, float]) -> tuple[Forecast, ...]:
    """Foresee every board that has timed gates.

    Args:
        plan: the matrix of cells.
        costs_s: seconds of one pair by cell key, from an earlier run.
    """
    found = []
    for device in plan.devices:
        cells = [cell for cell in plan.cells if cell.device == device.name and not cell.skip_reason]
        paired = [cell for cell in cells if paired_limits(cell, device)]
        if paired:
            found.append(_board(device, paired, costs_s))
    return tuple(found)


def _board(device: Device, cells: Sequence[PlannedCell], costs_s: Mapping[str, float]) -> Forecast:
    pairs = {cell.key: max(_pairs(cell, device, limit) for limit in paired_limits(cell, device)) for cell in cells}
    compared = [
        (cell, limit) for cell in cells for limit in paired_limits(cell, device) if limit.kind is LimitKind.REGRESS
    ]
    views = [_outlook(cell, device, limit) for cell, limit in compared]
    tightest = min(compared, key=lambda item: item[1].value, default=None)
    is_known = all(cell.key in costs_s for cell in cells)
    return Forecast(
        device.name,
        len(cells),
        sum(pairs.values()),
        sum(number * costs_s[key] for key, number in pairs.items()) if is_known else None,
        1.0 - math.prod(1.0 - view.undecided for view in views),
        tightest[1].value if tightest else 0.0,
        _outlook(tightest[0], device, tightest[1]).detectable if tightest else 0.0,
        any(noise_of(cell, device, limit.metric) is None for cell, limit in compared),
    )


def _pairs(cell: PlannedCell, device: Device, limit: Limit) -> float:
    if limit.kind is LimitKind.REGRESS:
        return _outlook(cell, device, limit).pairs
    return float(CLEAR_SESSIONS if limit.metric in QUANTILES else LOOKS[0])


def _outlook(cell: PlannedCell, device: Device, limit: Limit) -> Outlook:
    measured = calibrated_noise(cell, limit.metric)
    if measured is not None and measured.margin == limit.value:
        seen = math.inf if measured.detectable is None else measured.detectable
        return Outlook(measured.expected_pairs, measured.undecided_chance, seen)
    known = noise_of(cell, device, limit.metric)
    # What is left of a creep budget may be less than nothing: then only a candidate that wins something back passes.
    return outlook(ASSUMED_NOISE if known is None else known.sd, max(limit.value, 0.0))
