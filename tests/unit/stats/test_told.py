"""Figures that a tool reports: found by path, refused where they are not there, and never mixed with ours."""

from __future__ import annotations

import json

import pytest

from harness.spec.tool import FORMATS, PLACEHOLDERS
from harness.spec.workload import ToldFigure, Tool
from harness.stats.evidence import Missing
from harness.stats.told import TOLD_TIMES, _figure, name_of
from harness.stats.tool import READERS, Told, Unreadable, read_output


def read(text: str, *figures: ToldFigure) -> Told:
    """Read a JSON output."""
    return read_output(Tool("json", figures=figures), text.encode(), b"")


def refusal(text: str, *figures: ToldFigure) -> str:
    """Give the words of a JSON output that cannot be read."""
    with pytest.raises(Unreadable) as caught:
        read(text, *figures)
    return str(caught.value)


MEAN = ToldFigure("tool.latency.mean", "timings.mean", 1e-6)
TIMES = ToldFigure("", "runs.*.ms", 1e-3)


def test_every_format_of_the_suites_has_a_reader() -> None:
    """What a suite may name can be read, and the board fills in what a suite may write."""
    from harness.agent import tool

    assert tuple(READERS) == FORMATS
    assert tool.PLACEHOLDERS == PLACEHOLDERS


def test_paths_lead_to_figures_in_si() -> None:
    """Keys, indices and stars are followed; a list of numbers needs no star; units become SI."""
    text = json.dumps({"timings": {"mean": 1500}, "runs": [{"ms": 1}, {"ms": 2.5}], "us": [4, 5], "list": [[7]]})

    told = read(text, MEAN, TIMES)
    assert told.figures == {"tool.latency.mean": pytest.approx(1.5e-3)}
    assert told.times_s == pytest.approx((1e-3, 2.5e-3))
    assert read(text, ToldFigure("", "us", 1e-6)).times_s == pytest.approx((4e-6, 5e-6))
    assert read(text, ToldFigure("tool.load.time", "list.0.0", 1.0)).figures == {"tool.load.time": 7.0}


def test_a_log_before_the_document_is_passed_over() -> None:
    """The last line that is an object counts where all of the output is no JSON."""
    assert read('loading…\n{"timings": {"mean": 2}}\n', MEAN).figures["tool.latency.mean"] == pytest.approx(2e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON; it printed nothing"),
        ("Segmentation fault\n", "no JSON; it begins: Segmentation fault"),
        ('{"timings": {}}', "nothing at 'timings.mean'"),
        ('{"timings": {"mean": "fast"}}', "leads to no number"),
        ('{"timings": {"mean": true}}', "leads to no number"),
        ('{"timings": {"mean": [1, 2]}}', "leads to 2 numbers"),
        ('{"timings": {"mean": -1}}', "no positive figure"),
        ('{"timings": {"mean": NaN}}', "no positive figure"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_other_outputs_are_refused(text: str, words: str) -> None:
    """What is no figure is no figure, and the words say where it was looked for."""
    assert words in refusal(text, MEAN)


def test_first_lines_are_shown_escaped_and_short() -> None:
    """No terminal obeys what a tool printed, and no report is flooded by it."""
    said = refusal("\x1b[2J" + "x" * 5000 + "\n<b>\nthree\nfour\n", MEAN)

    assert "\\x1b[2J" in said
    assert "\x1b" not in said
    assert "four" not in said
    assert len(said) < 600


def test_quantiles_are_computed_from_the_times_of_a_tool() -> None:
    """Mean and quantiles of single times are ours to compute; too few of them are only an extreme."""
    told = Told(times_s=tuple(number * 1e-3 for number in range(1, 101)))

    assert _figure(told, "tool.latency.mean", "t") == pytest.approx(50.5e-3)
    assert _figure(told, "tool.latency.p50", "t") == pytest.approx(50.5e-3, rel=0.02)
    few = _figure(Told(times_s=(1.0, 2.0)), "tool.latency.p95", "t")
    assert isinstance(few, Missing)
    assert "only their extreme" in few.reason


def test_a_figure_that_is_not_told_is_missing() -> None:
    """Nothing is guessed: the words name what the tool does report."""
    absent = _figure(Told({"tool.latency.mean": 1.0}), "tool.latency.p95", "bench")
    several = _figure(Told(several={"tool.decode_rate": ("tg16", "tg32")}), "tool.decode_rate", "bench")
    extreme = _figure(Told({"tool.latency.p99": 1.0}, count=8), "tool.latency.p99", "bench")

    assert isinstance(absent, Missing)
    assert absent.reason == "bench does not report tool.latency.p95, only tool.latency.mean"
    assert isinstance(several, Missing)
    assert "tg16, tg32" in several.reason
    assert isinstance(extreme, Missing)
    assert "8 inferences" in extreme.reason


def test_a_tool_is_named_by_its_file() -> None:
    """A report says `trtexec`, wherever that lies."""
    assert name_of(Tool("trtexec", program="/usr/src/tensorrt/bin/trtexec")) == "trtexec"
    assert name_of(Tool("json", file="tools/bench.py")) == "bench.py"
    assert all(name.startswith("tool.") for name in TOLD_TIMES)
