"""The course of one session: power with its windows, or the throughput of a load that lasts, heat and clock under it.

Owns what is drawn and how it is thinned out; the shapes are those of `harness.report.svg`. Panels of a session share
one axis of time. What a board did not tell is left out, never drawn as zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness.records.cell import Role, SessionKind, SessionRecord
from harness.records.plan import PlannedCell
from harness.report import svg, wording
from harness.report.svg import Drawing
from harness.report.wording import neutral
from harness.spec.model import Device
from harness.stats import Evidence, Missing
from harness.stats.energy import session_energy
from harness.units import Dimension

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 420.0, 64.0, 14.0, 34.0, 30.0
HIGH, LOW, GAP = 112.0, 44.0, 26.0
"""Heights of the first panel and of those under it, and what lies between two."""
COLUMNS = 240
"""A trace keeps the lowest and the highest reading of each of so many stretches: a short peak is not thinned out."""
LONG_S = 180.0
MOST_SESSIONS = 4
"""Of one cell; where more are measured in pairs, they look alike."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure over time: `times` in seconds since the session's first reading, `values` SI, NaN for gaps."""

    title: str
    dimension: Dimension
    times: Sequence[float]
    values: Sequence[float]
    from_zero: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time to shade; `class_` is of the style sheet."""

    class_: str
    start: float
    end: float


def courses(planned: PlannedCell, sessions: Sequence[SessionRecord], device: Device, arrays: Arrays) -> list[Drawing]:
    """Draw the candidate's energy sessions and its loads that last; empty when there is none.

    Args:
        planned: the cell.
        sessions: all of its sessions.
        device: the board, for what is declared of its meter.
        arrays: the cell's raw arrays by key, SI.
    """
    mine = [session for session in sessions if session.role is Role.CANDIDATE]
    metered = [session for session in mine if session.kind is SessionKind.ENERGY]
    lasting = [session for session in sessions if session.kind is SessionKind.SUSTAINED]
    found = [_energy(planned, session, device, arrays) for session in metered[:MOST_SESSIONS]]
    if len(metered) > MOST_SESSIONS:
        found = [_energy(planned, session, device, arrays) for session in metered[-MOST_SESSIONS:]]
    found += [_lasting(session, arrays) for session in lasting]
    return [drawing for drawing in found if drawing is not None]


def _energy(planned: PlannedCell, session: SessionRecord, device: Device, arrays: Arrays) -> Drawing | None:
    times, watts = _array(session, "power_t_s", arrays), _watts(session, arrays)
    if times is None or watts is None or times.size < 2 or watts.size != times.size:
        return None
    start = float(times[0])
    panels = [Panel("Power", Dimension.POWER, *_thinned(times - start, watts), from_zero=True)]
    panels += _signs(session, arrays, start)
    spans = [
        Span(class_, session.scalars[f"{name}_start_s"] - start, session.scalars[f"{name}_end_s"] - start)
        for class_, name in (("idle", "idle_before"), ("window", "window"), ("idle", "idle_after"))
        if f"{name}_start_s" in session.scalars and f"{name}_end_s" in session.scalars
    ]
    title = (
        f"Power, heat and clock of session {session.order}" if len(panels) > 1 else f"Power of session {session.order}"
    )
    drawn = _picture(
        f"{title} of {planned.artifact} on {planned.device} over time", panels, spans, float(times[-1]) - start
    )
    return Drawing(drawn, f"Power over time, session {session.order}", _energy_words(planned, session, device, arrays))


def _energy_words(planned: PlannedCell, session: SessionRecord, device: Device, arrays: Arrays) -> str:
    """Say what the trace comes to, of what it is, and what is shaded."""
    from harness.records.cell import CellRecord

    evidence = Evidence(planned, device, CellRecord(planned.key, (session,)), dict(arrays))
    found = session_energy(evidence, session)
    if isinstance(found, Missing):
        words = f"No energy: {neutral(found.reason)}."
    else:
        total, unsure = (wording.figure(value, Dimension.ENERGY) for value in (found.total_j, found.uncertainty.total))
        words = f"{total} ± {unsure} per inference (standard uncertainty)"
        if found.dynamic_j is not None:
            words += f", {wording.figure(found.dynamic_j, Dimension.ENERGY)} of it above rest"
        words += "."
    scope = neutral(session.settings.get("power_scope", ""), longest=60)
    source = neutral(session.settings.get("power_source", ""), longest=120)
    seen = f" Seen: the {scope}{f' ({source})' if source else ''}." if scope else ""
    return f"{words}{seen} Blue: the measured window; grey: rest before and after it."


def _lasting(session: SessionRecord, arrays: Arrays) -> Drawing | None:
    import numpy as np

    ends, calls = _array(session, "window_end_s", arrays), _array(session, "window_calls", arrays)
    start = session.scalars.get("load_start_s")
    if ends is None or calls is None or start is None or ends.size < 2 or calls.size != ends.size:
        return None
    lengths = np.diff(np.concatenate(([start], ends)))
    if not (lengths > 0).all():
        return None
    middle = ends - 0.5 * lengths - start
    panels = [Panel("Throughput", Dimension.RATE, *_thinned(middle, calls / lengths), from_zero=True)]
    single = _array(session, "window_median_s", arrays)
    if session.scalars.get("rate_hz") and single is not None and single.size == ends.size:
        panels.append(Panel("Median inference", Dimension.TIME, *_thinned(middle, single)))
    panels += [*_signs(session, arrays, start), *_power(session, arrays, start)]
    length = float(ends[-1] - start)
    hot = [Span("bad", low, high) for low, high in _throttled(session, arrays, start)]
    of = "the baseline" if session.role is Role.BASELINE else "the candidate"
    drawn = _picture(
        f"A load that lasts, session {session.order} of {of}, over time",
        panels,
        hot,
        length,
        counts_from=length * 2 / 3,
    )
    title = f"Under a load that lasts: {of}"
    return Drawing(
        drawn,
        title,
        f"Session {session.order}. {_throttle_words(session, arrays, hot)} What is gated is the last third.",
    )


def _throttle_words(session: SessionRecord, arrays: Arrays, hot: Sequence[Span]) -> str:
    cut = "Cut short: it decides nothing. " if "cut-short" in session.flags else ""
    if hot:
        return f"{cut}The board throttled (red) from {wording.figure(hot[0].start, Dimension.TIME)} on."
    told = _array(session, "throttled", arrays)
    return cut + ("The board did not throttle." if told is not None else "Whether the board throttled is unknown.")


def _throttled(session: SessionRecord, arrays: Arrays, start: float) -> list[tuple[float, float]]:
    """Return the stretches in which the board said that it throttles."""
    times, told = _array(session, "signs_t_s", arrays), _array(session, "throttled", arrays)
    if times is None or told is None or times.size != told.size or times.size < 2:
        return []
    step = float(times[1] - times[0])
    found: list[tuple[float, float]] = []
    for time, is_hot in zip((times - start).tolist(), (told == 1.0).tolist(), strict=True):
        if is_hot and found and time - found[-1][1] < 1.5 * step:
            found[-1] = (found[-1][0], time)
        elif is_hot:
            found.append((max(0.0, time), time))
    return found


def _signs(session: SessionRecord, arrays: Arrays, start: float) -> list[Panel]:
    found = []
    kinds = (
        ("temperature_c", "Temperature", Dimension.TEMPERATURE),
        ("frequency_hz", "Frequency", Dimension.FREQUENCY),
    )
    times = _array(session, "signs_t_s", arrays)
    for name, title, dimension in kinds:
        values = _array(session, name, arrays)
        if times is not None and values is not None and values.size == times.size > 1:
            found.append(Panel(title, dimension, *_thinned(times - start, values)))
    return found


def _power(session: SessionRecord, arrays: Arrays, start: float) -> list[Panel]:
    for time_name, name in (("signs_t_s", "mean_w"), ("power_t_s", "power_w")):
        times, watts = _array(session, time_name, arrays), _array(session, name, arrays)
        if times is not None and watts is not None and times.size == watts.size > 1:
            return [Panel("Power", Dimension.POWER, *_thinned(times - start, watts), from_zero=True)]
    return []


def _array(session: SessionRecord, name: str, arrays: Arrays) -> NDArray[np.float64] | None:
    import numpy as np

    ref = session.arrays.get(name)
    if ref is None or ref.key not in arrays:
        return None
    return np.asarray(arrays[ref.key], dtype=np.float64).ravel()


def _watts(session: SessionRecord, arrays: Arrays) -> NDArray[np.float64] | None:
    """Return the trace of power; that of one energy counter is its rise, averaged over a few of its steps."""
    import numpy as np

    watts, counted = _array(session, "power_w", arrays), session.arrays.get("energy_j")
    times = _array(session, "power_t_s", arrays)
    if watts is not None or counted is None or counted.key not in arrays or times is None:
        return watts
    joules = np.asarray(arrays[counted.key], dtype=np.float64)
    if joules.ndim != 2 or joules.shape[0] != times.size or times.size < 2:
        return None
    rates = np.maximum(np.diff(joules, axis=0), 0.0).sum(axis=1) / np.diff(times)
    return np.concatenate((rates[:1], rates))


def _thinned(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Keep the lowest and the highest value of each stretch, in the order of time, and a gap where there is none."""
    import numpy as np

    if times.size <= 2 * COLUMNS:
        return times.tolist(), values.tolist()
    kept = []
    for part in np.array_split(np.arange(times.size), COLUMNS):
        known = part[np.isfinite(values[part])]
        ends = {known[values[known].argmin()], known[values[known].argmax()]} if known.size else {part[0]}
        kept += sorted(ends)
    return times[kept].tolist(), values[kept].tolist()


