"""What a timed pair of each cell cost in the newest run: for the forecast of the next one."""

from __future__ import annotations

from pathlib import Path

from harness.errors import RecordError
from harness.records.cell import CellRecord, Role
from harness.store.read import load_run


def pair_costs(runs: Path) -> dict[str, float]:
    """Return the mean seconds of one pair by cell key, from the newest run of a folder.

    Args:
        runs: folder of run records.

    Returns:
        Nothing for cells that were not measured in pairs, or when there is no newest run that can be read: a forecast
        is no reason to refuse a run.
    """
    newest = runs / "latest"
    if not newest.exists():
        return {}
    try:
        record = load_run(newest).record
    except RecordError:
        return {}
    costs = ((cell.key, _cost(cell)) for cell in record.cells)
    return {key: cost for key, cost in costs if cost > 0.0}


def _cost(cell: CellRecord) -> float:
    total = 0.0
    for role in Role:
        times = [session.device_s for session in cell.sessions if session.stage is not None and session.role is role]
        total += sum(times) / len(times) if times else 0.0
    return total
