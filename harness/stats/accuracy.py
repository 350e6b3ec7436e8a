"""Right answers counted: top-k of the candidate, of the baseline and of the reference on the same samples.

Ties go to the class with the lower index, as `argmax` does. Knows outputs and labels, not limits.
"""

from __future__ import annotations

import base64
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.records.cell import Role, SessionKind
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.verdict import Estimate
from harness.stats.evidence import AnyArray, Evidence, Missing, implausible
from harness.stats.interval import PairedTable, paired_loss_interval, wilson_interval
from harness.stats.proportion import mcnemar_p, relative_loss_interval, resolvable_loss

BoolArray: TypeAlias = npt.NDArray[np.bool_]

DEPTHS = {"accuracy.top1": 1, "accuracy.top5": 5}


def model_output(evidence: Evidence, role: Role, index: int) -> AnyArray | Missing:
    """Return one output of the accuracy pass, shape (n, ...), finite, or why there is none."""
    sessions = evidence.sessions(role, SessionKind.ACCURACY)
    if not sessions:
        return Missing(f"no accuracy session of the {role.value} came back")
    found = evidence.array(sessions[0], f"output_{index}")
    if found is None or found.ndim == 0 or found.size == 0:
        return Missing(f"no output_{index} of the {role.value} came back")
    others = (evidence.array(session, f"output_{index}") for session in sessions[1:])
    if not all(other is not None and np.array_equal(found, other, equal_nan=True) for other in others):
        return Missing(f"output_{index} of the {role.value} is not the same in all {len(sessions)} accuracy sessions")
    bad = int(np.sum(~np.isfinite(found.reshape(found.shape[0], -1)).all(axis=1)))
    if bad:
        reason = f"output_{index} of the {role.value} is NaN or infinite for {bad} of {found.shape[0]} samples"
        blame = (
            (Outcome.FAIL, Attribution.MODEL) if role is Role.CANDIDATE else (Outcome.INCONCLUSIVE, Attribution.MODEL)
        )
        return Missing(reason, *blame)
    return found


def reference_output(evidence: Evidence, index: int) -> AnyArray | Missing:
    """Return one output of the reference that the controller computed, or why there is none."""
    found = evidence.reference(f"output_{index}")
    if found is None or found.ndim == 0 or found.size == 0:
        reason = f"no output_{index} of the reference: the suite names none, or it did not run"
        return Missing(reason, why=Abstention.REFERENCE)
    if not np.isfinite(found).all():
        reason = f"output_{index} of the reference is not finite"
        return Missing(reason, attribution=Attribution.PLAN, why=Abstention.REFERENCE)
    return found


def controller_output(evidence: Evidence, index: int) -> AnyArray | Missing:
    """Return one output of the candidate as the controller computed it, finite, or why there is none."""
    found = evidence.controller(f"output_{index}")
    if found is None or found.ndim == 0 or found.size == 0:
        return Missing(f"the controller did not compute output_{index} of the candidate")
    if not np.isfinite(found).all():
        reason = f"output_{index} of the candidate is not finite on the controller"
        return Missing(reason, Outcome.INCONCLUSIVE, Attribution.MODEL)
    return found


def top_hits(scores: AnyArray, labels: AnyArray, depth: int) -> BoolArray:
    """Tell for each sample whether its label is among the `depth` highest scores.

    Args:
        scores: shape (n, ...), the classes flattened.
        labels: integers, shape (n,).
        depth: how many classes count.

    Returns:
        shape (n,).
    """
    flat = scores.reshape(scores.shape[0], -1)
    best = np.argsort(-flat.astype(np.float64), axis=1, kind="stable")[:, :depth]
    return np.asarray((best == labels.reshape(-1, 1)).any(axis=1), dtype=np.bool_)


def paired_table(reference: BoolArray, candidate: BoolArray) -> PairedTable:
    """Count where two classifiers differ; both shape (n,), the same samples in the same order."""
    lost, won = int(np.sum(reference & ~candidate)), int(np.sum(~reference & candidate))
    return PairedTable(lost, won, int(candidate.size))


