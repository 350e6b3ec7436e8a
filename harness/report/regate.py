"""Old runs under new rules, for a terminal: decision before and after, and each verdict that changed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from harness.records.outcome import Outcome
from harness.records.regate import Change, Regated
from harness.report.wording import neutral


def regated_lines(found: Regated, *, width: int = 100) -> Iterator[str]:
    """Write one run: `reports/runs/…: GO -> NO-GO`, the new decision in a sentence, and what changed."""
    old, new = found.before.release.value, found.after.decision.release.value
    yield f"{neutral(found.run)}: {old} -> {new}" if old != new else f"{neutral(found.run)}: {new}, as before"
    yield from textwrap.wrap(neutral(found.after.decision.sentence), width, initial_indent="  ", subsequent_indent="  ")
    for change in found.changes:
        yield from textwrap.wrap(_change(change), width, initial_indent="  ", subsequent_indent="    ")
    if not found.changes:
        yield "  no verdict changed"


def _change(change: Change) -> str:
    before, after = _side(change.before, change.limit_before), _side(change.after, change.limit_after)
    reason = "" if change.after in {None, Outcome.PASS} else f": {change.reason}"
    return neutral(f"{change.cell} {change.metric} {change.kind}: {before} -> {after}{reason}")


def _side(outcome: Outcome | None, limit: str) -> str:
    return "no gate" if outcome is None else f"{outcome.value.replace('_', ' ')} ({limit})"
