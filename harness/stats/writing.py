"""How fast and at what cost a language model writes: figures of one timing session of `task: generation`.

Knows the arrays of such sessions (`harness.agent.language.speed`), and nothing of limits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.records.cell import Role, SessionKind, SessionRecord
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.stats.evidence import Evidence, Missing, finite, implausible, valid_sessions
from harness.stats.quantile import FloatArray, fewest_samples, order_quantile

GAPS = {"llm.tpot.p50": 0.5, "llm.tpot.p95": 0.95}
TOKEN_TIMES = ("llm.ttft", *GAPS, "llm.tpot.max", "llm.prefill_rate", "llm.decode_rate")
TOKEN_WORK = {"work.prompt_token": "prefill_instructions", "work.new_token": "decode_instructions"}
"""Counts and the arrays that hold them."""
CACHE = "memory.cache"


def token_counts(evidence: Evidence, session: SessionRecord, metric: str) -> FloatArray | Missing:
    """Return instructions per prompt token, one per prompt, or of each token after the first.

    Args:
        evidence: the cell.
        session: a timing session.
        metric: a key of `TOKEN_WORK`.
    """
    raw = evidence.array(session, TOKEN_WORK[metric])
    if raw is None:
        why = next((flag for flag in session.flags if flag.startswith("no-counter")), "no-counter")
        return Missing(f"the board counts no user instructions ({why})", Outcome.DEVICE, Attribution.DEVICE)
    counts = _positive(raw, metric)
    if isinstance(counts, Missing) or metric == "work.new_token":
        return counts
    lengths = _positive(evidence.array(session, "prompt_count"), "prompt lengths")
    if isinstance(lengths, Missing):
        return lengths
    return counts / lengths if lengths.size == counts.size else implausible("counts and prompts differ in number")


def token_work(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    """Return the median of `token_counts`."""
    counts = token_counts(evidence, session, metric)
    return counts if isinstance(counts, Missing) else order_quantile(counts, 0.5)


def token_time(evidence: Evidence, session: SessionRecord, metric: str) -> float | Missing:
    """Compute a figure of `TOKEN_TIMES` from one session, in seconds or tokens per second."""
    name = "ttft_s" if metric in {"llm.ttft", "llm.prefill_rate"} else "token_s"
    times = _positive(evidence.array(session, name), name)
    if isinstance(times, Missing):
        return times
    if metric in GAPS and times.size < fewest_samples(GAPS[metric]):
        need = fewest_samples(GAPS[metric])
        return Missing(
            f"{metric} of {times.size} gaps is only their extreme: write at least {need}", why=Abstention.FEW
        )
    if metric == "llm.prefill_rate":
        lengths = _positive(evidence.array(session, "prompt_count"), "prompt lengths")
        if isinstance(lengths, Missing):
            return lengths
        return float(np.resize(lengths, times.size).sum() / times.sum())
    return _TIMES[metric](times)


def rewritten(evidence: Evidence, role: Role) -> str:
    """Say that a timed session wrote other tokens than the accuracy pass, or nothing.

    A runtime that is fast because it does something else must not win; one file on one board writes the same again.
    """
    judged = evidence.sessions(role, SessionKind.ACCURACY)
    timed = valid_sessions(evidence, role, SessionKind.TIMING)
    if isinstance(timed, Missing) or (role is Role.BASELINE and not judged):
        return ""
    expected = evidence.array(judged[0], "written") if judged else None
    if expected is None:
        return "no text of an accuracy pass came back to check the timed ones against"
    for session in timed:
        found = evidence.array(session, "written")
        if found is None or found.shape != expected.shape:
            return f"session {session.order} brought no text of its timed calls to check"
        if not np.array_equal(found, expected):
            share = float((found != expected).mean())
            return f"{share:.0%} of the timed tokens differ from the accuracy pass (session {session.order})"
    return ""


def _positive(raw: object, name: str) -> FloatArray | Missing:
    found = finite(raw, name)  # type: ignore[arg-type]
    if isinstance(found, Missing) or (found > 0).all():
        return found
    return implausible(f"{name} holds figures that are not positive")


def _median(times: FloatArray) -> float:
    return order_quantile(times, 0.5)


_TIMES: dict[str, Callable[[FloatArray], float]] = {
    "llm.ttft": _median,
    "llm.tpot.p50": _median,
    "llm.tpot.p95": lambda times: order_quantile(times, 0.95),
    "llm.tpot.max": lambda times: float(times.max()),
    "llm.decode_rate": lambda times: float(times.size / times.sum()),
}
