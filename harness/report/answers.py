"""The answers of one cell in words: what flipped, what the board computes otherwise, where a loss comes from.

Owns the words alone; every count, interval and list comes from `harness.gate.answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.records.plan import PlannedCell
from harness.records.verdict import CellAnswers, Conformance, Estimate, Flip, FlipList, LossSplit, Verdict
from harness.report import wording
from harness.units import Dimension


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate concluded about one cell."""

    verdicts: Sequence[Verdict]
    answers: CellAnswers | None


@dataclass(frozen=True, slots=True)
class PartView:
    """One part of a loss: its name, what it compares, the figure and its interval."""

    name: str
    meaning: str
    value: str
    interval: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class FlipView:
    """One flipped sample."""

    sample: int
    label: str
    before: str
    after: str
    margin: str
    kind: str


@dataclass(frozen=True, slots=True)
class FlipTable:
    """The flips against one computation: a sentence with all counts, and the rows that are listed."""

    title: str
    summary: str
    before: str
    """Heading of the column of the former answer."""
    rows: tuple[FlipView, ...]


@dataclass(frozen=True, slots=True)
class AnswersView:
    """What is shown of a cell's answers; empty parts are left out."""

    parts: tuple[PartView, ...]
    conformance: str
    tables: tuple[FlipTable, ...]


def view_answers(planned: PlannedCell, answers: CellAnswers) -> AnswersView:
    """Say the answers of one cell in words."""
    found = answers.conformance
    lists = (("reference", answers.flips), ("controller", found.flips if found else None))
    return AnswersView(
        parts=_parts(answers.split) if answers.split else (),
        conformance=_conformance(planned, found) if found else "",
        tables=tuple(_table(who, flips) for who, flips in lists if flips is not None and flips.listed),
    )


def _parts(split: LossSplit) -> tuple[PartView, ...]:
    named = (
        ("loss", "reference on the controller against candidate on the board", split.total),
        ("quantization", "reference against candidate, both on the controller", split.quantization),
        ("platform", "candidate on the controller against candidate on the board", split.platform),
        ("platform, reference", "what the board costs the reference too", split.reference_platform),
        ("platform, this artifact", "what it costs this artifact beyond that (interaction)", split.interaction),
    )
    return tuple(_part(name, meaning, part, split.metric) for name, meaning, part in named if part is not None)


def _part(name: str, meaning: str, part: Estimate, metric: str) -> PartView:
    value = wording.figure(part.value, Dimension.POINTS, signed=True)
    return PartView(name, meaning, value, wording.interval_of(part, metric, "drop"), part)


def _conformance(planned: PlannedCell, found: Conformance) -> str:
    output = wording.figure(found.max_abs, Dimension.NUMBER)
    said = (
        f"The board ({wording.neutral(planned.build)}) computes the same file otherwise than the controller for "
        f"{found.differing} of {found.samples} samples, beyond the numerical tolerance; largest difference {output} "
        f"({wording.figure(found.max_ulp, Dimension.COUNT)} ulp)."
    )
    if found.differing:
        return said
    return (
        f"The board ({wording.neutral(planned.build)}) computes the same file as the controller within the numerical "
        f"tolerance; largest difference {output} ({wording.figure(found.max_ulp, Dimension.COUNT)} ulp)."
    )


def _table(who: str, flips: FlipList) -> FlipTable:
    hard = wording.count(flips.hard, "hard flip")
    ties = wording.count(flips.ties, "tie flip")
    shown = "" if len(flips.listed) == flips.hard + flips.ties else f"; the first {len(flips.listed)} are listed"
    return FlipTable(
        title=f"Flips against the {who}",
        summary=f"{hard} and {ties} of {flips.samples} samples{shown}",
        before=who,
        rows=tuple(_row(flip) for flip in flips.listed),
    )


def _row(flip: Flip) -> FlipView:
    return FlipView(
        sample=flip.sample,
        label="none" if flip.label is None else str(flip.label),
        before=_answer(flip.before, flip.label),
        after=_answer(flip.after, flip.label),
        margin=wording.figure(flip.margin, Dimension.NUMBER),
        kind="tie" if flip.is_tie else "hard",
    )


def _answer(answer: int, label: int | None) -> str:
    return f"{answer}" if label is None else f"{answer} {'right' if answer == label else 'wrong'}"
