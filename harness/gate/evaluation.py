"""When an evaluation in parts may end: as soon as every gate on it has its answer.

The function that judges is the one that says when to stop; its intervals hold at any time (`harness.stats.sequence`).
"""

from __future__ import annotations

from harness.gate.cell import check_limit
from harness.records.outcome import Outcome
from harness.spec.metric import METRICS
from harness.spec.model import LimitKind
from harness.stats.evidence import Evidence

_AT_THE_END = frozenset({"llm.kl_p999"})
"""Metrics whose bounds hold only for a number of tokens that was fixed beforehand."""
_ANSWERS = frozenset({Outcome.PASS, Outcome.FAIL})


def is_decided(evidence: Evidence) -> bool:
    """Whether more of the data and the questions could change no verdict; False where no gate asks for them."""
    limits = [limit for limit in evidence.planned.limits if METRICS[limit.metric].needs == "accuracy"]
    if not limits or any(limit.metric in _AT_THE_END or limit.kind is LimitKind.REGRESS for limit in limits):
        return False
    return all(check_limit(evidence, limit).outcome in _ANSWERS for limit in limits)
