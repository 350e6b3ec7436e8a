"""The flat table: a row per gate, figures as numbers, no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from harness.report.table import csv as to_csv
from harness.report.table import frame
from harness.testing.record import no_go_run


def test_every_gate_has_a_row_with_its_figures_in_si() -> None:
    """As many rows as verdicts; a measured gate keeps value, interval and limit unrounded."""
    run = no_go_run()

    table = frame(run.record, run.judgement)

    assert len(table) == len(run.judgement.verdicts)
    verdict = next(item for item in run.judgement.verdicts if item.estimate is not None)
    row = table[(table.cell == verdict.cell) & (table.metric == verdict.metric) & (table.kind == verdict.kind)].iloc[0]
    assert verdict.estimate is not None
    assert row["value"] == verdict.estimate.value
    assert row["limit"] == verdict.limit


def test_text_from_outside_is_no_formula() -> None:
    """A reason that begins like a formula is quoted."""
    run = no_go_run()
    first = replace(run.judgement.verdicts[0], reason="=cmd()|' /C calc'!A0")
    judgement = replace(run.judgement, verdicts=(first, *run.judgement.verdicts[1:]))

    rows = list(csv.DictReader(io.StringIO(to_csv(run.record, judgement))))

    assert rows[0]["reason"].startswith("'=cmd()")