def _picture(
    title: str, panels: Sequence[Panel], spans: Sequence[Span], length: float, *, counts_from: float = 0.0
) -> Markup:
    x = svg.Scale(0, length or 1.0, LEFT, WIDTH - RIGHT)
    drawn, top = [], TOP
    for index, panel in enumerate(panels):
        bottom = top + (HIGH if index == 0 else LOW)
        drawn.append(_draw(panel, spans, x, top, bottom))
        top = bottom + GAP
    bottom = top - GAP
    ticks = [
        svg.text("tick", x(at), bottom + 16, words, anchor="end" if x(at) > x.end - 20 else "middle")
        for at, words in _moments(x)
    ]
    if counts_from:
        drawn.append(svg.line("limit", x(counts_from), TOP - 10, x(counts_from), bottom))
        drawn.append(svg.text("limit-label", x(counts_from) + 4, TOP - 8, "last third", anchor="start"))
    return svg.picture(title, WIDTH, bottom + BOTTOM, *drawn, *ticks)


def _moments(x: svg.Scale) -> list[tuple[float, str]]:
    """Return round moments and their words: seconds, of a long session minutes."""
    if x.high < LONG_S:
        return [(tick, wording.figure(tick, Dimension.TIME)) for tick in x.ticks(4)]
    return [(60.0 * tick, f"{tick:g} min") for tick in svg.nice_ticks(0.0, x.high / 60.0, 4)]


