"""Told answers of one cell: a loss in parts, a board that disagrees with the controller, more flips than are listed.

For tests and for looking at a report; the figures are told, not computed by `harness.gate`.
"""

from __future__ import annotations

from harness.records.verdict import CellAnswers, Conformance, Estimate, Flip, FlipList, LossSplit

SAMPLES = 719


def told_answers(cell: str) -> CellAnswers:
    """Tell what became of a cell that lost 1.4 points, nearly all of them by quantization."""
    split = LossSplit(
        "accuracy.top1",
        total=_part(0.014, 0.006),
        quantization=_part(0.013, 0.006),
        platform=_part(0.001, 0.003),
        reference_platform=_part(0.0, 0.004),
        interaction=_part(0.001, 0.005),
    )
    conformance = Conformance(0.147, 105_000.0, 23, SAMPLES, _flips(1, 1))
    return CellAnswers(cell, _flips(57, 3), conformance, split)


def _part(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half, SAMPLES, f"paired score interval (Tango) over {SAMPLES} samples")


def _flips(hard: int, ties: int) -> FlipList:
    rows = [Flip(13 * i % SAMPLES, i % 10, i % 10, (i + 3) % 10, 9.5 / (i + 1), is_tie=False) for i in range(hard)]
    rows += [Flip(5 * i, None, 1, 7, 1e-7, is_tie=True) for i in range(ties)]
    return FlipList(SAMPLES, hard, ties, tuple(rows[:50]))
