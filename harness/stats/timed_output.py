"""Were the timed calls real? Their answer to sample 0 must be the accuracy pass's answer to sample 0.

A runtime that is fast because it does something else must not win. Tolerance per output: 1e-3 of its largest
magnitude, at least 1e-5, and one step of a quantised output.
"""

from __future__ import annotations

import numpy as np

from harness.records.cell import Role, SessionKind
from harness.stats.evidence import AnyArray, Evidence, valid_sessions
from harness.stats.rounding import output_step

RELATIVE = 1e-3
ABSOLUTE = 1e-5


def timed_output_problem(evidence: Evidence, role: Role) -> str:
    """Say how a timed answer differs from the accuracy pass, or nothing.

    A baseline that is only timed has no accuracy pass to compare with; a candidate always has.
    """
    expected = _expected(evidence, role)
    sessions = valid_sessions(evidence, role, SessionKind.TIMING)
    if not isinstance(sessions, tuple) or (role is Role.BASELINE and not expected):
        return ""
    if not expected:
        return "no answer of an accuracy pass came back to check the timed ones against"
    answers, allowed = np.concatenate([item[0] for item in expected]), np.concatenate([item[1] for item in expected])
    for session in sessions:
        timed = evidence.array(session, "timed_output")
        if timed is None:
            return f"session {session.order} brought no answer of its timed calls to check"
        if timed.size != answers.size:
            return f"timed outputs differ from the accuracy pass: {timed.size} values instead of {answers.size}"
        distance = np.abs(timed.astype(np.float64).ravel() - answers)
        if not (distance <= allowed).all():
            worst = float(np.nanmax(distance)) if not np.isnan(distance).all() else float("nan")
            return f"timed outputs differ from the accuracy pass by up to {worst:.3g} (session {session.order})"
    return ""


def _expected(evidence: Evidence, role: Role) -> list[tuple[AnyArray, AnyArray]]:
    """Return (answer to sample 0, tolerance) of each output, flattened."""
    sessions = evidence.sessions(role, SessionKind.ACCURACY)
    found: list[tuple[AnyArray, AnyArray]] = []
    while sessions:
        output = evidence.array(sessions[0], f"output_{len(found)}")
        if output is None or output.ndim == 0 or output.size == 0:
            break
        first = output[0].astype(np.float64).ravel()
        found.append((first, np.full(first.size, _tolerance(output))))
    return found


def _tolerance(output: AnyArray) -> float:
    magnitude = float(np.max(np.abs(output), initial=0.0, where=np.isfinite(output)))
    return max(ABSOLUTE, RELATIVE * magnitude, 1.01 * output_step(output))
