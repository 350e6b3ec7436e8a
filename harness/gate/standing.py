"""What speaks for a gate that has no verdict of its own: the worst incident of its cell, in one sentence.

Owns which incident is the worst and what an incident may claim. Knows no limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.records.cell import Incident
from harness.records.outcome import Abstention, Attribution, Outcome

SEVERITY = (
    Outcome.SECURITY,
    Outcome.FAIL,
    Outcome.DEVICE,
    Outcome.INFRA,
    Outcome.CANCELLED,
    Outcome.NOT_RUN,
    Outcome.INCONCLUSIVE,
    Outcome.QUARANTINED,
)
"""Which incident speaks for a cell that has several, worst first."""

_ABSTENTIONS = {
    "flaky": Abstention.FLAKY,
    "input": Abstention.INPUT,
    "reference": Abstention.REFERENCE,
    "baseline": Abstention.BASELINE,
    "sensor": Abstention.SENSOR,
}
"""Codes of incidents -> which kind of INCONCLUSIVE they make, if they make one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a gate has no verdict of its own: outcome, who is to blame, and the sentence."""

    outcome: Outcome
    attribution: Attribution
    reason: str
    why: Abstention = Abstention.EVIDENCE
    """Which kind of INCONCLUSIVE it is, if it is one."""


def worst_incident(incidents: Sequence[Incident]) -> Incident | None:
    """Return the incident that speaks for the others, or None; one that claims a pass counts as unclassified."""
    honest = [_honest(item) for item in incidents]
    return min(honest, key=lambda item: SEVERITY.index(item.outcome), default=None)


def _honest(incident: Incident) -> Incident:
    """Correct an incident whose outcome cannot be: an instrument that is missing is never the model's fault."""
    if incident.code == "sensor" and incident.outcome is Outcome.FAIL:
        return replace(incident, outcome=Outcome.DEVICE, attribution=Attribution.DEVICE)
    if incident.outcome in SEVERITY:
        return incident
    message = f"unclassified: {incident.message}"
    return replace(incident, outcome=Outcome.INFRA, attribution=Attribution.INFRA, code="unclassified", message=message)


def lost_to(incidents: Sequence[Incident]) -> Standing | None:
    """Say what took all evidence away: one cause, one sentence for every gate; a failure of the model is not one."""
    worst = worst_incident(incidents)
    if worst is None or worst.outcome is Outcome.FAIL:
        return None
    return standing_of(worst, one_line(worst.message))


def standing_of(incident: Incident, reason: str) -> Standing:
    """Let an incident speak for a gate."""
    why = _ABSTENTIONS.get(incident.code, Abstention.EVIDENCE)
    return Standing(incident.outcome, incident.attribution, reason, why)


def one_line(message: str) -> str:
    """Make a sentence of what a board or runtime said over several lines."""
    return " ".join(message.split())