def hits(evidence: Evidence, role: Role, metric: str) -> BoolArray | Missing:
    """Tell which samples one arm answered right."""
    return _hits(evidence, model_output(evidence, role, evidence.planned.workload.output), metric)


def reference_hits(evidence: Evidence, metric: str) -> BoolArray | Missing:
    """Tell which samples the reference answered right."""
    return _hits(evidence, reference_output(evidence, evidence.planned.workload.output), metric)


def controller_hits(evidence: Evidence, metric: str) -> BoolArray | Missing:
    """Tell which samples the candidate answered right on the controller."""
    return _hits(evidence, controller_output(evidence, evidence.planned.workload.output), metric)


def pack_hits(right: BoolArray) -> str:
    """Write which samples were answered right, one bit each, in base64: for a committed baseline."""
    return base64.b64encode(np.packbits(right).tobytes()).decode("ascii")


def unpack_hits(text: str, samples: int) -> BoolArray | None:
    """Read what `pack_hits` wrote; None when it is not about so many samples."""
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except ValueError:
        return None
    return np.unpackbits(packed, count=samples).astype(np.bool_) if packed.size == -(-samples // 8) else None


def rate_estimate(right: BoolArray) -> Estimate:
    """Estimate an accuracy from the samples of one arm."""
    count, n = int(right.sum()), int(right.size)
    bounds = wilson_interval(count, n)
    return Estimate(count / n, bounds.low, bounds.high, n, f"Wilson score interval over {n} samples")


def loss_estimate(table: PairedTable) -> Estimate:
    """Estimate the drop of accuracy on the same samples; positive is worse."""
    bounds = paired_loss_interval(table)
    method = f"paired score interval (Tango) over {table.n} samples, {table.lost} lost and {table.won} won"
    return Estimate(table.loss, bounds.low, bounds.high, table.n, method, components=_told(table))


def relative_loss_estimate(table: PairedTable, right: int) -> Estimate:
    """Estimate how much worse than another arm a candidate is, other / candidate - 1, on the same samples.

    Args:
        table: `lost` other right and candidate wrong, `won` the reverse.
        right: samples that the other arm answers right, above 0. A candidate without a right answer counts as if it had
            half of one, because a record has no infinity.
    """
    bounds = relative_loss_interval(table, right)
    method = (
        f"paired score interval of a ratio (Nam and Blackwelder) over {table.n} samples, {table.lost} lost and "
        f"{table.won} won"
    )
    value = right / max(right - table.lost + table.won, 0.5) - 1.0
    high = bounds.high if math.isfinite(bounds.high) else None
    return Estimate(value, bounds.low, high, table.n, method, components=_told(table))


def _told(table: PairedTable) -> dict[str, float]:
    """Give what belongs to a paired comparison: the counts, the exact McNemar p-value, and what n samples resolve."""
    return {
        "lost": float(table.lost),
        "won": float(table.won),
        "mcnemar_p": mcnemar_p(table),
        "resolves_points": resolvable_loss(table),
    }


def _hits(evidence: Evidence, scores: AnyArray | Missing, metric: str) -> BoolArray | Missing:
    labels = evidence.reference("labels")
    if isinstance(scores, Missing):
        return scores
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        return Missing(
            "the evaluation data has no integer labels `y` of shape (n,)",
            attribution=Attribution.PLAN,
            why=Abstention.INPUT,
        )
    if scores.shape[0] != labels.size:
        return implausible(f"{scores.shape[0]} answers for {labels.size} labelled samples")
    classes, depth = scores[0].size, DEPTHS[metric]
    if classes <= depth or labels.min() < 0 or labels.max() >= classes:
        output = f"output_{evidence.planned.workload.output}"
        reason = f"{output} has {classes} scores per sample: no top-{depth} for labels up to {labels.max()}"
        return Missing(reason, attribution=Attribution.PLAN, why=Abstention.INPUT)
    return top_hits(scores, labels, depth)
