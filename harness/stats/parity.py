"""How near the candidate's answers are to the reference's on the same inputs.

All outputs of the model are compared and the worst one counts, except that `kl` and `top1_agreement` look at the
output that holds the class scores (`workload.output`). The figures are exact facts about these samples, so they have
no sampling interval; `top1_agreement` is a rate over samples and has one.

| metric | definition |
|---|---|
| parity.cosine | a.r / (|a| |r|) of the flattened output (both zero: 1, one zero: 0), mean over samples |
| parity.max_abs | largest |a - r| of any element of any sample |
| parity.snr_db | 10 log10(sum r^2 / sum (a - r)^2) over all samples, at most 200 (no difference) |
| parity.kl | KL(reference || candidate) in nats, mean over samples; scores that are no distribution: softmax first |
| parity.top1_agreement | share of samples with the same argmax |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.records.cell import Role
from harness.records.outcome import Abstention, Attribution
from harness.records.verdict import Estimate
from harness.stats.accuracy import model_output, rate_estimate, reference_output
from harness.stats.evidence import AnyArray, Evidence, Missing
from harness.stats.quantile import FloatArray

HIGHEST_SNR_DB = 200.0
SMALLEST_PROBABILITY = 1e-12


def cosine(candidate: FloatArray, reference: FloatArray) -> float:
    """Return the mean cosine similarity; both shape (n, k)."""
    norms = np.linalg.norm(candidate, axis=1) * np.linalg.norm(reference, axis=1)
    both_zero = ~candidate.any(axis=1) & ~reference.any(axis=1)
    products = np.sum(candidate * reference, axis=1)
    similar = np.divide(products, norms, out=np.where(both_zero, 1.0, 0.0), where=norms > 0)
    return float(np.clip(similar, -1.0, 1.0).mean())


def max_abs(candidate: FloatArray, reference: FloatArray) -> float:
    """Return the largest absolute difference; both shape (n, k)."""
    return float(np.abs(candidate - reference).max())


def snr_db(candidate: FloatArray, reference: FloatArray) -> float:
    """Return the signal to noise ratio in decibel, between -200 and 200; both shape (n, k)."""
    noise, signal = float(np.sum((candidate - reference) ** 2)), float(np.sum(reference**2))
    if noise == 0.0:
        return HIGHEST_SNR_DB
    if signal == 0.0:
        return -HIGHEST_SNR_DB
    return float(np.clip(10.0 * np.log10(signal / noise), -HIGHEST_SNR_DB, HIGHEST_SNR_DB))


def kl(candidate: FloatArray, reference: FloatArray) -> float:
    """Return the mean KL divergence of the candidate's distribution from the reference's in nats; both (n, k)."""
    p, q = distribution(reference), distribution(candidate)
    p, q = np.maximum(p, SMALLEST_PROBABILITY), np.maximum(q, SMALLEST_PROBABILITY)
    return max(float(np.sum(p * np.log(p / q), axis=1).mean()), 0.0)


def distribution(scores: FloatArray) -> FloatArray:
    """Return scores as probabilities, shape (n, k): as they are when every row is one (to 1 %), else by softmax."""
    if (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1.0, atol=0.01):
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def parity_estimate(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    """Compare one arm with the reference, or say why that cannot be done."""
    if metric in _SCORES:
        pair = _pair(evidence, role, evidence.planned.workload.output)
        return pair if isinstance(pair, Missing) else _score_estimate(metric, *pair)
    rule, worst = _OUTPUTS[metric]
    figures: list[float] = []
    samples = 0
    for index in range(_output_count(evidence)):
        pair = _pair(evidence, role, index)
        if isinstance(pair, Missing):
            return pair
        samples = pair[0].shape[0]
        figures.append(rule(*pair))
    if not figures:
        return Missing("no output of the reference: the suite names none, or it did not run", why=Abstention.REFERENCE)
    value = worst(figures)
    outputs = f", worst of {len(figures)} outputs" if len(figures) > 1 else ""
    return Estimate(value, value, value, samples, f"exact on these {samples} samples{outputs}")


_OUTPUTS: dict[str, tuple[Callable[[FloatArray, FloatArray], float], Callable[[list[float]], float]]] = {
    "parity.cosine": (cosine, min),
    "parity.max_abs": (max_abs, max),
    "parity.snr_db": (snr_db, min),
}
_SCORES = frozenset({"parity.kl", "parity.top1_agreement"})


def _score_estimate(metric: str, candidate: FloatArray, reference: FloatArray) -> Estimate:
    if metric == "parity.top1_agreement":
        return rate_estimate(np.asarray(candidate.argmax(axis=1) == reference.argmax(axis=1), dtype=np.bool_))
    value, n = kl(candidate, reference), candidate.shape[0]
    return Estimate(value, value, value, n, f"exact on these {n} samples")


def _output_count(evidence: Evidence) -> int:
    index = 0
    while evidence.reference(f"output_{index}") is not None:
        index += 1
    return index


def _pair(evidence: Evidence, role: Role, index: int) -> tuple[FloatArray, FloatArray] | Missing:
    candidate, reference = model_output(evidence, role, index), reference_output(evidence, index)
    if isinstance(candidate, Missing):
        return candidate
    if isinstance(reference, Missing):
        return reference
    if candidate.shape[0] != reference.shape[0] or candidate.size != reference.size:
        reason = f"output_{index} has shape {candidate.shape}, the reference's {reference.shape}: they do not compare"
        return Missing(reason, attribution=Attribution.PLAN, why=Abstention.INPUT)
    return _rows(candidate), _rows(reference)


def _rows(output: AnyArray) -> FloatArray:
    return output.reshape(output.shape[0], -1).astype(np.float64)
