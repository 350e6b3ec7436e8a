"""Were the timed calls real? Their answer to sample 0 must be the accuracy pass's answer to sample 0.

A runtime that is fast because it does something else must not win. Tolerance per output: 1e-3 of its largest
magnitude, at least 1e-5, and one step of a quantised output. A model exported for a fixed batch is timed on a batch of
copies of sample 0: each must be the answer.
"""

from __future__ import annotations

import numpy as np

from harness.records.cell import Role, SessionKind
from harness.stats.evidence import AnyArray, Evidence, valid_sessions
from harness.stats.rounding import output_step
from harness.stats.writing import rewritten

RELATIVE = 1e-3
ABSOLUTE = 1e-5


def timed_output_problem(evidence: Evidence, role: Role) -> str:
    """Say how a timed answer differs from the accuracy pass, or nothing.

    A baseline that is only timed has no accuracy pass to compare with; a candidate always has. A tool shows no answers.
    """
    if evidence.planned.workload.tool is not None:
        return ""
    if evidence.planned.workload.generation is not None:
        return rewritten(evidence, role)
    expected = _expected(evidence, role)
    sessions = valid_sessions(evidence, role, SessionKind.TIMING)
    if not isinstance(sessions, tuple) or (role is Role.BASELINE and not expected):
        return ""
    if not expected:
        return "no answer of an accuracy pass came back to check the timed ones against"
    batch = _batch(evidence, role)
    size = sum(first.size for first, _ in expected)
    for session in sessions:
        timed = evidence.array(session, "timed_output")
        if timed is None:
            return f"session {session.order} brought no answer of its timed calls to check"
        if timed.size not in {size, size * batch}:
            return f"timed outputs differ from the accuracy pass: {timed.size} values instead of {size}"
        copies = timed.size // size
        answers = np.concatenate([np.tile(first, copies) for first, _ in expected])
        allowed = np.repeat([step for _, step in expected], [first.size * copies for first, _ in expected])
        distance = np.abs(timed.astype(np.float64).ravel() - answers)
        if not (distance <= allowed).all():
            worst = float(np.nanmax(distance)) if not np.isnan(distance).all() else float("nan")
            return f"timed outputs differ from the accuracy pass by up to {worst:.3g} (session {session.order})"
    return ""


def _expected(evidence: Evidence, role: Role) -> list[tuple[AnyArray, float]]:
    """Return (answer to sample 0 flattened, tolerance) of each output."""
    sessions = evidence.sessions(role, SessionKind.ACCURACY)
    found: list[tuple[AnyArray, float]] = []
    while sessions:
        output = evidence.array(sessions[0], f"output_{len(found)}")
        if output is None or output.ndim == 0 or output.size == 0:
            break
        found.append((output[0].astype(np.float64).ravel(), _tolerance(output)))
    return found


def _batch(evidence: Evidence, role: Role) -> int:
    """Give the samples of one call of the accuracy pass, which a model with a fixed batch also takes when timed."""
    sessions = evidence.sessions(role, SessionKind.ACCURACY)
    told = sessions[0].scalars.get("batch_size", 1.0) if sessions else 1.0
    return int(told) if 1 <= told < 1e9 else 1


def _tolerance(output: AnyArray) -> float:
    magnitude = float(np.max(np.abs(output), initial=0.0, where=np.isfinite(output)))
    return max(ABSOLUTE, RELATIVE * magnitude, 1.01 * output_step(output))
