"""The trade-off of one suite on one board as drawings: a cost to the right, the quality upwards, one mark per variant.

Owns scales, marks and labels; what faces what is `harness.report.trade`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.report import svg, wording
from harness.report.svg import Drawing
from harness.report.trade import Panel, Point, TradeOff
from harness.spec.metric import METRICS

WIDTH: Final = 420.0
HEIGHT: Final = 250.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 22.0, 30.0
APART: Final = 13.0
"""Least distance of two names, in pixels."""
FAR: Final = 8.0
"""A limit is drawn to scale up to this many spans of the points away; else an arrow at the edge says where it lies."""


def trade_charts(trade: TradeOff) -> tuple[Drawing, ...]:
    """Draw every panel of one trade-off."""
    return tuple(_drawing(trade, panel) for panel in trade.panels)


def _drawing(trade: TradeOff, panel: Panel) -> Drawing:
    x = _scale([point.cost for point in panel.points], panel.limit, (LEFT, WIDTH - RIGHT))
    y = _scale([point.quality for point in panel.points], panel.quality_limit, (HEIGHT - BOTTOM, TOP))
    front = panel.front
    line = svg.polyline(
        "base front", [point.cost.value for point in front], [point.quality.value for point in front], x, y
    )
    drawn = svg.picture(
        f"{trade.suite} on {trade.board}: {panel.quality} by {panel.metric}. {_spoken(panel)}", WIDTH, HEIGHT,
        *_grid(panel, x, y), *_limits(panel, x, y), line, *_marks(panel.points, x, y), *_names(panel.points, x, y),
    )  # fmt: skip
    return Drawing(drawn, f"{panel.quality} by {panel.metric}", _caption(panel))


def _scale(figures: Sequence[Estimate], limit: float | None, ends: tuple[float, float]) -> svg.Scale:
    """Fit the points, and their limit where it is not so far away that it would crush them."""
    values = [figure.value for figure in figures]
    span = (max(values) - min(values)) or abs(values[0]) * 0.1
    near = limit is not None and min(values) - FAR * span <= limit <= max(values) + FAR * span
    shown = [*values, *([limit] if near and limit is not None else [])]
    return svg.scale_for(shown, *ends, pad=0.1, log=min(shown) > 0 and max(shown) > 8 * min(shown))


def _grid(panel: Panel, x: svg.Scale, y: svg.Scale) -> list[Markup]:
    across, up = wording.dimension_of(panel.metric), wording.dimension_of(panel.quality)
    bottom = HEIGHT - BOTTOM
    return [
        *(svg.line("grid", x(tick), TOP, x(tick), bottom) for tick in x.ticks(4)),
        *(svg.text("tick", x(tick), bottom + 16, wording.figure(tick, across)) for tick in x.ticks(4)),
        *(svg.line("grid", LEFT, y(tick), x.end, y(tick)) for tick in y.ticks(4)),
        *(svg.text("tick", LEFT - 6, y(tick) + 4, wording.figure(tick, up), anchor="end") for tick in y.ticks(4)),
    ]


def _limits(panel: Panel, x: svg.Scale, y: svg.Scale) -> list[Markup]:
    drawn = []
    if panel.limit is not None and x.holds(panel.limit):
        drawn.append(svg.line("limit", x(panel.limit), TOP, x(panel.limit), HEIGHT - BOTTOM))
    if panel.quality_limit is not None and y.holds(panel.quality_limit):
        drawn.append(svg.line("limit", LEFT, y(panel.quality_limit), x.end, y(panel.quality_limit)))
    return drawn


def _marks(points: Sequence[Point], x: svg.Scale, y: svg.Scale) -> list[Markup]:
    """Fill what passes, leave hollow what does not, and ring the best."""
    drawn = []
    for point in points:
        at = {"cx": x(point.cost.value), "cy": y(point.quality.value)}
        state = "passes" if point.outcome is Outcome.PASS else "hollow"
        if point.is_best:
            drawn.append(svg.element("circle", class_=f"ring o-{point.outcome.value}", r=9, **at))
        drawn.append(svg.element("circle", class_=f"point {state} o-{point.outcome.value}", r=4.5, **at))
    return drawn


def _names(points: Sequence[Point], x: svg.Scale, y: svg.Scale) -> list[Markup]:
    """Write every name beside its mark, on the side with more room, moved down where two would meet."""
    drawn = []
    lowest = {"start": -APART, "end": -APART}
    for point in sorted(points, key=lambda point: y(point.quality.value)):
        at = x(point.cost.value)
        side = "end" if at > (LEFT + WIDTH) / 2 else "start"
        down = max(y(point.quality.value) + 4, lowest[side] + APART)
        lowest[side] = down
        drawn.append(svg.text("name", at + (-12 if side == "end" else 12), down, point.name, anchor=side))
    return drawn


def _spoken(panel: Panel) -> str:
    across, up = wording.dimension_of(panel.metric), wording.dimension_of(panel.quality)
    return "; ".join(
        f"{point.name} {wording.figure(point.cost.value, across)}, {wording.figure(point.quality.value, up)}, "
        f"{point.outcome.value}"
        for point in panel.points
    )


def _caption(panel: Panel) -> str:
    up, across = (_better(metric) for metric in (panel.quality, panel.metric))
    labels = sorted({figure.label for point in panel.points for figure in (point.cost, point.quality) if figure.label})
    said = f"{panel.quality} upwards ({up} is better), {panel.metric} to the right ({across} is better). "
    said += "Filled: passes all its limits; hollow: does not; ringed: the best that passes; dashed: a limit."
    away = [
        f"{metric} {wording.figure(limit, wording.dimension_of(metric))}"
        for metric, limit, values in (
            (panel.metric, panel.limit, [point.cost for point in panel.points]),
            (panel.quality, panel.quality_limit, [point.quality for point in panel.points]),
        )
        if limit is not None and not _scale(values, limit, (0, 1)).holds(limit)
    ]
    said += f" Too far away to be drawn: the limit of {' and '.join(away)}." if away else ""
    return said + (f" Figures are {' and '.join(map(wording.neutral, labels))}." if labels else "")


def _better(metric: str) -> str:
    return "less" if METRICS[metric].lower_is_better else "more"
