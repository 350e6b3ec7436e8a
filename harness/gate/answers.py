"""What a cell's answers explain: flipped samples, conformance with the controller, and where a loss comes from.

A pure function of the evidence, kept beside the verdicts. Decides nothing.
"""

from __future__ import annotations

from harness.records.cell import Role
from harness.records.verdict import CellAnswers, Estimate, FlipList, LossSplit
from harness.stats import Evidence, Missing
from harness.stats.accuracy import model_output, reference_output
from harness.stats.attribution import loss_split
from harness.stats.conformance import describe_conformance
from harness.stats.evidence import contradiction
from harness.stats.flip import find_flips, list_flips
from harness.units import Dimension, format

CLASSIFIED = "classification"


def describe_answers(evidence: Evidence) -> CellAnswers | None:
    """Describe the answers of a cell, or None when there is nothing to say: no flip, no difference, no loss split."""
    if contradiction(evidence):
        return None
    is_classified = evidence.planned.workload.task == CLASSIFIED
    flips = _flips(evidence) if is_classified else None
    split = loss_split(evidence) if is_classified else None
    found = CellAnswers(evidence.planned.key, flips, describe_conformance(evidence), split)
    return found if found.flips or found.conformance or found.split else None


def explain_split(split: LossSplit) -> str:
    """Say where a loss comes from: `of 1.4 pp: quantization 1.3 pp (0.6 … 2), platform 0.1 pp (-0.2 … 0.4)`."""
    parts = [f"quantization {_part(split.quantization)}", f"platform {_part(split.platform)}"]
    said = f"of {_points(split.total.value)}: {', '.join(parts)}"
    if split.reference_platform is None or split.interaction is None:
        return said
    return (
        f"{said}; of the platform's part the board takes {_part(split.reference_platform)} from the reference too, "
        f"and {_part(split.interaction)} from this artifact alone"
    )


def _flips(evidence: Evidence) -> FlipList | None:
    output = evidence.planned.workload.output
    reference, candidate = reference_output(evidence, output), model_output(evidence, Role.CANDIDATE, output)
    if isinstance(reference, Missing) or isinstance(candidate, Missing):
        return None
    if reference.shape[0] != candidate.shape[0] or reference.size != candidate.size or reference[0].size < 2:
        return None
    rows = (array.reshape(array.shape[0], -1).astype(float) for array in (reference, candidate))
    found = find_flips(*rows)
    return list_flips(found, evidence.reference("labels")) if found.sample.size else None


def _part(part: Estimate) -> str:
    low, high = (None if end is None else _points(end).removesuffix(" pp") for end in (part.low, part.high))
    return f"{_points(part.value)} ({low or '-∞'} … {high or '∞'})"


def _points(value: float) -> str:
    return format(value, Dimension.POINTS, digits=2)