def _draw(panel: Panel, spans: Sequence[Span], x: svg.Scale, top: float, bottom: float) -> Markup:
    known = [value for value in panel.values if math.isfinite(value)]
    y = svg.scale_for([0.0, *known] if panel.from_zero else known or [0.0], bottom, top, pad=0.06)
    shaded = [
        svg.element("rect", class_=span.class_, x=x(low), y=top, width=x(high) - x(low), height=bottom - top)
        for span in spans
        if (high := min(span.end, x.high)) > (low := max(span.start, x.low))
    ]
    grid = [svg.line("grid", x(at), top, x(at), bottom) for at, _ in _moments(x)]
    levels = [
        svg.line("grid", LEFT, y(tick), x.end, y(tick))
        + svg.text("tick", LEFT - 6, y(tick) + 4, wording.figure(tick, panel.dimension), anchor="end")
        for tick in y.ticks(3 if bottom - top > LOW else 2)
    ]
    lines = [svg.polyline("cand", [at for at, _ in run], [value for _, value in run], x, y) for run in _runs(panel)]
    label = svg.text("limit-label", LEFT, top - 8, panel.title, anchor="start")
    return Markup("").join((*shaded, *grid, *levels, *lines, label))


def _runs(panel: Panel) -> list[list[tuple[float, float]]]:
    """Split a panel's points where it was not told."""
    points = zip(panel.times, panel.values, strict=True)
    return [list(group) for known, group in itertools.groupby(points, key=lambda item: math.isfinite(item[1])) if known]
