"""What a reader is shown of a gate that was decided in pairs: words, strip and drawing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate import judge
from harness.records.cell import Role, Stage
from harness.records.run import RunRecord
from harness.records.verdict import Judgement, Verdict
from harness.report import html, terminal
from harness.report.pair_chart import pair_charts
from harness.report.trail import STRIP, choice_of, flips_of, strip_of, trail_of
from harness.report.view import view
from harness.testing.evidence import Scene, SceneSamples, limit, run_of
from harness.testing.pairs import Moment, Weather, calm, measure_in_pairs

SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
SAME = Scene(limits=(SLOWER,), baseline=1.0)
SLOW = replace(SAME, baseline=1 / 1.12)


def _judged(scene: Scene, weather: Weather = calm) -> tuple[RunRecord, Judgement, SceneSamples]:
    run, samples = run_of([measure_in_pairs(scene, weather)])
    return run, judge(run, samples), samples


def _verdict(scene: Scene, weather: Weather = calm) -> Verdict:
    return _judged(scene, weather)[1].verdicts[1]


def _loud(_stage: Stage, pair: int, role: Role) -> Moment:
    return Moment(control=1.2 if pair == 1 and role is Role.CANDIDATE else 1.0)


def test_a_trail_says_test_pairs_error_and_what_was_left_out() -> None:
    """One sentence holds what a reader needs to doubt the verdict."""
    verdict = _verdict(SAME, _loud)

    said = trail_of(verdict)

    assert said.startswith("gs_t: shown to be within by 3 pairs at 5 %; flips at +")
    assert "1 pair void: the control work changed by +20.0% between the arms, allowed is 6.0%" in said
    assert choice_of(verdict) == "gs_t (the board's noise is not known)"


def test_a_failure_shows_both_stages() -> None:
    """First pairs and fresh ones, each with its error."""
    assert "beyond by 3 pairs at 5 %; shown to be beyond by 3 fresh pairs at 1 %" in trail_of(_verdict(SLOW))


def test_gates_decided_otherwise_have_no_trail() -> None:
    """A limit on memory has a flip and no strip."""
    verdict = _verdict(replace(SAME, limits=(limit("memory.peak", "max", 2**26, "64 MiB"),)))

    assert (trail_of(verdict), strip_of(verdict), choice_of(verdict)) == ("", "", "")
    assert flips_of(verdict).startswith("flips at 40")


@pytest.mark.parametrize(
    ("scene", "is_right"),
    [
        (SAME, False),
        (SLOW, True),
        (replace(SAME, limits=(limit("throughput", "min", 900.0, "900 /s"),)), True),
        (replace(SAME, limits=(limit("throughput", "min", 100.0, "100 /s"),)), False),
        (replace(SAME, limits=(limit("latency.p95", "max", 1e-3, "1 ms"),)), True),
    ],
)
def test_in_a_strip_worse_is_to_the_right_of_the_limit(scene: Scene, is_right: bool) -> None:
    """Whatever is better, lower or higher: observations beyond the limit stand on its right."""
    strip = strip_of(_verdict(scene))
    left, right = strip[1:-1].split("┃")

    assert len(left) + len(right) == STRIP
    assert ("•" in right or "●" in right) is is_right
    assert ("•" in left or "●" in left) is not is_right


def test_the_terminal_shows_the_strip_under_the_gate() -> None:
    """Also for a gate that passes: how it came about is part of the verdict."""
    run, judgement, _ = _judged(SAME)

    text = terminal.render(run, judgement)

    assert strip_of(judgement.verdicts[1]) in text
    assert "gs_t: shown to be within by 3 pairs at 5 %" in " ".join(text.split())


def test_every_pair_is_a_dot_and_every_look_a_bar() -> None:
    """Three first and three fresh pairs: six dots, the looks that were taken, and the limit."""
    run, judgement, samples = _judged(SLOW)
    (cell,) = view(run, judgement).cells

    (drawing,) = pair_charts(cell)

    assert drawing.svg.count('class="pair"') == 6
    assert drawing.svg.count('class="limit"') == 1
    assert drawing.title == "latency.p50 vs baseline: pair by pair"
    page = html.render(run, judgement, samples)
    assert drawing.svg in page
    assert "Test chosen beforehand: gs_t" in page


def test_observations_after_the_answer_are_drawn_hollow() -> None:
    """They were measured for another gate and did not decide this one."""
    both = replace(SAME, limits=(limit("throughput", "min", 100.0, "100 /s"), limit("latency.p95", "max", 1.0, "1 s")))
    run, judgement, _ = _judged(both)
    (cell,) = view(run, judgement).cells

    drawing = next(item for item in pair_charts(cell) if "throughput" in item.title)

    assert drawing.svg.count('class="pair"') == 3
    assert drawing.svg.count('class="pair later"') == 4


def test_a_gate_whose_pairs_are_all_void_is_not_drawn() -> None:
    """There is nothing to see; the reason is in the verdict."""
    run, judgement, _ = _judged(SAME, lambda *_: Moment(flags=("throttled",)))
    (cell,) = view(run, judgement).cells

    assert pair_charts(cell) == ()
    assert "all 6 pairs are void" in judgement.verdicts[1].reason
