"""Where a change of work went, for one cell: its evidence joined, and the line that names the operators.

Informs and never decides: a verdict is the same with a profile, without one, and with a damaged one.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import RecordError
from harness.records.canonical import from_json
from harness.records.cell import Role, SessionKind
from harness.records.graph import Graph
from harness.records.profile import Profile, parse_profile, read_text
from harness.spec.model import LimitKind
from harness.stats import Evidence, Missing, estimate
from harness.stats.graph import GraphDifference, compare_graphs
from harness.stats.operator import Attribution, Change, Status, attribute, group_alike
from harness.units import Dimension, format

WORK = "work.instructions"
RECORDED = "recorded/profile"
"""Name of the document that holds the profile of a committed baseline."""
GRAPH = "graph/"
"""Before the role: names of the documents that say what the files hold."""
NAMED = 3
"""Operators that the line names; the table of the report has all."""
SMALLEST_REST = 0.0005


def attribute_work(evidence: Evidence) -> Attribution | None:
    """Explain the change of a cell's instructions by operators; None where profiles or counts are missing."""
    before = read_profile(evidence, Role.BASELINE)
    after = read_profile(evidence, Role.CANDIDATE)
    candidate, baseline = estimate(evidence, WORK), _baseline_count(evidence)
    if before is None or after is None or isinstance(candidate, Missing) or not baseline:
        return None
    return attribute(before, after, baseline=baseline, candidate=candidate.value)


def compare_files(evidence: Evidence) -> GraphDifference | None:
    """Say how the files of both arms differ; None where the run did not keep what they hold."""
    before, after = _graph(evidence, Role.BASELINE), _graph(evidence, Role.CANDIDATE)
    return None if before is None or after is None else compare_graphs(before, after)


def _graph(evidence: Evidence, role: Role) -> Graph | None:
    array = evidence.document(GRAPH + role.value)
    if array is None:
        return None
    try:
        return from_json(Graph, read_text(array))
    except RecordError:
        return None


def say_where(evidence: Evidence, metric: str, kind: LimitKind) -> str:
    """Say in a line which operators changed the work; empty when that is not known or nothing changed."""
    if metric != WORK or kind is not LimitKind.REGRESS:
        return ""
    found = attribute_work(evidence)
    return "" if found is None else describe(found)


def describe(found: Attribution) -> str:
    """Write `+12.3 %: conv2 QLinearConv +11.9 %, new DequantizeLinear x4 (+0.3 %), rest +0.1 %`."""
    groups = group_alike(found.changes)
    parts = [_part(found, group) for group in groups[:NAMED]]
    left = groups[NAMED:]
    if left:
        others = sum(change.delta for group in left for change in group)
        count = sum(len(group) for group in left)
        parts.append(f"{count} other{'s' if count > 1 else ''} {_percent(found.share(others))}")
    if abs(found.share(found.rest)) >= SMALLEST_REST or not parts:
        parts.append(f"{'rest' if parts else 'no operator changed; rest'} {_percent(found.share(found.rest))}")
    return f"{_percent(found.ratio)}: {', '.join(parts)}"


def _part(found: Attribution, group: Sequence[Change]) -> str:
    first = group[0]
    change = _percent(found.share(sum(item.delta for item in group)))
    if first.status is Status.CHANGED:
        return f"{_title(first)} {change}"
    times = f" x{len(group)}" if len(group) > 1 else ""
    name = "" if times else f" {first.shown.name}" if first.shown.name != first.shown.kind else ""
    return f"{first.status.value} {first.shown.kind}{times}{name} ({change})"


def _title(change: Change) -> str:
    shown, was = change.shown, change.baseline
    kind = f"{was.kind} -> {shown.kind}" if was is not None and was.kind != shown.kind else shown.kind
    return kind if shown.name in {"", kind} else f"{shown.name} {kind}"


def _percent(share: float) -> str:
    return ("+" if share > 0 else "") + format(share, Dimension.RATIO)


def read_profile(evidence: Evidence, role: Role) -> Profile | None:
    """Return the profile of one arm, of this run or of the committed baseline; what cannot be read is none."""
    sessions = evidence.sessions(role, SessionKind.PROFILE)
    array = evidence.array(sessions[-1], "profile") if sessions else None
    if array is None and role is Role.BASELINE:
        array = evidence.document(RECORDED)
    if array is None:
        return None
    try:
        return parse_profile(read_text(array))
    except RecordError:
        return None


def _baseline_count(evidence: Evidence) -> float:
    if evidence.planned.baseline is None:
        return next((item.value for item in evidence.planned.recorded if item.metric == WORK), 0.0)
    found = estimate(evidence, WORK, Role.BASELINE)
    return 0.0 if isinstance(found, Missing) else found.value
