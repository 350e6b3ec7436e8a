"""Words and figures as people read them, the same in every report.

Owns how an estimate, a limit, a margin and an outcome are said, and makes text from boards harmless to read. Numbers
are formatted by `harness.units` alone. Must not know HTML or terminals.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final

from harness.gate.decide import ends
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate, Verdict
from harness.spec.metric import METRICS, limit_dimension
from harness.spec.model import LimitKind, Tier
from harness.units import Dimension, format

INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that a terminal or a browser acts on instead of showing: ESC, bidi overrides, zero width, …"""

WORST_FIRST: Final = (
    Outcome.SECURITY,
    Outcome.FAIL,
    Outcome.REGRESSION,
    Outcome.INCONCLUSIVE,
    Outcome.DEVICE,
    Outcome.INFRA,
    Outcome.QUARANTINED,
    Outcome.NOT_RUN,
    Outcome.CANCELLED,
    Outcome.SKIPPED,
    Outcome.PASS,
)

MEANING: Final = {
    Outcome.PASS: "passes",
    Outcome.FAIL: "fails its limit",
    Outcome.REGRESSION: "worse than the baseline",
    Outcome.INCONCLUSIVE: "not decided",
    Outcome.INFRA: "the farm failed",
    Outcome.DEVICE: "the board failed",
    Outcome.SECURITY: "security stop",
    Outcome.QUARANTINED: "in quarantine",
    Outcome.NOT_RUN: "not measured",
    Outcome.SKIPPED: "not planned here",
    Outcome.CANCELLED: "cancelled",
}

TIER_WORDS: Final = {
    Tier.HARDWARE: "physical board",
    Tier.DETERMINISTIC: "emulated, exact counts",
    Tier.FUNCTIONAL: "emulated, no clock",
    Tier.REPLAYED: "recorded samples",
}

TIER_LIMITS: Final = {
    Tier.HARDWARE: "Times and energy are those of this one board on this day.",
    Tier.DETERMINISTIC: (
        "Instruction counts, memory and accuracy are exact for this emulated CPU; its time is virtual. "
        "Nothing here says how many milliseconds or joules a physical board needs."
    ),
    Tier.FUNCTIONAL: (
        "Memory, accuracy and whether the artifact runs are meaningful; this board has no usable clock. "
        "Nothing here says how fast a physical board is or what it draws."
    ),
    Tier.REPLAYED: "These samples were recorded earlier; they can explain a decision, never make a new release.",
}

CRASH: Final = "crash"

COUNT_LIMITS: Final = (
    "A count of instructions is exact work, not speed: it knows no caches, memory bandwidth, frequency scaling or "
    "accelerator, and is never a board's milliseconds (docs/counting.md)."
)
"""Stands wherever a report shows a count; a test looks for counts without it."""

SUFFIXES: Final = {
    "s": Dimension.TIME,
    "bytes": Dimension.BYTES,
    "j": Dimension.ENERGY,
    "w": Dimension.POWER,
    "c": Dimension.TEMPERATURE,
    "ratio": Dimension.RATIO,
    "count": Dimension.COUNT,
    "instructions": Dimension.COUNT,
    "points": Dimension.POINTS,
}
"""Last word of a raw figure's name -> what it measures."""


def neutral(text: str, *, lines: bool = False, longest: int = 2000) -> str:
    r"""Make text of a board harmless: what is not a visible character is written as `\x1b`, `\u202e`.

    Args:
        text: anything, from anywhere.
        lines: keep line ends and tabs.
        longest: characters kept; the rest is replaced by an ellipsis.
    """
    kept = text if len(text) <= longest else text[: longest - 1] + "…"
    if kept.isprintable():
        return kept
    allowed = "\n\t" if lines else ""
    return "".join(
        char if char in allowed or unicodedata.category(char) not in INVISIBLE else _escaped(char) for char in kept
    )


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def dimension_of(metric: str, kind: str = "max") -> Dimension:
    """Give what a figure of `metric` is measured in; a `regress` figure is a ratio, a `drop` is in points."""
    known = METRICS.get(metric)
    if known is None:
        return {"regress": Dimension.RATIO, "drop": Dimension.POINTS}.get(kind, Dimension.NUMBER)
    return limit_dimension(known, LimitKind(kind)) if kind in set(LimitKind) else known.dimension


def figure(value: float, dimension: Dimension, *, signed: bool = False) -> str:
    """Format one value; a signed one shows its plus, an infinite one is `unbounded`."""
    if not math.isfinite(value):
        return "unbounded"
    return ("+" if signed and value > 0 else "") + format(value, dimension)


def scalar(name: str, value: float, *, is_virtual: bool = False) -> str:
    """Say a named raw figure, `hwm_bytes` as `hwm 41 MiB`: the suffix of the name tells its unit.

    Args:
        name: with the suffix.
        value: SI.
        is_virtual: whether the clock that times were read from counts instructions.
    """
    stem, _, suffix = name.rpartition("_")
    dimension = SUFFIXES.get(suffix) if stem else None
    shown = figure(value, dimension or Dimension.NUMBER)
    shown += " virtual" if is_virtual and dimension is Dimension.TIME else ""
    shown += " instructions" if suffix == "instructions" else ""
    return f"{neutral(stem if dimension else name).replace('_', ' ')} {shown}"


