"""Does the board compute what the controller computes: the same file, the same inputs, another machine and runtime.

Deterministic facts about these samples, so no interval and no p-value; apart from quality, which compares two files.
The controller's runtime is its family's default build; a difference says that the two disagree, not which one is right.
All outputs of the model are compared and the worst one counts; flips look at `workload.output`.

| metric | definition |
|---|---|
| conformance.flips | samples with another best class, without those that were a tie on the controller |
| conformance.max_abs | largest |board - controller| of any element |
| conformance.max_ulp | the same in units of the last place of float32 at the sample's largest output |
"""

from __future__ import annotations

import numpy as np

from harness.records.cell import Role
from harness.records.outcome import Attribution
from harness.records.verdict import Conformance, Estimate
from harness.stats.accuracy import controller_output, model_output
from harness.stats.evidence import AnyArray, Evidence, Missing
from harness.stats.flip import Flips, find_flips, list_flips
from harness.stats.quantile import FloatArray
from harness.stats.rounding import noise, ulp

Pair = tuple[FloatArray, FloatArray]
"""Board and controller, both shape (n, k)."""


def conformance_estimate(evidence: Evidence, metric: str) -> Estimate | Missing:
    """Give one `conformance.` figure, or say why there is none."""
    if metric == "conformance.flips":
        return _flip_estimate(evidence)
    pairs = _all_pairs(evidence)
    if isinstance(pairs, Missing):
        return pairs
    value = max(_largest(pair, in_ulp=metric.endswith("ulp")) for pair in pairs)
    n = pairs[0][0].shape[0]
    method = f"exact on these {n} samples{f', worst of {len(pairs)} outputs' if len(pairs) > 1 else ''}"
    return Estimate(value, value, value, n, method, components={"differing_samples": float(_differing(pairs))})


def describe_conformance(evidence: Evidence) -> Conformance | None:
    """Describe all differences of a cell, or None when there is nothing to compare or nothing differs."""
    pairs = _all_pairs(evidence)
    if isinstance(pairs, Missing):
        return None
    largest = max(_largest(pair, in_ulp=False) for pair in pairs)
    if largest == 0.0:
        return None
    found = controller_flips(evidence)
    n = pairs[0][0].shape[0]
    flips = None if isinstance(found, Missing) else list_flips(found, evidence.reference("labels"))
    return Conformance(largest, max(_largest(pair, in_ulp=True) for pair in pairs), _differing(pairs), n, flips)


def controller_flips(evidence: Evidence) -> Flips | Missing:
    """Find the samples to which the board and the controller give different answers."""
    output = evidence.planned.workload.output
    pair = _pair(evidence, output)
    if isinstance(pair, Missing):
        return pair
    if pair[0].shape[1] < 2:
        return Missing(f"output_{output} has one score per sample: no best class", attribution=Attribution.PLAN)
    return find_flips(pair[1], pair[0])


def _flip_estimate(evidence: Evidence) -> Estimate | Missing:
    flips = controller_flips(evidence)
    if isinstance(flips, Missing):
        return flips
    hard = float(flips.hard)
    method = f"exact on these {flips.samples} samples, ties apart"
    return Estimate(hard, hard, hard, flips.samples, method, components={"tie_flips": float(flips.ties)})


def _all_pairs(evidence: Evidence) -> list[Pair] | Missing:
    pairs: list[Pair] = []
    while not pairs or evidence.controller(f"output_{len(pairs)}") is not None:
        pair = _pair(evidence, len(pairs))
        if isinstance(pair, Missing):
            return pair
        pairs.append(pair)
    return pairs


def _pair(evidence: Evidence, index: int) -> Pair | Missing:
    board, controller = model_output(evidence, Role.CANDIDATE, index), controller_output(evidence, index)
    if isinstance(board, Missing):
        return board
    if isinstance(controller, Missing):
        return controller
    if board.shape != controller.shape:
        reason = f"output_{index} has shape {board.shape} on the board and {controller.shape} on the controller"
        return Missing(reason, attribution=Attribution.PLAN)
    return _rows(board), _rows(controller)


def _rows(output: AnyArray) -> FloatArray:
    return output.reshape(output.shape[0], -1).astype(np.float64)


def _largest(pair: Pair, *, in_ulp: bool) -> float:
    distance = np.abs(pair[0] - pair[1]).max(axis=1)
    return float((distance / ulp(pair[1])).max() if in_ulp else distance.max())


def _differing(pairs: list[Pair]) -> int:
    beyond = [np.abs(board - controller).max(axis=1) > noise(controller) for board, controller in pairs]
    return int(np.any(beyond, axis=0).sum())
