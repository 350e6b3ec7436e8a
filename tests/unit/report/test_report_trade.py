"""Trade-offs: which variant is said to be the best, what is drawn, and what must not be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest

from harness.gate import judge
from harness.report import html, markdown, terminal
from harness.report.trade import COSTS, QUALITY, Panel, TradeOff
from harness.report.trade_chart import trade_charts
from harness.report.view import view
from harness.spec.metric import METRICS
from harness.spec.model import Tier
from harness.testing.evidence import Scene, limit, run_of

LIMITS = (
    limit("accuracy.top1", "min", 0.95, "95 %"),
    limit("latency.p50", "max", 10e-3, "10 ms"),
    limit("memory.peak", "max", 80 * 2**20, "80 MiB"),
)
SLOW = Scene(artifact="fp32", limits=LIMITS, latency_s=4e-3, wrong=2, size_bytes=200_000)
FAST = Scene(artifact="int8", limits=LIMITS, latency_s=2e-3, wrong=6, size_bytes=60_000)
WRONG = Scene(artifact="int4", limits=LIMITS, latency_s=1e-3, wrong=60, size_bytes=40_000)


def _trades(*scenes: Scene) -> tuple[TradeOff, ...]:
    run, samples = run_of(scene.evidence() for scene in scenes)
    return view(run, judge(run, samples)).trades


def _panel(trades: Iterable[TradeOff], metric: str) -> Panel:
    return next(panel for trade in trades for panel in trade.panels if panel.metric == metric)


def test_the_fastest_that_passes_is_the_best() -> None:
    """A faster variant that fails its accuracy limit is no candidate; the sentence gives the figure."""
    (trade,) = _trades(SLOW, FAST, WRONG)

    assert trade.best == "int8"
    assert re.fullmatch(r"int8 is the fastest that passes all limits \(latency\.p50 2(\.\d+)? ms\)\.", trade.sentence)
    assert [point.name for point in _panel([trade], "latency.p50").points if point.is_best] == ["int8"]


def test_of_two_that_are_as_fast_the_smaller_one_is_chosen() -> None:
    """Where the intervals overlap speed cannot tell, so the next cost does, and the sentence says so."""
    close = Scene(artifact="fp16", limits=LIMITS, latency_s=1.999e-3, wrong=3, memory_bytes=60 * 2**20, seed=2)

    (trade,) = _trades(FAST, close)

    assert trade.best == "int8"
    assert "fp16 cannot be told from it by that figure, so the next ones decided" in trade.sentence


def test_no_variant_that_passes_is_said_in_words() -> None:
    """A best one among failures would read like a recommendation."""
    (trade,) = _trades(WRONG, Scene(artifact="int2", limits=LIMITS, wrong=90))

    assert trade.best == ""
    assert trade.sentence == "No variant passes all its limits here."
    assert not any(point.is_best for panel in trade.panels for point in panel.points)


@pytest.mark.parametrize("scenes", [(FAST,), (Scene(artifact="a"), Scene(artifact="b"))])
def test_without_two_variants_of_known_quality_there_is_no_trade_off(scenes: tuple[Scene, ...]) -> None:
    """One variant, or variants whose quality no gate has judged, have nothing to be weighed against."""
    assert _trades(*scenes) == ()


def test_a_variant_without_the_figure_is_not_drawn() -> None:
    """What was not measured has no place in a drawing; the file's size is always known."""
    untimed = Scene(artifact="fp16", limits=LIMITS[:1], wrong=1)

    trades = _trades(SLOW, FAST, untimed)

    assert [point.name for point in _panel(trades, "latency.p50").points] == ["fp32", "int8"]
    assert len(_panel(trades, "storage.size").points) == 3


def test_the_front_has_what_nothing_beats() -> None:
    """A variant that is slower and worse than another is off the line."""
    beaten = Scene(artifact="odd", limits=LIMITS, latency_s=5e-3, wrong=10)

    panel = _panel(_trades(SLOW, FAST, beaten), "latency.p50")

    assert [point.name for point in panel.front] == ["int8", "fp32"]