def value_of(verdict: Verdict) -> str:
    """Say the figure that is compared with the limit, without its interval; empty when nothing was measured."""
    if verdict.estimate is None:
        return ""
    return figure(verdict.estimate.value, dimension_of(verdict.metric, verdict.kind), signed=is_relative(verdict.kind))


def interval_of(estimate: Estimate | None, metric: str, kind: str, *, bare: bool = False) -> str:
    """Say the interval as `[low, high] unit`; `exact` when both ends meet, empty when nothing was measured.

    Ends that read alike are said as their distance, `± 0.02 %`. A bare interval leaves out the unit where it is that of
    the value beside it.
    """
    if estimate is None:
        return ""
    low_end, high_end = ends(estimate)
    if low_end == high_end:
        return "exact"
    dimension, signed = dimension_of(metric, kind), is_relative(kind)
    value, low, high = (figure(end, dimension, signed=signed) for end in (estimate.value, low_end, high_end))
    if low == high and estimate.value:
        return f"± {format((high_end - low_end) / abs(2 * estimate.value), Dimension.RATIO, digits=1)}"
    (_, _, unit), (low_number, _, low_unit), (high_number, _, high_unit) = (
        text.rpartition(" ") for text in (value, low, high)
    )
    if low_number and high_number and low_unit == high_unit:
        return f"[{low_number}, {high_number}]" + ("" if bare and low_unit == unit else f" {low_unit}")
    return f"[{low}, {high}]"


def limit_of(verdict: Verdict, *, brief: bool = False) -> str:
    """Say the limit as a bound: `≤ 4 ms`, `≥ 96 %`, `≤ +5 % vs baseline`, `≤ 0.5 pp below reference`.

    A brief one leaves out what it is relative to, for places where the gate's name says it.
    """
    text = neutral(verdict.limit_text) or (
        "" if verdict.limit is None else figure(verdict.limit, dimension_of(verdict.metric, verdict.kind))
    )
    if brief and is_relative(verdict.kind):
        return f"≤ {_plus(text)}" if verdict.kind == "regress" else f"≤ {text}"
    known = METRICS.get(verdict.metric)
    side = "above" if known is not None and known.lower_is_better else "below"
    return {
        "max": f"≤ {text}",
        "min": f"≥ {text}",
        "regress": f"≤ {_plus(text)} vs baseline",
        "drop": f"≤ {text} {side} reference",
    }.get(verdict.kind, "must load and run")


def _plus(text: str) -> str:
    """Give a change its sign; a limit that creep has narrowed below 0 has one already."""
    return text if text.startswith("-") else f"+{text}"


def margin_of(verdict: Verdict) -> str:
    """Say how far the deciding end of the interval is from the limit: `5.5 % over`, `35 % spare`, `15 pp over`.

    Relative to the limit, except for gates that are a percentage themselves: those in points. An undecided one says how
    far over it may be.
    """
    if verdict.margin is None or not math.isfinite(verdict.margin):
        return ""
    if verdict.margin == 0:
        return "at the limit"
    text = format(abs(verdict.margin), Dimension.RATIO, digits=2)
    if not is_relative(verdict.kind) and verdict.limit == 0:
        text = format(abs(verdict.margin), dimension_of(verdict.metric, verdict.kind))
    if is_relative(verdict.kind):
        text = format(abs(verdict.margin) * (abs(verdict.limit or 0.0) or 1.0), Dimension.POINTS, digits=2)
    if verdict.margin > 0:
        return f"{text} spare"
    text = f"{text} {'under' if verdict.kind == 'min' else 'over'}"
    return f"up to {text}" if verdict.outcome is Outcome.INCONCLUSIVE else text


def gate_name(verdict: Verdict) -> str:
    """Name a gate: `latency.p95`, `memory.peak vs baseline`, `accuracy.top1 vs reference`, `runs`."""
    suffix = {"regress": " vs baseline", "drop": " vs reference"}.get(verdict.kind, "")
    return "loads and runs" if verdict.metric == CRASH else neutral(verdict.metric) + suffix


def cause_of(verdict: Verdict) -> str:
    """Say why a gate has no verdict of its own, without what differs between the gates that one cause took away."""
    reason = neutral(verdict.reason)
    for prefix in (f"{verdict.metric}: ", "not measured: "):
        reason = reason.removeprefix(prefix)
    return reason


def is_relative(kind: str) -> bool:
    """Tell whether a gate of this kind compares with another model instead of a number."""
    return kind in {"regress", "drop"}


def is_emulated(tier: Tier) -> bool:
    """Tell whether a board of this tier is not a physical one."""
    return tier in {Tier.DETERMINISTIC, Tier.FUNCTIONAL}


def is_count(metric: str) -> bool:
    """Tell whether figures of this metric are counts of instructions, so that `COUNT_LIMITS` belongs beside them."""
    return metric.startswith("work.")


def count(number: int, singular: str, plural: str = "") -> str:
    """Say `1 gate`, `3 gates`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
