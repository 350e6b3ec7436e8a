"""Windows of a text of which some may be missing: pairing by their place, and bounds that fit how they were collected.

An evaluation in parts scores windows in a drawn order and ends when it is decided; the reference scored them all.
"""

from __future__ import annotations

import numpy as np

from harness.records.cell import Role, SessionKind
from harness.stats.evidence import AnyArray, Evidence
from harness.stats.interval import Interval, student_interval, wilson_interval
from harness.stats.quantile import FloatArray
from harness.stats.sequence import mean_sequence, rate_sequence


def is_in_parts(evidence: Evidence) -> bool:
    """Whether the evaluation went on until it was decided."""
    asked = evidence.planned.workload.generation
    return asked is not None and asked.in_parts


def window_index(evidence: Evidence, role: Role) -> AnyArray | None:
    """Return where the windows that an arm scored stand in the data; None: it scored all of them in their order."""
    sessions = evidence.sessions(role, SessionKind.ACCURACY)
    return evidence.array(sessions[0], "window_index") if sessions else None


def reference_windows(evidence: Evidence, name: str, role: Role) -> AnyArray | None:
    """Return the rows of an array of the reference that belong to the windows which an arm scored."""
    found, index = evidence.reference(name), window_index(evidence, role)
    if found is None or index is None:
        return found
    if index.ndim != 1 or (index.size and not (index.min() >= 0 and index.max() < len(found))):
        return found[:0]
    return found[index]


def common_windows(evidence: Evidence, ours: AnyArray, theirs: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Cut rows of candidate and baseline to the windows that both scored; they come in the same drawn order."""
    one, other = window_index(evidence, Role.CANDIDATE), window_index(evidence, Role.BASELINE)
    if one is None or other is None:
        return ours, theirs
    count = min(one.size, other.size)
    count = count if np.array_equal(one[:count], other[:count]) else 0
    return ours[:count], theirs[:count]


def mean_bounds(evidence: Evidence, means: FloatArray) -> tuple[Interval, str]:
    """Bound the mean over windows, and name the method."""
    if is_in_parts(evidence):
        return mean_sequence(means), f"t mixture over {len(means)} windows, valid at any time, 90 %"
    return student_interval(means), f"Student's t over {len(means)} windows, 90 %"


def share_bounds(evidence: Evidence, hits: AnyArray) -> tuple[Interval, str]:
    """Bound a share of tokens, (windows, tokens) of bool, and name the method.

    Windows that all agree bound nothing, tokens that hang together too much: the wider end counts.
    """
    means = hits.mean(axis=1).astype(np.float64)
    if is_in_parts(evidence):
        windows, tokens = mean_sequence(means), rate_sequence(int(hits.sum()), int(hits.size))
        method = f"wider of t mixture over {len(hits)} windows and beta mixture over {hits.size} tokens, at any time"
    else:
        windows, tokens = student_interval(means), wilson_interval(int(hits.sum()), int(hits.size))
        method = f"wider of Student's t over {len(hits)} windows and Wilson over {hits.size} tokens"
    low, high = max(0.0, min(windows.low, tokens.low)), min(1.0, max(windows.high, tokens.high))
    return Interval(low, high, tokens.coverage), method
