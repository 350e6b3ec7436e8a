"""Variants of one model on one board against each other: what compression costs in quality and what it saves.

Owns which figures face each other and which variant is the best that passes. Measures and decides nothing: the figures
are those that the gates have judged, and a variant passes when all its gates on that board do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from harness.gate.decide import ends
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate, Verdict
from harness.report import wording
from harness.report.cell import CellView
from harness.report.wording import neutral
from harness.spec.metric import METRICS

QUALITY: Final = (
    "llm.perplexity", "llm.bits_per_byte", "llm.nll", "llm.choice_accuracy", "llm.choice_accuracy_norm",
    "llm.pass_rate", "llm.kl", "llm.same_top", "accuracy.top1", "accuracy.top5", "parity.snr_db", "parity.cosine",
    "parity.kl", "parity.max_abs",
)  # fmt: skip
"""Figures of quality, the one that says most about the task first."""
COSTS: Final = (
    ("fastest", ("llm.decode_rate", "llm.tpot.p50", "llm.tpot.p95", "throughput", "latency.p50", "latency.p95",
                 "latency.mean")),
    ("one with the least work", ("work.new_token", "work.instructions")),
    ("smallest in memory", ("memory.peak", "memory.model")),
    ("thriftiest", ("energy.per_token", "energy.new_token", "energy.per_inference")),
    ("smallest file", ("storage.size",)),
)  # fmt: skip
"""What a variant can be best at, in the order in which it matters, and the figures that tell it."""
SIZE: Final = "storage.size"
_ABSOLUTE: Final = frozenset({"max", "min"})


@dataclass(frozen=True, slots=True)
class Point:
    """One variant in one panel; both figures in SI, with their intervals."""

    name: str
    outcome: Outcome
    cost: Estimate
    quality: Estimate
    is_best: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One cost against the quality, for every variant that has both figures."""

    metric: str
    quality: str
    points: tuple[Point, ...]
    limit: float | None
    """Of the cost, where all variants have the same absolute one."""
    quality_limit: float | None

    @property
    def front(self) -> tuple[Point, ...]:
        """Give the variants that no other one beats in both figures, by rising cost."""
        return tuple(
            sorted(
                (point for point in self.points if not any(self._beats(other, point) for other in self.points)),
                key=lambda point: point.cost.value,
            )
        )

    def _beats(self, one: Point, other: Point) -> bool:
        ahead = (
            _gain(self.metric, one.cost) - _gain(self.metric, other.cost),
            _gain(self.quality, one.quality) - _gain(self.quality, other.quality),
        )
        return min(ahead) >= 0 and max(ahead) > 0


@dataclass(frozen=True, slots=True)
class TradeOff:
    """All panels of one suite on one board, and the best variant that passes there, in words."""

    suite: str
    board: str
    panels: tuple[Panel, ...]
    best: str
    """The variant's name; empty when none passes."""
    sentence: str

    @property
    def is_counted(self) -> bool:
        """Tell whether counts of instructions are shown, so that `wording.COUNT_LIMITS` belongs beside them."""
        return any(wording.is_count(panel.metric) for panel in self.panels)


def trade_offs(cells: Iterable[CellView]) -> tuple[TradeOff, ...]:
    """Arrange every suite and board with at least two variants that have a figure of quality.

    Args:
        cells: the cells of one run, in the order of its plan.
    """
    together = sorted(cells, key=lambda cell: (cell.planned.suite, cell.planned.device))
    groups = groupby(together, key=lambda cell: (cell.planned.suite, cell.planned.device))
    found = (_trade_off(list(group)) for _, group in groups)
    return tuple(trade for trade in found if trade is not None)


def _trade_off(cells: Sequence[CellView]) -> TradeOff | None:
    quality = _most_common(QUALITY, cells)
    costs = [(word, metric) for word, metrics in COSTS if (metric := _most_common(metrics, cells))]
    if not quality or not costs:
        return None
    best, sentence = _best(cells, costs, quality)
    panels = tuple(_panel(cells, metric, quality, best) for _, metric in costs)
    return TradeOff(
        neutral(cells[0].planned.suite), cells[0].board, tuple(panel for panel in panels if len(panel.points) > 1),
        best, sentence,
    )  # fmt: skip


