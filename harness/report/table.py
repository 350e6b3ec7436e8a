"""The verdicts as one flat table, for spreadsheets and notebooks. Numbers stay SI; text from outside stays text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.records.run import RunRecord
from harness.records.verdict import Judgement, Verdict
from harness.report.wording import neutral

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def frame(run: RunRecord, judgement: Judgement) -> pd.DataFrame:
    """Give one row per gate.

    Args:
        run: the record, for what the board and the artifact are.
        judgement: its verdicts.

    Returns:
        Columns run, cell, suite, artifact, device, profile, tier, runtime, metric, kind, outcome, attribution, value,
        low, high, n, method, label, limit, limit_text, margin, baseline, origin, reason; SI, NaN where there is none.
    """
    import pandas as pd

    planned = {cell.key: cell for cell in run.plan.cells}
    rows = []
    for verdict in judgement.verdicts:
        cell = planned[verdict.cell]
        place = {"suite": cell.suite, "profile": cell.profile, "tier": cell.tier.value, "runtime": cell.build}
        rows.append({"run": judgement.run_id, **_row(verdict), **place})
    order = (
        "run cell suite artifact device profile tier runtime metric kind outcome attribution value low high n method "
        "label limit limit_text margin baseline origin reason"
    )
    return pd.DataFrame(rows, columns=order.split())


def csv(run: RunRecord, judgement: Judgement) -> str:
    """Give the table as CSV that no spreadsheet takes for a formula."""
    table = frame(run, judgement)
    text = table.select_dtypes(exclude="number").columns
    table[text] = table[text].map(_harmless, na_action="ignore")
    return table.to_csv(index=False, lineterminator="\n")


def _row(verdict: Verdict) -> dict[str, object]:
    estimate, baseline = verdict.estimate, verdict.baseline
    figures: dict[str, object] = {}
    if estimate is not None:
        figures = {name: getattr(estimate, name) for name in ("value", "low", "high", "n", "method", "label")}
    words = ("cell", "artifact", "device", "metric", "kind", "origin", "reason", "limit", "limit_text", "margin")
    return {
        **{name: getattr(verdict, name) for name in words},
        **figures,
        "outcome": verdict.outcome.value,
        "attribution": verdict.attribution.value,
        "baseline": baseline.value if baseline is not None else None,
    }


def _harmless(value: object) -> object:
    if not isinstance(value, str):
        return value
    shown = neutral(value)
    return "'" + shown if shown.startswith(_FORMULA) else shown
