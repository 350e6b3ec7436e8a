"""What a verdict on power or energy owes to its sensor: its uncertainty told, and no answer within its accuracy.

Repeating a session averages its scatter out, never the sensor's own error: an absolute limit that lies within that
error is not decided. Between two arms of one board the error is the same and falls out.
"""

from __future__ import annotations

import math
from dataclasses import replace

from harness.records.cell import Role, SessionKind
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Verdict
from harness.spec.model import LimitKind
from harness.stats import Evidence, Missing
from harness.stats.energy import SessionEnergy, session_energy
from harness.stats.estimate import energy_components
from harness.stats.evidence import valid_sessions
from harness.stats.figure import SENSED_FIGURES, is_modelled
from harness.stats.token_energy import TOKEN_ENERGY
from harness.units import Dimension, format


def with_sensor(evidence: Evidence, verdict: Verdict) -> Verdict:
    """Add what the sensor leaves open to a verdict on what it measured; other verdicts are returned as they are."""
    is_sensed = verdict.metric in SENSED_FIGURES or verdict.metric in TOKEN_ENERGY
    if not is_sensed or is_modelled(evidence, verdict.metric) or verdict.candidate is None:
        return verdict
    sessions = valid_sessions(evidence, Role.CANDIDATE, SessionKind.ENERGY)
    found = [] if isinstance(sessions, Missing) else [session_energy(evidence, session) for session in sessions]
    seen = [item for item in found if not isinstance(item, Missing)]
    if not seen:
        return verdict
    told = energy_components(evidence, verdict.metric, Role.CANDIDATE)
    candidate = replace(verdict.candidate, components={**verdict.candidate.components, **told})
    is_own = verdict.estimate == verdict.candidate
    verdict = replace(verdict, candidate=candidate, estimate=candidate if is_own else verdict.estimate)
    return _within_accuracy(verdict, seen)


def _within_accuracy(verdict: Verdict, seen: list[SessionEnergy]) -> Verdict:
    if verdict.kind not in {LimitKind.MAX, LimitKind.MIN} or verdict.outcome not in {Outcome.PASS, Outcome.FAIL}:
        return verdict
    assert verdict.candidate is not None
    assert verdict.limit is not None
    value, limit = verdict.candidate.value, verdict.limit
    bound = max(item.bound for item in seen)
    if value <= 0 or limit <= 0 or abs(math.log(value / limit)) > math.log1p(bound):
        return verdict
    assumed = next((words for words in seen[0].assumed if words.startswith("accuracy")), "")
    reason = (
        f"{verdict.metric}: the limit {verdict.limit_text} lies within the sensor's accuracy of "
        f"±{format(bound, Dimension.RATIO, digits=2)}"
        + (f" ({assumed}: declare `accuracy` of its `power`)" * bool(assumed))
    )
    return replace(
        verdict,
        outcome=Outcome.INCONCLUSIVE,
        attribution=Attribution.UNKNOWN,
        reason=reason,
        abstained=Abstention.SENSOR,
        flips_at=None,
    )