def test_boards_are_weighed_apart() -> None:
    """A verdict on one board says nothing about another."""
    other = [Scene(device="nano", artifact=name, limits=LIMITS, wrong=2) for name in ("fp32", "int8")]

    assert [trade.board for trade in _trades(SLOW, FAST, *other)] == ["nano", "pi"]


def test_counts_are_the_speed_of_a_deterministic_board() -> None:
    """Virtual time is no speed of a board; instructions compare software with software."""
    limits = (LIMITS[0], limit("work.instructions", "max", 1e9, "1 G"))
    scenes = [
        Scene(tier=Tier.DETERMINISTIC, artifact=name, limits=limits, work=work, sessions=3)
        for name, work in (("fp32", 4_000_000), ("int8", 1_000_000))
    ]

    (trade,) = _trades(*scenes)

    assert trade.sentence == "int8 is the one with the least work that passes all limits (work.instructions 1 M)."
    assert trade.is_counted


def test_an_absolute_limit_that_all_share_is_drawn() -> None:
    """The limit of the cost and that of the quality are lines; one that is far away is told instead."""
    (trade,) = _trades(SLOW, FAST)
    latency = next(drawing for drawing in trade_charts(trade) if "latency.p50" in drawing.title)
    far = (LIMITS[0], limit("latency.p50", "max", 2.0, "2 s"))
    (loose,) = _trades(*(Scene(artifact=name, limits=far, latency_s=t) for name, t in (("a", 1e-3), ("b", 2e-3))))

    assert latency.svg.count('class="limit"') == 2
    assert "Too far away to be drawn: the limit of latency.p50 2 s." in trade_charts(loose)[0].caption


def test_names_from_a_suite_stay_text_in_every_report() -> None:
    """A name is the user's; it neither becomes markup nor leaves its line."""
    bad = '<b>&"x'
    run, samples = run_of(scene.evidence() for scene in (SLOW, Scene(artifact=bad, limits=LIMITS, latency_s=1e-3)))
    judgement = judge(run, samples)

    page = html.render(run, judgement, samples)

    assert bad not in page
    assert 'id="trade"' in page
    assert "is the fastest that passes all limits" in terminal.render(run, judgement)
    assert "&lt;b" in next(line for line in markdown.render(run, judgement).splitlines() if "is the fastest" in line)


@pytest.mark.parametrize("metric", ["latency.p50", "storage.size"])
def test_better_is_always_up_and_to_the_right(metric: str) -> None:
    """A reader need not know which way a metric counts; here every cost is better when it is less."""
    best = Scene(artifact="best", limits=LIMITS, latency_s=1e-3, wrong=0, size_bytes=30_000)
    (trade,) = _trades(SLOW, best)
    drawing = next(drawing for drawing in trade_charts(trade) if metric in drawing.title)

    points = re.findall(r'class="point passes[^"]*" r="4.5" cx="([\d.]+)" cy="([\d.]+)"', str(drawing.svg))

    (slow_x, slow_y), (best_x, best_y) = ((float(x), float(y)) for x, y in points)
    assert best_x > slow_x
    assert best_y < slow_y


def test_names_of_marks_that_are_close_do_not_cover_each_other() -> None:
    """Three variants of nearly the same figures keep three legible names."""
    close = [
        Scene(artifact=f"variant-{n}", limits=LIMITS, latency_s=2e-3 + n * 1e-6, size_bytes=60_000 + n, wrong=2)
        for n in range(3)
    ]
    (trade,) = _trades(*close, WRONG)
    drawing = next(drawing for drawing in trade_charts(trade) if "storage.size" in drawing.title)

    places = re.findall(r'class="name" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)"', str(drawing.svg))

    same_side = [[float(y) for _, y, anchor in places if anchor == side] for side in ("start", "end")]
    gaps = [b - a for heights in same_side for a, b in itertools.pairwise(sorted(heights))]
    assert len(places) == 4
    assert min(gaps, default=99.0) >= 12


def test_every_figure_that_is_weighed_is_in_the_catalogue() -> None:
    """A metric that is renamed would silently leave the trade-offs."""
    named = [*QUALITY, *(metric for _, metrics in COSTS for metric in metrics)]

    assert set(named) <= set(METRICS)
    assert len(named) == len(set(named))
