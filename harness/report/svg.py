"""Scales, ticks and shapes as SVG text: the whole chart library of the report.

Knows numbers and pixels, nothing of metrics or verdicts. Colours are CSS classes of the page, so that dark mode and
print come for free. Every string that enters an element is escaped by `markupsafe`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

STEPS: Final = ((10, 50**0.5), (5, 10**0.5), (2, 2**0.5))
"""Factor of a tick step -> the least raw step that rounds to it, halfway on a log scale."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing, what it shows, and how to read it."""

    svg: Markup
    title: str
    caption: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A map of data in [low, high] to pixels in [start, end]; values outside are clamped to the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Give the pixel of `value`; an infinite value lands on its edge."""
        inside = min(max(value, self.low), self.high)
        return self.start + (self.end - self.start) * self._share(inside)

    def holds(self, value: float) -> bool:
        """Tell whether `value` is inside the domain, so that it is drawn where it is and not clamped."""
        return self.low <= value <= self.high

    def ticks(self, count: int = 5) -> tuple[float, ...]:
        """Give round values inside the domain, about `count` of them."""
        return log_ticks(self.low, self.high, count) if self.log else nice_ticks(self.low, self.high, count)

    def _share(self, value: float) -> float:
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def scale_for(values: Sequence[float], start: float, end: float, *, pad: float = 0.06, log: bool = False) -> Scale:
    """Fit a scale around the finite ones of `values`, with a share `pad` of room on either side.

    Args:
        values: data in SI; infinite and NaN values do not count.
        start: pixel of the low end.
        end: pixel of the high end.
        pad: room on either side, as a share of the span.
        log: logarithmic; falls back to linear when a value is not positive.

    Returns:
        A scale with low < high; around one single value, or none, a span is made up.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0 and high > low:
        factor = (high / low) ** pad
        return Scale(low / factor, high * factor, start, end, log=True)
    span = high - low if high > low else abs(high) * 0.1 or 1.0
    room = span * pad if high > low else span / 2
    return Scale(low - room, high + room, start, end)


def nice_ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Give multiples of 1, 2 or 5 times a power of ten inside [low, high], about `count` of them."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or count < 1:
        return ()
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next((factor for factor, least in STEPS if raw / power >= least), 1)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def log_ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Give 1, 2 and 5 times powers of ten inside [low, high]; powers of ten alone when those are enough."""
    if low <= 0 or high <= low:
        return ()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = tuple(factor * 10.0**decade for decade in decades for factor in (1, 2, 5))
    inside = tuple(tick for tick in fine if low <= tick <= high)
    coarse = tuple(tick for tick in inside if math.log10(tick) % 1 < 1e-9)
    if len(inside) < 2:
        return nice_ticks(low, high, count)
    return coarse if len(inside) > 2 * count and len(coarse) >= 2 else inside


def pixel(value: float) -> str:
    """Write a coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def element(name: str, *content: str, **attributes: str | float) -> Markup:
    """Make one element; `class_` becomes `class`, `_` becomes `-`, numbers are pixels, content is escaped.

    Markup in `content` stays markup.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else pixel(value)}"'
        for key, value in attributes.items()
    )
    inner = "".join(map(escape, content))
    text = f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"
    return Markup(text)  # noqa: S704  names are ours, everything else is escaped above


def picture(title: str, width: float, height: float, *content: str, class_: str = "chart") -> Markup:
    """Make a drawing that scales with its place and reads as `title` to those who do not see it."""
    size = f"0 0 {pixel(width)} {pixel(height)}"
    return element("svg", element("title", title), *content, class_=class_, viewBox=size, role="img")


def line(class_: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Draw a straight line."""
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def text(class_: str, x: float, y: float, content: str, *, anchor: str = "middle") -> Markup:
    """Write a label; `anchor` is start, middle or end."""
    return element("text", content, class_=class_, x=x, y=y, text_anchor=anchor)


def ecdf(class_: str, values: Sequence[float], shares: Sequence[float], x: Scale, y: Scale) -> Markup:
    """Draw the share of a sample at or below each value as a staircase.

    Args:
        class_: CSS class of the path.
        values: ascending, not empty.
        shares: in [0, 1], one per value, ascending.
        x: scale of the values.
        y: scale of the share.
    """
    steps = "".join(f"H{pixel(x(value))}V{pixel(y(share))}" for value, share in zip(values, shares, strict=True))
    path = f"M{pixel(x(values[0]))} {pixel(y(0))}{steps}"
    return element("path", class_=class_, d=path, fill="none")


def dots(class_: str, values: Sequence[float], x: Scale, y: float) -> Markup:
    """Draw `values` as dots in one row, in one path: round caps of strokes of no length."""
    marks = "".join(f"M{pixel(x(value))} {pixel(y)}h0" for value in values)
    return element("path", class_=class_, d=marks) if marks else Markup("")


def polyline(class_: str, xs: Sequence[float], ys: Sequence[float], x: Scale, y: Scale) -> Markup:
    """Draw points joined by straight lines; `xs` and `ys` have one length."""
    points = " ".join(f"{pixel(x(left))},{pixel(y(up))}" for left, up in zip(xs, ys, strict=True))
    return element("polyline", class_=class_, points=points, fill="none")


def whisker(class_: str, low: float, high: float, x: Scale, y: float) -> Markup:
    """Draw the interval [low, high]; an end that is infinite or outside the scale gets an arrow instead of a bar."""
    left, right = x(low), x(high)
    return Markup("").join(
        (
            line(class_, left, y, right, y),
            _end(class_, left, y, -1 if not x.holds(low) else 0),
            _end(class_, right, y, 1 if not x.holds(high) else 0),
        )
    )


def _end(class_: str, at: float, y: float, arrow: int) -> Markup:
    if not arrow:
        return line(class_, at, y - 4, at, y + 4)
    return element(
        "path",
        class_=class_,
        d=f"M{pixel(at - 5 * arrow)} {pixel(y - 4)}L{pixel(at)} {pixel(y)}L{pixel(at - 5 * arrow)} {pixel(y + 4)}",
        fill="none",
    )
