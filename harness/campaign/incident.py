"""What an error means for a cell: the one place that turns exceptions into outcomes with an attribution."""

from __future__ import annotations

from harness.errors import ArtifactError, DeviceError, FleetgateError, RunCancelled, SecurityError
from harness.records.cell import Incident
from harness.records.outcome import Attribution, Outcome


def incident_of(error: BaseException) -> Incident:
    """Classify an error that left a cell without (full) evidence.

    Whatever is not known to be the board's, an attacker's or the user's is the farm's: never a verdict on a model.
    """
    if isinstance(error, SecurityError):
        return Incident(Outcome.SECURITY, Attribution.ATTACKER, error.code, str(error))
    if isinstance(error, DeviceError):
        return Incident(Outcome.DEVICE, Attribution.DEVICE, error.code, str(error))
    if isinstance(error, RunCancelled):
        return Incident(Outcome.CANCELLED, Attribution.USER, error.code, str(error))
    if isinstance(error, ArtifactError):
        return Incident(Outcome.FAIL, Attribution.MODEL, error.code, str(error))
    if isinstance(error, FleetgateError):
        return Incident(Outcome.INFRA, Attribution.INFRA, error.code, str(error))
    return Incident(Outcome.INFRA, Attribution.INFRA, "harness", f"{type(error).__name__}: {error}")
