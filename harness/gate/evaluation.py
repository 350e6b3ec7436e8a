"""When an evaluation in parts may end: as soon as every gate on it has its answer.

The function that judges is the one that says when to stop; its intervals hold at any time (`harness.stats.sequence`).
"""

from __future__ import annotations

from harness.gate.cell import check_limit
from harness.records.outcome import Outcome
from harness.spec.metric import METRICS
from harness.spec.model import Limit, LimitKind
from harness.stats.evidence import Evidence
from harness.stats.questions import ANSWERED

_AT_THE_END = frozenset({"llm.kl_p999"})
"""Metrics whose bounds hold only for a number of tokens that was fixed beforehand."""
_ANSWERS = frozenset({Outcome.PASS, Outcome.FAIL})


TEXT, QUESTIONS = "text", "questions"


def undecided(evidence: Evidence) -> frozenset[str]:
    """Tell whether more of the text, or of the questions, could change a verdict; without a gate on either, both."""
    limits = [limit for limit in evidence.planned.limits if METRICS[limit.metric].needs == "accuracy"]
    if not limits:
        return frozenset({TEXT, QUESTIONS})
    return frozenset(_source(limit) for limit in limits if not _is_decided(evidence, limit))


def _source(limit: Limit) -> str:
    return QUESTIONS if limit.metric in ANSWERED else TEXT


def _is_decided(evidence: Evidence, limit: Limit) -> bool:
    if limit.metric in _AT_THE_END or limit.kind is LimitKind.REGRESS:
        return False
    return check_limit(evidence, limit).outcome in _ANSWERS
