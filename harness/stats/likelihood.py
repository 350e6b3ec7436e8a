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
from harness.stats.interval import Interval, quantile_interval
from harness.stats.quantile import FloatArray, order_quantile
from harness.stats.windows import common_windows, mean_bounds, reference_windows, share_bounds

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
        bounds, method = mean_bounds(evidence, found.mean(axis=1))
        return _bounded(float(found.mean()), bounds, len(found), f"{method}; {tokens} tokens")
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
    if other is not None:
        ours, theirs = common_windows(evidence, ours, theirs)
    if not _same_tokens(evidence, other):
        return Missing("the two models split the text into other tokens: windows do not pair", why=Abstention.INPUT)
    differences = ours.mean(axis=1) - theirs.mean(axis=1)
    if not differences.size:
        return Missing("no window was scored by both models", why=Abstention.FEW)
    bounds, told = mean_bounds(evidence, differences)
    value, method = float(differences.mean()), f"paired by window: {told}"
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
    return _surprise_of(evidence, metric, nll, reference_windows(evidence, "window_bytes", Role.CANDIDATE))


def divergence(evidence: Evidence, role: Role) -> FloatArray | Missing:
    """Return KL(reference || arm) of each token in nats, shape (windows, tokens); estimates may be just below 0."""
    logq = _array(evidence, role, "probe_logq")
    logp, weight = (reference_windows(evidence, name, role) for name in ("probe_logp", "probe_weight"))
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
    ours, theirs = _array(evidence, role, "best"), reference_windows(evidence, "best", role)
    if isinstance(ours, Missing):
        return ours
    if theirs is None:
        return _no_reference()
    if ours.shape != theirs.shape or ours.ndim != 2 or not ours.size:
        return implausible(f"answers of shape {ours.shape} for a reference of shape {theirs.shape}")
    same = ours == theirs
    bounds, method = share_bounds(evidence, same)
    return _bounded(float(same.mean()), bounds, len(same), method)


def _surprise(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    nll = _nll(evidence, role)
    if isinstance(nll, Missing):
        return nll
    lengths = _array(evidence, role, "window_bytes")
    return lengths if isinstance(lengths, Missing) else _surprise_of(evidence, metric, nll, lengths)


def _surprise_of(evidence: Evidence, metric: str, nll: FloatArray, lengths: AnyArray | None) -> Estimate | Missing:
    means = nll.mean(axis=1)
    value, count = float(means.mean()), len(means)
    bounds, told = mean_bounds(evidence, means)
    method = f"{told}; {nll.size} tokens"
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
    found = reference_windows(evidence, "nll", Role.CANDIDATE)
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
    theirs = _array(evidence, other, "tokens") if other else reference_windows(evidence, "tokens", Role.CANDIDATE)
    if isinstance(ours, Missing) or isinstance(theirs, Missing) or theirs is None:
        return False
    if other is not None:
        ours, theirs = common_windows(evidence, ours, theirs)
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
