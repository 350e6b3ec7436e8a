"""What is known of a board's noise before a cell is measured: its calibration, else what the farm states.

Owns which word counts. A calibration counts only for the board that was calibrated, and only while it holds.
"""

from __future__ import annotations

from harness.records.plan import CalibratedNoise, PlannedCell
from harness.spec.model import Device, Noise
from harness.stats.evidence import Evidence


def known_noise(evidence: Evidence, metric: str) -> Noise | None:
    """Return what was known of the noise of a metric in the cell and on the very board that was measured."""
    return noise_of(evidence.planned, evidence.device, metric, board=evidence.board)


def noise_of(planned: PlannedCell | None, device: Device, metric: str, *, board: str | None = None) -> Noise | None:
    """Return what is known of the noise of a metric in a cell.

    Args:
        planned: the cell with its calibration; None: of any cell on the device.
        device: the board, with the noise that farm and profile state.
        metric: a metric, or `control`.
        board: hash of the board's lasting facts; None: nobody has met it yet, so it is taken to be the same.
    """
    found = calibrated_noise(planned, metric, board=board) if planned is not None else None
    if found is not None and planned is not None and planned.calibration is not None:
        return Noise(metric, usual_noise(found), found.is_heavy, planned.calibration.source)
    return next((noise for noise in device.noise if noise.metric == metric), None)


def usual_noise(found: CalibratedNoise) -> float:
    """Return the noise that a gate reckons with: where sign flips decide, outliers are no part of it.

    One pair that was grossly disturbed would else raise the floor below which distances to the margin do not count.
    """
    return min(found.spread, found.sd) if found.is_heavy else found.sd


def calibrated_noise(planned: PlannedCell, metric: str, *, board: str | None = None) -> CalibratedNoise | None:
    """Return the calibration of a metric where it holds, as `noise_of`."""
    known = planned.calibration
    if known is None or known.stale or (board is not None and board != known.board):
        return None
    return next((noise for noise in known.noise if noise.metric == metric), None)
