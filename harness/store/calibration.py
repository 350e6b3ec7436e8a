"""Calibrations: what A/A sessions told of a board, small files that people review.

    reports/calibration/<suite>/<artifact>.<device>.json

Owns whether a stored calibration still holds for a plan. Whether the board is still the same is known when it is met.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from pathlib import Path

from harness.errors import RecordError
from harness.records.calibration import CALIBRATION_VERSION, Calibration
from harness.records.canonical import from_json, to_json
from harness.records.fingerprint import workload_fingerprint
from harness.records.plan import CellCalibration, PlannedCell
from harness.spec.metric import METRICS
from harness.store.file import read_bounded, record_path, write_whole

MOST_CALIBRATION_BYTES = 2**22
VALID_DAYS = 30
"""After so many days a board's noise is not known any more: supplies age, dust settles, neighbours move in."""


def write_calibration(root: Path, calibration: Calibration) -> Path:
    """Write a calibration in place of an older one; return its path.

    Raises:
        RecordError: a name is no plain file name.
    """
    path = record_path(root, calibration.suite, calibration.artifact, calibration.device)
    write_whole(path, to_json(calibration))
    return path


def read_calibration(path: Path) -> Calibration:
    """Read one calibration.

    Raises:
        RecordError: it is none, or of another version, or holds a figure that cannot be.
    """
    found = from_json(Calibration, read_bounded(path, MOST_CALIBRATION_BYTES), source=str(path))
    if found.schema_version != CALIBRATION_VERSION:
        raise RecordError(f"{path}: calibration version {found.schema_version}, not {CALIBRATION_VERSION}")
    _day(found, path)
    for noise in found.noise:
        if noise.metric not in METRICS:
            raise RecordError(f"{path}: {noise.metric!r} is no metric")
        is_noise = all(math.isfinite(figure) and figure >= 0.0 for figure in (noise.sd, noise.spread))
        if not (is_noise and 0 <= noise.alarms <= noise.gates):
            raise RecordError(f"{path}: the noise of {noise.metric} cannot be")
    return found


def known_calibration(root: Path, cell: PlannedCell, today: date) -> CellCalibration | None:
    """Return what is known of a planned cell's noise, or None when it was never calibrated on its device.

    Args:
        root: `reports/calibration`.
        cell: the planned cell.
        today: the day of the run, UTC.

    Raises:
        RecordError: the file is there and is not a calibration of this suite, artifact and device.
    """
    path = record_path(root, cell.suite, cell.artifact, cell.device)
    if not path.exists():
        return None
    found = read_calibration(path)
    if (found.suite, found.artifact, found.device) != (cell.suite, cell.artifact, cell.device):
        raise RecordError(f"{path}: is the calibration of {found.suite}::{found.artifact}[{found.device}]")
    day = _day(found, path)
    source = f"{path.name} of {day}"
    return CellCalibration(source, found.board, found.noise, _stale(found, cell, (today - day).days))


def _stale(found: Calibration, cell: PlannedCell, days: int) -> str:
    """Say why a calibration does not hold for a plan; empty when it does."""
    if days > VALID_DAYS:
        return f"it is {days} days old, more than {VALID_DAYS}"
    runtime = found.runtime
    settings = [
        ("profile", found.profile, cell.profile),
        ("runtime", runtime.build, cell.build),
        ("threads", runtime.threads, cell.threads),
        ("provider", runtime.provider, cell.provider or runtime.provider),
        ("timed calls", found.repeat, cell.workload.repeat),
    ]
    for name, then, now in settings:
        if then != now:
            return f"it was measured with {name} {then}, not {now}"
    return "" if found.workload == workload_fingerprint(cell.workload) else "it was measured with another workload"


def _day(found: Calibration, path: Path) -> date:
    try:
        return datetime.fromisoformat(found.measured_at).date()
    except ValueError:
        raise RecordError(f"{path}: {found.measured_at!r} is no time") from None
