"""What a token of a language model costs: figures of an energy session of `task: generation`, split at the first token.

A window of whole texts and one of their first tokens only (`harness.agent.language.energy`): the difference is what the
tokens after the first cost. Both are integrated and refused as every window (`harness.stats.energy`).
"""

from __future__ import annotations

from dataclasses import replace

from harness.records.cell import SessionRecord
from harness.records.outcome import Abstention
from harness.stats.energy import session_energy
from harness.stats.evidence import Evidence, Missing, implausible

TOKEN_ENERGY = ("energy.per_token", "energy.prompt_token", "energy.new_token")
_PART = {"part_start_s": "window_start_s", "part_end_s": "window_end_s", "part_count": "inference_count"}
_WHOLE_ONLY = frozenset({"plain_before_s", "plain_after_s"})


def token_energy(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    """Compute one figure of `TOKEN_ENERGY` in joules, idle included."""
    scalars = session.scalars
    prompt_tokens, new_tokens = scalars.get("prompt_tokens", 0.0), scalars.get("new_tokens", 0.0)
    asked = evidence.planned.workload.generation
    texts = max(len(asked.prompts), 1) if asked else 1
    if prompt_tokens < texts or new_tokens < texts:
        return implausible(f"session {session.order}: {prompt_tokens:g} tokens read, {new_tokens:g} written")
    whole = session_energy(evidence, session)
    if isinstance(whole, Missing):
        return whole
    if metric == "energy.per_token":
        return whole.total_j / new_tokens
    first = session_energy(evidence, _part(session))
    if isinstance(first, Missing):
        return replace(first, reason=f"first tokens: {first.reason}")
    if metric == "energy.prompt_token":
        return first.total_j / prompt_tokens
    if new_tokens == texts:
        return Missing("every text ends with its first token", why=Abstention.FEW)
    rest_j = whole.total_j - first.total_j
    doubt_j = whole.uncertainty.total + first.uncertainty.total
    if rest_j <= doubt_j:
        words = (
            f"first tokens take {first.total_j:.3g} J of the {whole.total_j:.3g} J of whole texts, ± {doubt_j:.2g} J"
        )
        return Missing(f"{words}: write longer texts (`new_tokens`)", why=Abstention.SENSOR)
    return rest_j / (new_tokens - texts)


def _part(session: SessionRecord) -> SessionRecord:
    """Give the session as if the window of first tokens were its window."""
    scalars = {name: value for name, value in session.scalars.items() if name not in {*_PART.values(), *_WHOLE_ONLY}}
    scalars |= {_PART[name]: value for name, value in session.scalars.items() if name in _PART}
    return replace(session, scalars=scalars)
