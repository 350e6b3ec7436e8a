"""What is drawn of a cell: the limit always, the clock of a board without one never."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from harness.records.outcome import Attribution, Outcome
from harness.records.verdict import Estimate, Verdict
from harness.report import chart
from harness.report.cell import CellView, view_gate
from harness.report.limit_chart import gate_chart
from harness.report.view import view
from harness.testing.record import SampleRun, no_go_run


@pytest.fixture(name="run", scope="module")
def _run() -> SampleRun:
    return no_go_run()


def cell_of(run: SampleRun, key: str) -> CellView:
    """Give the view of one cell."""
    return next(cell for cell in view(run.record, run.judgement).cells if cell.key == key)


def gate_verdict(kind: str, limit: float, estimate: Estimate | None, outcome: Outcome) -> Verdict:
    """Make a verdict of one gate on a memory figure."""
    return Verdict(
        "s::a[d]", "d", "a", "memory.peak", kind, outcome, Attribution.MODEL, "", limit, "x", "f:1", estimate
    )


def dot_of(drawing: str) -> float:
    """Give the pixel of the figure's dot."""
    found = re.search(r'cx="([\d.]+)"', drawing)
    assert found
    return float(found.group(1))


@pytest.mark.parametrize(("kind", "bad"), [("max", 120.0), ("min", 80.0), ("regress", 120.0)])
def test_worse_is_always_to_the_right_of_the_limit(kind: str, bad: float) -> None:
    """A figure beyond its limit lies right of the middle, for floors and ceilings alike."""
    good = 200.0 - bad
    worse, better = (
        gate_chart(view_gate(gate_verdict(kind, 100.0, Estimate(value, value, value, 6, ""), Outcome.PASS)))
        for value in (bad, good)
    )

    assert dot_of(worse) > 80 > dot_of(better)


def test_an_unbounded_interval_is_drawn_as_an_arrow() -> None:
    """Too few sessions bound nothing: the whisker leaves the drawing, nothing is infinite in the SVG."""
    estimate = Estimate(90.0, None, None, 2, "")

    drawing = gate_chart(view_gate(gate_verdict("max", 100.0, estimate, Outcome.INCONCLUSIVE)))

    assert drawing.count("<path") == 2
    assert "inf" not in drawing
    assert "nan" not in drawing


def test_without_a_figure_there_is_no_drawing() -> None:
    """A gate that was not measured is not drawn as if it were."""
    assert gate_chart(view_gate(gate_verdict("max", 100.0, None, Outcome.INFRA))) == ""


def test_a_timed_cell_shows_its_sessions_with_the_limit(run: SampleRun) -> None:
    """One line per session, and the limit of the gate by name."""
    key = "digits::int8[pi-lab-3]"

    drawings = chart.cell_charts(cell_of(run, key), run.samples.arrays(key))

    assert [drawing.title for drawing in drawings] == [
        "Time per call: share of calls",
        "Time per call: session by session",
    ]
    assert drawings[0].svg.count('class="cand"') == 6
    assert drawings[0].svg.count('class="base"') == 6
    assert all("p95 ≤ 4 ms" in drawing.svg for drawing in drawings)
    assert "12 fresh processes, 2400 timed calls" in drawings[0].caption


def test_an_emulated_clock_is_called_virtual(run: SampleRun) -> None:
    """Virtual time is never drawn as if it were a board's."""
    key = "digits::int8[a53]"

    drawings = chart.cell_charts(cell_of(run, key), run.samples.arrays(key))

    assert drawings
    assert all(drawing.title.startswith("Virtual time") for drawing in drawings)


def test_a_board_without_a_clock_shows_no_time(run: SampleRun) -> None:
    """A functional board's wall clock means nothing, so it is not drawn."""
    key = "digits::fp32[a72]"
    assert run.samples.arrays(key)

    assert chart.cell_charts(cell_of(run, key), run.samples.arrays(key)) == ()


def test_a_limit_far_away_does_not_squeeze_the_samples(run: SampleRun) -> None:
    """A limit of a hundred times the samples is pointed to and named, and the samples keep the axis."""
    key = "digits::int8[pi-lab-3]"
    far = tuple(
        replace(verdict, limit=0.4, limit_text="400 ms") if verdict.metric == "latency.p95" else verdict
        for verdict in run.judgement.verdicts
    )
    cell = cell_of(replace(run, judgement=replace(run.judgement, verdicts=far)), key)

    ecdf = chart.cell_charts(cell, run.samples.arrays(key))[0]

    assert "p95 ≤ 400 ms →" in ecdf.svg
    assert "Too far to draw to scale: limit p95 ≤ 400 ms." in ecdf.caption
    assert "ms</text>" in ecdf.svg


def test_samples_that_are_not_finite_or_missing_do_not_break_the_drawing(run: SampleRun) -> None:
    """NaN is left out, an empty array and a missing one are not drawn."""
    key = "digits::int8[pi-lab-3]"
    arrays = dict(run.samples.arrays(key))
    arrays["0/latency_s"] = np.array([np.nan, np.inf])
    arrays["1/latency_s"] = np.array([])
    del arrays["2/latency_s"]

    ecdf = chart.cell_charts(cell_of(run, key), arrays)[0]

    assert ecdf.svg.count('class="cand"') + ecdf.svg.count('class="base"') == 9
    assert "nan" not in ecdf.svg


def test_a_drawing_stays_small_whatever_the_number_of_calls(run: SampleRun) -> None:
    """A hundred thousand calls per session make no bigger report than two hundred."""
    key = "digits::int8[pi-lab-3]"
    arrays = {name: np.tile(array, 500) for name, array in run.samples.arrays(key).items()}

    drawings = chart.cell_charts(cell_of(run, key), arrays)

    assert sum(len(drawing.svg) for drawing in drawings) < 40_000
