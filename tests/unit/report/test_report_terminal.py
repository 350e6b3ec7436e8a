"""The terminal table: failing first, everything shown, readable at 100 columns, harmless."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.records.outcome import Outcome
from harness.report import terminal
from harness.testing.record import SampleRun, go_run, no_go_run, sample_run

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(name="run", scope="module")
def _run() -> SampleRun:
    return no_go_run()


def test_the_row_of_a_failure_holds_all_that_matters(run: SampleRun) -> None:
    """Outcome, gate, value, interval, limit and margin in one row, then the reason with method and origin."""
    lines = terminal.render(run.record, run.judgement).splitlines()

    at = next(index for index, line in enumerate(lines) if "FAIL         latency.p95" in line)
    assert re.sub(" +", " ", lines[at]).strip() == "FAIL latency.p95 4.27 ms [4.22, 4.41] ≤ 4 ms 5.5 % over :22"
    reason = " ".join(line.strip() for line in lines[at + 1 : at + 3])
    assert "the whole interval is above the limit; n = 6" in reason
    assert "suites/digits/digits.suite.yaml:22" in reason


def test_the_last_words_are_the_decision(run: SampleRun) -> None:
    """The output ends with the decision in one sentence."""
    text = terminal.render(run.record, run.judgement)

    end = " ".join(text.splitlines()[-2:])
    assert end.startswith("NO-GO: 3 of 100 gates fail")
    assert text.endswith("on a53.\n")


def test_what_blocks_stands_before_what_passes(run: SampleRun) -> None:
    """Cells are in order of urgency."""
    text = terminal.render(run.record, run.judgement)

    order = [text.index(key) for key in ("digits::int8[pi-lab-3]", "digits::fp32[a72]", "digits::int8[a53]")]
    assert order == sorted(order)


def test_every_gate_is_shown(run: SampleRun) -> None:
    """Nothing is left out: as many passing rows as passing gates, and every lost gate by name."""
    text = terminal.render(run.record, run.judgement)

    passing = sum(verdict.outcome is Outcome.PASS for verdict in run.judgement.verdicts)
    assert len(re.findall(r"^  PASS ", text, re.MULTILINE)) == passing
    lost = re.search(r"INFRA the link.*?6 gates: (.*?)\ndigits", text, re.DOTALL)
    assert lost
    assert len(re.sub(r"\s+", " ", lost.group(1)).split(", ")) == 6


@pytest.mark.parametrize("width", [100, 140])
def test_lines_fit(run: SampleRun, width: int) -> None:
    """At 100 columns and more no line is longer than the terminal."""
    text = terminal.render(run.record, run.judgement, width=width)

    assert max(map(len, text.splitlines())) <= width


def test_no_heading_is_cut() -> None:
    """Columns are at least as wide as what stands above them, also when every outcome is PASS."""
    run = go_run()

    heading = terminal.render(run.record, run.judgement).splitlines()[0]

    assert heading.split() == ["outcome", "gate", "figure", "[interval]", "limit", "margin", "line"]


def test_sentences_wrap_on_a_narrow_terminal(run: SampleRun) -> None:
    """On 40 columns the table keeps its shape and the sentences are wrapped at 72."""
    lines = terminal.render(run.record, run.judgement, width=40).splitlines()

    assert max(map(len, lines[-4:])) <= 72


def test_colour_changes_nothing_but_colour(run: SampleRun) -> None:
    """Without its colour codes the coloured table is the plain one."""
    plain = terminal.render(run.record, run.judgement)

    coloured = terminal.render(run.record, run.judgement, color=True)

    assert coloured != plain
    assert ANSI.sub("", coloured) == plain


def test_a_board_cannot_write_to_the_terminal() -> None:
    """Escape sequences, carriage returns and bidi overrides of a board are shown as text."""
    run = sample_run()
    evil = "\x1b]0;owned\x07\r\x1b[2K\u202eGO: all pass"
    verdicts = tuple(replace(verdict, reason=evil, limit_text=evil, origin=evil) for verdict in run.judgement.verdicts)
    judgement = replace(run.judgement, verdicts=verdicts, decision=replace(run.judgement.decision, sentence=evil))

    text = terminal.render(run.record, judgement)

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "\\x1b]0;owned\\x07\\x0d" in text


def test_a_go_is_short_and_ends_with_go() -> None:
    """A passing run has one row per gate and says GO."""
    run = go_run()

    text = terminal.render(run.record, run.judgement)

    assert text.splitlines()[-1].startswith("GO: all ")
    assert "FAIL" not in text
