"""What an error means for a cell: the one place that turns exceptions and failed sessions into attributed outcomes."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

from harness.agent.message import SessionReply
from harness.errors import ArtifactError, DeviceError, FleetgateError, RunCancelled, SecurityError
from harness.records.cell import Incident, Role
from harness.records.outcome import Attribution, Outcome

SENSOR = "sensor"
"""Code of a missing power meter, which takes energy figures away and no others."""
UNUSABLE = "reference"
"""Code of the error that says: this reference does not run. It is the user's file; the controller is sound."""
NO_WHEEL = "wheel"
"""Code of the error that says: no build of this runtime fits the board. The board itself is sound."""
CONFORMANCE = "controller"
"""Code of a candidate that the controller could not compute, which takes conformance away and nothing else."""
NOT_THE_MODELS = {
    SENSOR: (Outcome.DEVICE, Attribution.DEVICE),
    "input": (Outcome.INCONCLUSIVE, Attribution.USER),
    "tool": (Outcome.DEVICE, Attribution.DEVICE),
    "killed": (Outcome.INCONCLUSIVE, Attribution.UNKNOWN),
    "integrity": (Outcome.INFRA, Attribution.INFRA),
}
"""Codes of a failed session that say nothing of the model: a missing meter or tool, data that does not fit, damaged
files, a kill that came from outside (reliability: SIGKILL without a counted lack of memory is nobody's verdict)."""


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
    return Incident(Outcome.INFRA, Attribution.INFRA, "harness", f"{type(error).__name__}: {error}{_place(error)}")


def session_incident(role: Role, reply: SessionReply) -> Incident:
    """Blame a failure that a second fresh process confirmed.

    A candidate that fails twice has failed; another model that does takes the comparison away and nothing else.
    """
    code = _code(reply)
    message = _words(role, reply, "twice")
    if code in NOT_THE_MODELS:
        return Incident(*NOT_THE_MODELS[code], code, message, Role.CANDIDATE if code == SENSOR else role)
    if role is not Role.CANDIDATE:
        return Incident(Outcome.INCONCLUSIVE, Attribution.UNKNOWN, role.value, message, role)
    return Incident(Outcome.FAIL, Attribution.MODEL, code, message, role)


def flaky_incident(role: Role, reply: SessionReply) -> Incident:
    """Say that a session failed and the same session then worked: neither a pass nor a failure."""
    return Incident(Outcome.INCONCLUSIVE, Attribution.UNKNOWN, "flaky", _words(role, reply, "once of two times"), role)


def flaky_runtime_incident(error: ArtifactError) -> Incident:
    """Say that a runtime could not be loaded and then could: neither a pass nor a failure."""
    return Incident(Outcome.INCONCLUSIVE, Attribution.UNKNOWN, "flaky", f"failed once of two times: {error}")


def controller_incident(code: str, error: FleetgateError) -> Incident:
    """Say that there is nothing to compare with.

    Args:
        code: what the controller was to compute: `reference`, or `controller` for the candidate itself.
        error: why it could not.
    """
    what = "candidate" if code == CONFORMANCE else "reference"
    message = f"the {what} could not be computed on the controller: {error}"
    if error.code == UNUSABLE:
        blame = Attribution.UNKNOWN if code == CONFORMANCE else Attribution.USER
        return Incident(Outcome.INCONCLUSIVE, blame, code, message)
    return Incident(Outcome.INFRA, Attribution.INFRA, code, message)


def board_reference_incident(error: FleetgateError) -> Incident:
    """Say why the reference did not run on the board; a runtime that the board cannot load is no fault of a model."""
    incident = replace(incident_of(error), role=Role.REFERENCE)
    if isinstance(error, ArtifactError):
        return replace(incident, outcome=Outcome.INCONCLUSIVE, attribution=Attribution.UNKNOWN)
    return incident


def _place(error: BaseException) -> str:
    """Say where an unexpected error was raised: it is a bug of this harness, and its traceback ends here."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _code(reply: SessionReply) -> str:
    return (reply.error or {}).get("code", "crash")


def _words(role: Role, reply: SessionReply, times: str) -> str:
    message = (reply.error or {}).get("message", "no message")
    said = f"the {role.value} failed {times}: {_code(reply)}: {message}"
    log = reply.log.strip()
    return f"{said}\n{log}" if log and log not in message else said
