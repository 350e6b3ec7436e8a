"""How well a language model predicts a text, alone and beside its reference: figures over windows of the text.

The unit is the window, as tokens of one window hang together; windows are neighbours in one text, so that intervals are
somewhat too narrow. What is compared is paired by window: the text is the same.

| metric | definition |
|---|---|
| llm.nll | mean of -log p(token), nats per token |
| llm.perplexity | exp of it |
| llm.bits_per_byte | sum of -log2 p(token) over the bytes of these tokens' text |
| llm.kl | mean over tokens of KL(reference || artifact) in nats, from probes (`harness.agent.language.probe`) |
| llm.kl_p999 | its 99.9 % quantile over tokens |
| llm.same_top | share of tokens whose most likely successor is the reference's |
"""

from __future__ import annotations

import math

import numpy as np

from harness.records.cell import Role, SessionKind
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Estimate
from harness.stats.evidence import AnyArray, Evidence, Missing, implausible
from harness.stats.interval import Interval, quantile_interval, student_interval, wilson_interval
from harness.stats.quantile import FloatArray, order_quantile

SURPRISES = frozenset({"llm.nll", "llm.perplexity", "llm.bits_per_byte"})
DIVERGENCES = frozenset({"llm.kl", "llm.kl_p999", "llm.same_top"})
TAIL = 0.999


