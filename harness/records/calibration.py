"""What A/A sessions told of one artifact on one board: a small file that people review and gates rely on."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.cell import RuntimeRecord
from harness.records.plan import CalibratedNoise, FileIdentity

CALIBRATION_VERSION = 1
# 1: first version.


@dataclass(frozen=True, slots=True)
class Calibration:
    """The noise of one artifact's timed figures on one device, and under which conditions it was measured."""

    schema_version: int
    suite: str
    artifact: str
    device: str
    profile: str
    measured_at: str
    """ISO 8601, UTC."""
    board: str
    """Hash of the board's lasting facts (`records.fingerprint.board_fingerprint`)."""
    cpu: str
    kernel: str
    """Two of these facts, for readers."""
    model: FileIdentity
    """The file that ran as both arms. Other files of the same artifact are taken to scatter alike."""
    data: FileIdentity
    runtime: RuntimeRecord
    repeat: int
    """Timed calls per session."""
    workload: str
    """Hash of what else a session does (`records.fingerprint.workload_fingerprint`)."""
    void: int
    """Pairs that were measured and did not count."""
    noise: tuple[CalibratedNoise, ...]
    ratios: dict[str, tuple[float, ...]]
    """Metric -> log-ratio of each sound pair in order, from which everything above can be computed again."""
