"""The drawings of one cell: the samples of every session with the limit drawn in.

Owns what is drawn and how it is thinned out; the shapes are those of `harness.report.svg`. Draws nothing that the tier
forbids to look at: no clock time of an emulated board without a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness.records.cell import Role, SessionKind, SessionRecord
from harness.report import svg, wording
from harness.report.cell import CellView
from harness.report.svg import Drawing
from harness.spec.model import Tier
from harness.units import Dimension

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

WIDTH = 420.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 30.0, 30.0
SHARES = (*(index * 0.03 for index in range(31)), *(0.905 + index * 0.005 for index in range(20)))
"""Where a distribution is kept: every 3 %, and every 0.5 % in the tail that gates look at."""
DOTS = 60
WIDEST = 8.0
"""A limit is drawn to scale as long as the samples keep an eighth of the width; else an arrow points to it."""


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one session (SI): `shares` of them lie at or below the matching entry of `values`."""

    order: int
    is_candidate: bool
    values: tuple[float, ...]
    """At SHARES, ascending."""
    some: tuple[float, ...]
    """At most DOTS samples, evenly picked in time order, the largest always among them."""
    count: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A limit to draw in: where, what it says, and the share of samples it is about (0: none)."""

    value: float
    label: str
    share: float


def cell_charts(cell: CellView, arrays: Arrays) -> tuple[Drawing, ...]:
    """Draw what the sessions of one cell saw; empty when there is nothing to see.

    Args:
        cell: the cell.
        arrays: its raw arrays by key, SI.
    """
    drawings: list[Drawing] = []
    sessions = cell.record.sessions if cell.record else ()
    if cell.planned.tier is not Tier.FUNCTIONAL:
        what = "Virtual time per call" if cell.planned.tier is Tier.DETERMINISTIC else "Time per call"
        drawings += _distribution(cell, _series(sessions, "latency_s", arrays), what, "latency.")
    work = _series(sessions, "instructions", arrays)
    if any(series.values[0] != series.values[-1] for series in work):
        drawings += _distribution(cell, work, "Instructions per call", "work.")
    return tuple(drawings)


def _series(sessions: Sequence[SessionRecord], name: str, arrays: Arrays) -> tuple[Series, ...]:
    import numpy as np

    series = []
    for session in sorted(sessions, key=lambda session: session.order):
        ref = session.arrays.get(name)
        if session.kind is not SessionKind.TIMING or ref is None or ref.key not in arrays:
            continue
        values = np.asarray(arrays[ref.key], dtype=np.float64).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            series.append(_one_series(session, values))
    return tuple(series)


def _one_series(session: SessionRecord, values: NDArray[np.float64]) -> Series:
    import numpy as np

    picked = values[np.linspace(0, values.size - 1, min(DOTS - 1, values.size)).astype(int)]
    return Series(
        order=session.order,
        is_candidate=session.role is Role.CANDIDATE,
        values=tuple(np.quantile(values, SHARES, method="inverted_cdf").tolist()),
        some=(*picked.tolist(), float(values.max())),
        count=int(values.size),
    )


def _distribution(cell: CellView, series: Sequence[Series], what: str, prefix: str) -> list[Drawing]:
    if not series:
        return []
    marks = _marks(cell, prefix)
    dimension = Dimension.TIME if prefix == "latency." else Dimension.COUNT
    x = _axis(series, marks)
    both = any(not one.is_candidate for one in series)
    arms = "candidate in colour, baseline in grey" if both else "candidate"
    calls = sum(one.count for one in series)
    beyond = _beyond(marks, x)
    title = f"{what} of {cell.title} on {cell.board}"
    return [
        Drawing(
            _ecdf_picture(title, series, marks, x, dimension), f"{what}: share of calls",
            f"One line per session, {arms}: {len(series)} fresh processes, {calls} timed calls. {beyond}".strip(),
        ),
        Drawing(
            _strip_picture(title, series, marks, x, dimension), f"{what}: session by session",
            f"One row per session in the order they ran, {arms}; the bar is the figure that the gate looks at.",
        ),
    ]  # fmt: skip


def _marks(cell: CellView, prefix: str) -> tuple[Mark, ...]:
    found = []
    for gate in cell.gates:
        verdict = gate.verdict
        if verdict.metric.startswith(prefix) and verdict.kind == "max" and verdict.limit is not None:
            name = verdict.metric.removeprefix(prefix)
            share = int(name[1:]) / 100 if name[:1] == "p" and name[1:].isdigit() else 0.0
            found.append(Mark(verdict.limit, f"{name} {gate.limit}", share))
    return tuple(sorted(found, key=lambda mark: mark.value))


def _axis(series: Sequence[Series], marks: Sequence[Mark]) -> svg.Scale:
    """Fit the axis to the bulk of the samples and to the limits that are near enough to be drawn to scale."""
    low = min(one.values[0] for one in series)
    high = max(one.values[-2] for one in series)
    highest = max(one.values[-1] for one in series)
    high = highest if highest - low <= 3 * (high - low) else high
    reach = WIDEST * ((high - low) or abs(high) * 0.1)
    near = [mark.value for mark in marks if low - reach <= mark.value <= high + reach]
    ends = [low, high, *near]
    return svg.scale_for(ends, LEFT, WIDTH - RIGHT, log=min(ends) > 0 and max(ends) > 8 * min(ends))


def _beyond(marks: Sequence[Mark], x: svg.Scale) -> str:
    away = [mark.label for mark in marks if not x.holds(mark.value)]
    return f"Too far to draw to scale: limit {', '.join(away)}." if away else ""


def _frame(x: svg.Scale, bottom: float, dimension: Dimension) -> Markup:
    ticks = x.ticks(4)
    return Markup("").join(
        Markup("").join(
            (svg.line("grid", x(tick), TOP, x(tick), bottom),
             svg.text("tick", x(tick), bottom + 16, wording.figure(tick, dimension)))
        )
        for tick in ticks
    )  # fmt: skip


def _limit_lines(marks: Sequence[Mark], x: svg.Scale, bottom: float) -> Markup:
    drawn = []
    for index, mark in enumerate(marks):
        at, label_y = x(mark.value), TOP - 6 - 12 * (index % 2)
        right = at > (LEFT + WIDTH) / 2
        arrow = "" if x.holds(mark.value) else " →" if mark.value > x.high else " ←"
        drawn.append(svg.line("limit", at, label_y + 3, at, bottom))
        drawn.append(
            svg.text(
                "limit-label",
                at + (3 if right else -3),
                label_y,
                mark.label + arrow,
                anchor="end" if right else "start",
            )
        )
    return Markup("").join(drawn)


def _ecdf_picture(
    title: str, series: Sequence[Series], marks: Sequence[Mark], x: svg.Scale, dimension: Dimension
) -> Markup:
    bottom = 220.0
    y = svg.Scale(0, 1, bottom, TOP)
    levels = sorted({0.0, 0.5, 1.0, *(mark.share for mark in marks if mark.share)})
    if 0.95 in levels or 0.99 in levels:
        levels.remove(1.0)
    rules = [
        svg.line("grid", LEFT, y(level), x.end, y(level))
        + svg.text("tick", LEFT - 6, y(level) + 4, f"{level:.0%}", anchor="end")
        for level in levels
    ]
    lines = [svg.ecdf(_arm(one), one.values, SHARES, x, y) for one in sorted(series, key=lambda one: one.is_candidate)]
    return svg.picture(
        f"{title}: share of calls at or below each time", WIDTH, bottom + BOTTOM,
        _frame(x, bottom, dimension), *rules, *lines, _limit_lines(marks, x, bottom),
    )  # fmt: skip


def _strip_picture(
    title: str, series: Sequence[Series], marks: Sequence[Mark], x: svg.Scale, dimension: Dimension
) -> Markup:
    row = min(30.0, max(10.0, 190.0 / len(series)))
    bottom = TOP + row * len(series)
    share = next((mark.share for mark in reversed(marks) if mark.share), 0.5)
    rows = []
    for index, one in enumerate(series):
        y = TOP + row * (index + 0.5)
        gated = one.values[min(range(len(SHARES)), key=lambda at: abs(SHARES[at] - share))]
        letter = "candidate" if one.is_candidate else "baseline"
        rows.append(svg.text("tick", LEFT - 6, y + 3.5, letter, anchor="end"))
        rows.append(svg.dots(f"dots {_arm(one)}", [value for value in one.some if x.holds(value)], x, y))
        rows.append(svg.line(f"gated {_arm(one)}", x(gated), y - row * 0.42, x(gated), y + row * 0.42))
    return svg.picture(
        f"{title}: calls of each session, the bar is at {share:.0%}", WIDTH, bottom + BOTTOM,
        _frame(x, bottom, dimension), *rows, _limit_lines(marks, x, bottom),
    )  # fmt: skip


def _arm(series: Series) -> str:
    return "cand" if series.is_candidate else "base"