def likelihood_estimate(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    """Estimate one metric of `SURPRISES` or `DIVERGENCES` of one arm, or say why there is none."""
    if metric in SURPRISES:
        return _surprise(evidence, metric, role)
    if metric == "llm.same_top":
        return _same_top(evidence, role)
    found = divergence(evidence, role)
    if isinstance(found, Missing):
        return found
    tokens = int(found.size)
    if metric == "llm.kl":
        bounds = student_interval(found.mean(axis=1))
        value = float(found.mean())
        return _bounded(value, bounds, len(found), f"Student's t over {len(found)} windows of {tokens} tokens, 90 %")
    bounds = quantile_interval(found.ravel(), TAIL)
    return _bounded(order_quantile(found.ravel(), TAIL), bounds, tokens, f"order statistics over {tokens} tokens")


def surprise_change(evidence: Evidence, metric: str, other: Role | None) -> Estimate | Missing:
    """Compare how unexpected the text is to the candidate with how it is to another model; 0.02 means 2 % more.

    Args:
        evidence: the cell.
        metric: of `SURPRISES`.
        other: the arm to compare with; None: the reference.
    """
    ours, theirs = _nll(evidence, Role.CANDIDATE), _other(evidence, other)
    if isinstance(ours, Missing) or isinstance(theirs, Missing):
        return ours if isinstance(ours, Missing) else theirs  # type: ignore[return-value]
    if not _same_tokens(evidence, other):
        return Missing("the two models split the text into other tokens: windows do not pair", why=Abstention.INPUT)
    differences = ours.mean(axis=1) - theirs.mean(axis=1)
    bounds, value = student_interval(differences), float(differences.mean())
    method = f"paired by window: Student's t over {len(differences)} windows, 90 %"
    if metric == "llm.perplexity":
        return _bounded(math.expm1(value), _mapped(bounds, math.expm1), len(differences), method)
    level = float(theirs.mean())
    if level <= 0:
        return Missing("the other model is never surprised: a relative change has no meaning", why=Abstention.FEW)
    return _bounded(value / level, _mapped(bounds, lambda end: end / level), len(differences), method)


def reference_surprise(evidence: Evidence, metric: str) -> Estimate | Missing:
    """Estimate a metric of `SURPRISES` of the reference."""
    nll = _other(evidence, None)
    if isinstance(nll, Missing):
        return nll
    return _surprise_of(metric, nll, evidence.reference("window_bytes"))


def divergence(evidence: Evidence, role: Role) -> FloatArray | Missing:
    """Return KL(reference || arm) of each token in nats, shape (windows, tokens); estimates may be just below 0."""
    logq = _array(evidence, role, "probe_logq")
    logp, weight = evidence.reference("probe_logp"), evidence.reference("probe_weight")
    if isinstance(logq, Missing):
        return logq
    if logp is None or weight is None:
        return _no_reference()
    if not (logq.shape == logp.shape == weight.shape) or logq.ndim != 3 or not logq.size:
        return implausible(f"probes of shape {logq.shape} for a reference of shape {logp.shape}")
    terms = weight.astype(np.float64) * (logp.astype(np.float64) - logq.astype(np.float64))
    found = np.where(weight > 0, terms, 0.0).sum(axis=2)
    if not np.isfinite(found).all():
        return _not_numbers(int((~np.isfinite(found)).sum()), found.size)
    return np.asarray(found)


def _same_top(evidence: Evidence, role: Role) -> Estimate | Missing:
    ours, theirs = _array(evidence, role, "best"), evidence.reference("best")
    if isinstance(ours, Missing):
        return ours
    if theirs is None:
        return _no_reference()
    if ours.shape != theirs.shape or ours.ndim != 2 or not ours.size:
        return implausible(f"answers of shape {ours.shape} for a reference of shape {theirs.shape}")
    same = ours == theirs
    windows = student_interval(same.mean(axis=1).astype(np.float64))
    tokens = wilson_interval(int(same.sum()), int(same.size))
    # Windows that all agree bound nothing, tokens that hang together too much: the wider end counts.
    bounds = Interval(max(0.0, min(windows.low, tokens.low)), min(1.0, max(windows.high, tokens.high)), tokens.coverage)
    method = f"wider of Student's t over {len(same)} windows and Wilson over {same.size} tokens"
    return _bounded(float(same.mean()), bounds, len(same), method)


def _surprise(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    nll = _nll(evidence, role)
    if isinstance(nll, Missing):
        return nll
    lengths = _array(evidence, role, "window_bytes")
    return lengths if isinstance(lengths, Missing) else _surprise_of(metric, nll, lengths)


def _surprise_of(metric: str, nll: FloatArray, lengths: AnyArray | None) -> Estimate | Missing:
    means = nll.mean(axis=1)
    bounds, value, count = student_interval(means), float(means.mean()), len(means)
    method = f"Student's t over {count} windows of {nll.size} tokens, 90 %"
    if metric == "llm.nll":
        return _bounded(value, bounds, count, method)
    if metric == "llm.perplexity":
        return _bounded(_exp(value), _mapped(bounds, _exp), count, method)
    total = 0 if lengths is None else int(lengths.sum())
    if total <= 0:
        return Missing("the model names no tokenizer, so that its tokens are no bytes", why=Abstention.INPUT)
    scale = nll.size / total / math.log(2)
    return _bounded(value * scale, _mapped(bounds, lambda end: end * scale), count, method)


def _nll(evidence: Evidence, role: Role) -> FloatArray | Missing:
    found = _array(evidence, role, "nll")
    return found if isinstance(found, Missing) else _checked(found)


def _other(evidence: Evidence, other: Role | None) -> FloatArray | Missing:
    if other is not None:
        return _nll(evidence, other)
    found = evidence.reference("nll")
    return _no_reference() if found is None else _checked(found)


def _checked(nll: AnyArray) -> FloatArray | Missing:
    if nll.ndim != 2 or not nll.size:
        return implausible(f"likelihoods of shape {nll.shape}")
    if not np.isfinite(nll).all():
        return _not_numbers(int((~np.isfinite(nll)).sum()), nll.size)
    if (nll < -1e-3).any():
        return implausible("a token is more likely than certain")
    return nll.astype(np.float64)


def _array(evidence: Evidence, role: Role, name: str) -> AnyArray | Missing:
    sessions = evidence.sessions(role, SessionKind.ACCURACY)
    if not sessions:
        return Missing(f"no accuracy session of the {role.value} came back")
    found = evidence.array(sessions[0], name)
    if found is None and name == "probe_logq":
        return _no_reference()
    return Missing(f"session {sessions[0].order} brought no {name}") if found is None else found


def _same_tokens(evidence: Evidence, other: Role | None) -> bool:
    ours = _array(evidence, Role.CANDIDATE, "tokens")
    theirs = evidence.reference("tokens") if other is None else _array(evidence, other, "tokens")
    if isinstance(ours, Missing) or isinstance(theirs, Missing) or theirs is None:
        return False
    return ours.shape == theirs.shape and bool((ours == theirs).all())


def _not_numbers(count: int, total: int) -> Missing:
    return Missing(
        f"the model gives no finite probability for {count} of {total} tokens", Outcome.FAIL, Attribution.MODEL
    )


def _no_reference() -> Missing:
    return Missing("no scores of the reference: the suite names none, or it did not run", why=Abstention.REFERENCE)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700.0 else math.inf


def _mapped(bounds: Interval, change: object) -> Interval:
    """Carry an interval through an increasing function; infinite ends stay."""
    assert callable(change)
    low, high = (change(end) if math.isfinite(end) else end for end in (bounds.low, bounds.high))
    return Interval(low, high, bounds.coverage)


def _bounded(value: float, bounds: Interval, n: int, method: str) -> Estimate:
    low, high = (end if math.isfinite(end) else None for end in (bounds.low, bounds.high))
    return Estimate(value, low, high, n, method)
