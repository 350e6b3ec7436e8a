"""A run of many gates: a failure stands only if it is more than what chance brings among so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.gate.decision import BLOCKING
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Verdict
from harness.stats.multiplicity import holm


def hold_family(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Apply Holm's step-down to the confirmed failures of all gates that were decided in pairs.

    Failures are confirmed strictly enough that this changes nothing in a run that was measured as it was planned; it
    guards what is judged under another policy. A pass needs no correction: a release passes only if all gates do.
    """
    family = [verdict for verdict in verdicts if verdict.trail is not None]
    failed = [verdict for verdict in family if verdict.outcome in BLOCKING]
    p_values = [verdict.trail.p_value for verdict in failed if verdict.trail is not None]
    falls = {id(verdict) for verdict, stands in zip(failed, holm(p_values, len(family)), strict=True) if not stands}
    return tuple(_fallen(verdict, len(family)) if id(verdict) in falls else verdict for verdict in verdicts)


def _fallen(verdict: Verdict, family: int) -> Verdict:
    return replace(
        verdict,
        outcome=Outcome.INCONCLUSIVE,
        attribution=Attribution.UNKNOWN,
        abstained=Abstention.FAMILY,
        reason=f"confirmed alone, but among {family} gates chance may do as much: {verdict.reason}",
    )
