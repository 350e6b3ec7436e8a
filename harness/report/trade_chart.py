"""The trade-off of one suite on one board as drawings: a cost across, the quality upwards, one mark per variant.

Owns scales, marks and labels, and that better is always up and to the right; what faces what is `trade`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from markupsafe import Markup

from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.report import svg, wording
from harness.report.svg import Drawing
from harness.report.trade import Panel, Point, TradeOff
from harness.spec.metric import METRICS
from harness.units import Dimension

WIDTH: Final = 420.0
HEIGHT: Final = 250.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 14.0, 22.0, 30.0
LETTER, LINE = 6.6, 12.0
"""About the size of a letter of a name, in pixels."""
FAR: Final = 4.0
"""A limit is drawn to scale up to this many spans of the points away; else an arrow at the edge says where it lies."""


def trade_charts(trade: TradeOff) -> tuple[Drawing, ...]:
    """Draw every panel of one trade-off."""
    return tuple(_drawing(trade, panel) for panel in trade.panels)


def _drawing(trade: TradeOff, panel: Panel) -> Drawing:
    x = _scale(panel.metric, [point.cost for point in panel.points], panel.limit, (LEFT, WIDTH - RIGHT))
    y = _scale(panel.quality, [point.quality for point in panel.points], panel.quality_limit, (HEIGHT - BOTTOM, TOP))
    front = panel.front
    line = svg.polyline(
        "base front", [point.cost.value for point in front], [point.quality.value for point in front], x, y
    )
    drawn = svg.picture(
        f"{trade.suite} on {trade.board}: {panel.quality} by {panel.metric}. {_spoken(panel)}", WIDTH, HEIGHT,
        *_grid(panel, x, y), *_limits(panel, x, y), line, *_marks(panel.points, x, y), *_names(panel.points, x, y),
    )  # fmt: skip
    return Drawing(drawn, f"{panel.quality} by {panel.metric}", _caption(panel, x, y))


def _scale(metric: str, figures: Sequence[Estimate], limit: float | None, ends: tuple[float, float]) -> svg.Scale:
    """Fit the points, and their limit where it is not so far away that it would crush them; better is at the end."""
    values = [figure.value for figure in figures]
    span = (max(values) - min(values)) or abs(values[0]) * 0.1
    near = limit is not None and min(values) - FAR * span <= limit <= max(values) + FAR * span
    shown = [*values, *([limit] if near and limit is not None else [])]
    start, end = reversed(ends) if METRICS[metric].lower_is_better else ends
    return svg.scale_for(shown, start, end, pad=0.1, log=min(shown) > 0 and max(values) > 8 * min(values))


def _grid(panel: Panel, x: svg.Scale, y: svg.Scale) -> list[Markup]:
    across, up = wording.dimension_of(panel.metric), wording.dimension_of(panel.quality)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    drawn = []
    for tick in _ticks(x, across):
        drawn.append(svg.line("grid", x(tick), TOP, x(tick), bottom))
        drawn.append(svg.text("tick", x(tick), bottom + 16, wording.figure(tick, across)))
    for tick in _ticks(y, up):
        drawn.append(svg.line("grid", LEFT, y(tick), right, y(tick)))
        drawn.append(svg.text("tick", LEFT - 6, y(tick) + 4, wording.figure(tick, up), anchor="end"))
    return drawn


def _ticks(scale: svg.Scale, dimension: Dimension) -> tuple[float, ...]:
    """Give round values, of bytes in the unit that they are written in."""
    unit = 1.0
    while dimension is Dimension.BYTES and scale.high >= 2048 * unit:
        unit *= 1024
    return tuple(tick * unit for tick in svg.Scale(scale.low / unit, scale.high / unit, 0, 1, scale.log).ticks(4))


def _limits(panel: Panel, x: svg.Scale, y: svg.Scale) -> list[Markup]:
    drawn = []
    if panel.limit is not None and x.holds(panel.limit):
        drawn.append(svg.line("limit", x(panel.limit), TOP, x(panel.limit), HEIGHT - BOTTOM))
    if panel.quality_limit is not None and y.holds(panel.quality_limit):
        drawn.append(svg.line("limit", LEFT, y(panel.quality_limit), WIDTH - RIGHT, y(panel.quality_limit)))
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
    """Write every name at the first place beside its mark where it meets no other mark or name."""
    centres = [(x(point.cost.value), y(point.quality.value)) for point in points]
    taken = [(at - 6, up - 6, at + 6, up + 6) for at, up in centres]
    drawn = []
    for point, (at, up) in zip(points, centres, strict=True):
        width = LETTER * len(point.name)
        places = [(side, up + 4 + away) for away in (0, -LINE, LINE, -2 * LINE, 2 * LINE) for side in ("start", "end")]
        side, down = next((place for place in places if _is_free(_box(at, *place, width), taken)), places[0])
        taken.append(_box(at, side, down, width))
        drawn.append(svg.text("name", at + (12 if side == "start" else -12), down, point.name, anchor=side))
    return drawn


Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def _box(at: float, side: str, down: float, width: float) -> Box:
    left = at + 12 if side == "start" else at - 12 - width
    return left, down - LINE + 2, left + width, down + 2


def _is_free(box: Box, taken: Sequence[Box]) -> bool:
    left, top, right, bottom = box
    inside = left >= LEFT and right <= WIDTH and top >= 0 and bottom <= HEIGHT - BOTTOM
    return inside and not any(
        left < other[2] and other[0] < right and top < other[3] and other[1] < bottom for other in taken
    )


def _spoken(panel: Panel) -> str:
    across, up = wording.dimension_of(panel.metric), wording.dimension_of(panel.quality)
    return "; ".join(
        f"{point.name} {wording.figure(point.cost.value, across)}, {wording.figure(point.quality.value, up)}, "
        f"{point.outcome.value}"
        for point in panel.points
    )


def _caption(panel: Panel, x: svg.Scale, y: svg.Scale) -> str:
    labels = sorted({figure.label for point in panel.points for figure in (point.cost, point.quality) if figure.label})
    said = (
        "Better is up and to the right. Filled: passes all its limits; hollow: does not; ringed: the best that passes."
    )
    limits = ((panel.metric, panel.limit, x), (panel.quality, panel.quality_limit, y))
    drawn = [metric for metric, limit, scale in limits if limit is not None and scale.holds(limit)]
    away = [
        f"{metric} {wording.figure(limit, wording.dimension_of(metric))}"
        for metric, limit, scale in limits
        if limit is not None and not scale.holds(limit)
    ]
    said += f" Dashed: the limit of {' and '.join(drawn)}." if drawn else ""
    said += f" Too far away to be drawn: the limit of {' and '.join(away)}." if away else ""
    return said + (f" Figures are {' and '.join(map(wording.neutral, labels))}." if labels else "")