def _most_common(metrics: Sequence[str], cells: Sequence[CellView]) -> str:
    """Give the first metric that two cells at least have a figure of; empty when there is none."""
    seen = (metric for metric in metrics if sum(_figure(cell, metric) is not None for cell in cells) > 1)
    return next(seen, "")


def _figure(cell: CellView, metric: str) -> Estimate | None:
    if metric == SIZE:
        size = float(cell.planned.model.size_bytes)
        return Estimate(size, size, size, 1, "size of the file")
    gates = [gate.verdict for gate in cell.gates if gate.verdict.metric == metric]
    return next((found for verdict in gates if (found := _own(verdict)) is not None), None)


def _own(verdict: Verdict) -> Estimate | None:
    """Give the figure of the variant itself, not its ratio to another one."""
    return verdict.candidate if wording.is_relative(verdict.kind) else verdict.estimate


def _best(cells: Sequence[CellView], costs: Sequence[tuple[str, str]], quality: str) -> tuple[str, str]:
    """Pick by the first cost; what the intervals do not tell apart goes on to the next, and at last to the quality."""
    passing = [cell for cell in cells if cell.worst is Outcome.PASS]
    if not passing:
        return "", "No variant passes all its limits here."
    word, metric = next((word, metric) for word, metric in costs if any(_figure(cell, metric) for cell in passing))
    level = passing
    for name in (metric, *(other for _, other in costs if other != metric), quality):
        level = _level(level, name)
    best = level[0]
    figure = _figure(best, metric)
    assert figure is not None
    others = [_name(cell) for cell in _level(passing, metric) if cell is not best]
    said = f"{_name(best)} is the {word} that passes all limits ({_words(metric, figure)})"
    if others:
        said += f"; {' and '.join(others)} cannot be told from it by that figure, so the next ones decided"
    return _name(best), f"{said}."


def _level(cells: Sequence[CellView], metric: str) -> list[CellView]:
    """Give the best by one figure and what its interval does not tell from it; all where none has the figure."""
    figures = [(cell, found) for cell in cells if (found := _figure(cell, metric)) is not None]
    if not figures:
        return list(cells)
    best = max((found for _, found in figures), key=lambda found: _gain(metric, found))
    level = [(cell, found) for cell, found in figures if _overlap(best, found)]
    return [cell for cell, found in sorted(level, key=lambda item: -_gain(metric, item[1]))]


def _gain(metric: str, found: Estimate) -> float:
    """Turn a figure so that more is better."""
    return -found.value if METRICS[metric].lower_is_better else found.value


def _overlap(one: Estimate, other: Estimate) -> bool:
    (low, high), (other_low, other_high) = ends(one), ends(other)
    return max(low, other_low) <= min(high, other_high)


def _words(metric: str, found: Estimate) -> str:
    label = f" {neutral(found.label)}" if found.label else ""
    return f"{metric} {wording.figure(found.value, wording.dimension_of(metric))}{label}"


def _name(cell: CellView) -> str:
    return cell.title.partition("::")[2]


def _panel(cells: Sequence[CellView], metric: str, quality: str, best: str) -> Panel:
    points = []
    for cell in cells:
        cost, good = _figure(cell, metric), _figure(cell, quality)
        if cost is not None and good is not None:
            points.append(Point(_name(cell), cell.worst, cost, good, _name(cell) == best))
    return Panel(metric, quality, tuple(points), _shared_limit(cells, metric), _shared_limit(cells, quality))


def _shared_limit(cells: Sequence[CellView], metric: str) -> float | None:
    """Give the one absolute limit that all variants have on this board; None where they differ or there is none."""
    limits = [
        {gate.verdict.limit for gate in cell.gates if gate.verdict.metric == metric and gate.verdict.kind in _ABSOLUTE}
        for cell in cells
    ]
    same = set.union(*limits)
    return same.pop() if len(same) == 1 and all(limits) else None
