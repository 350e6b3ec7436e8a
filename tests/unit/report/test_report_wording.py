"""How figures, limits and margins are said, and how text from boards is made harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.outcome import Attribution, Outcome
from harness.records.verdict import Estimate, Verdict
from harness.report import wording


def verdict(metric: str, kind: str, limit: float, text: str, **fields: object) -> Verdict:
    """Make a verdict of one gate."""
    given = {"outcome": Outcome.PASS, "attribution": Attribution.MODEL, "reason": "", **fields}
    return Verdict("s::a[d]", "d", "a", metric, kind, limit=limit, limit_text=text, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\u202eb", "a\\u202eb"),
        ("bell\x07 null\x00", "bell\\x07 null\\x00"),
        ("c1\x9b31m", "c1\\x9b31m"),
        ("two\nlines", "two\\x0alines"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("Größe ≤ 4 ms 日本", "Größe ≤ 4 ms 日本"),
    ],
)
def test_what_is_not_visible_is_written_out(text: str, safe: str) -> None:
    """Control, bidi and zero-width characters become visible; letters of any script stay."""
    assert wording.neutral(text) == safe


@given(st.text())
def test_nothing_invisible_survives(text: str) -> None:
    """Whatever comes in, no character that a terminal or browser acts on comes out."""
    assert not any(unicodedata.category(char) in wording.INVISIBLE for char in wording.neutral(text))


def test_long_text_is_cut() -> None:
    """A megabyte of text from a board does not become a megabyte of report."""
    assert len(wording.neutral("x" * 1_000_000, longest=100)) == 100


@pytest.mark.parametrize(
    ("estimate", "kind", "said"),
    [
        (Estimate(4.27e-3, 4.22e-3, 4.41e-3, 6, ""), "max", "[4.22, 4.41] ms"),
        (Estimate(4e-3, 0.9e-3, 1.2, 6, ""), "max", "[900 µs, 1.2 s]"),
        (Estimate(4e-3, 4e-3, 4e-3, 1, ""), "max", "exact"),
        (Estimate(4e-3, 3e-3, None, 3, ""), "max", "[3 ms, unbounded]"),
        (Estimate(4e-3, 3.99996e-3, 4.00004e-3, 3, ""), "max", "± 0.001 %"),
        (Estimate(0.02, -0.01, 0.05, 6, ""), "regress", "[-1, +5] %"),
        (None, "max", ""),
    ],
)
def test_an_interval_in_words(estimate: Estimate | None, kind: str, said: str) -> None:
    """Units are said once where they agree; exact, alike and open ends have words of their own."""
    assert wording.interval_of(estimate, "latency.p95", kind) == said


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (verdict("latency.p95", "max", 4e-3, "4 ms", margin=-0.055, outcome=Outcome.FAIL), "5.5 % over"),
        (verdict("accuracy.top1", "min", 0.96, "96 %", margin=-0.1, outcome=Outcome.FAIL), "10 % under"),
        (verdict("memory.peak", "max", 64.0, "64 MiB", margin=0.35), "35 % spare"),
        (verdict("latency.p50", "regress", 0.05, "5 %", margin=-3.0, outcome=Outcome.REGRESSION), "15 pp over"),
        (verdict("latency.p50", "regress", 0.0, "0 %", margin=-0.02, outcome=Outcome.REGRESSION), "2 pp over"),
        (verdict("latency.p50", "max", 1.0, "1 s", margin=-0.1, outcome=Outcome.INCONCLUSIVE), "up to 10 % over"),
        (verdict("memory.peak", "max", 64.0, "64 MiB", margin=0.0), "at the limit"),
        (verdict("memory.peak", "max", 64.0, "64 MiB"), ""),
    ],
)
def test_a_margin_in_words(gate: Verdict, said: str) -> None:
    """Gates that are percentages themselves are said in points, all others relative to the limit."""
    assert wording.margin_of(gate) == said


@pytest.mark.parametrize(
    ("kind", "said", "brief"),
    [
        ("max", "≤ 5 %", "≤ 5 %"),
        ("min", "≥ 5 %", "≥ 5 %"),
        ("regress", "≤ +5 % vs baseline", "≤ +5 %"),
        ("drop", "≤ 5 % below reference", "≤ 5 %"),
        ("runs", "must load and run", "must load and run"),
    ],
)
def test_a_limit_in_words(kind: str, said: str, brief: str) -> None:
    """A limit shows its direction and what it is relative to."""
    gate = verdict("accuracy.top1", kind, 0.05, "5 %")

    assert wording.limit_of(gate) == said
    assert wording.limit_of(gate, brief=True) == brief


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("hwm_bytes", 41.5 * 2**20, "hwm 41.5 MiB"),
        ("load_s", 0.021, "load 21 ms"),
        ("load_instructions", 21.9e6, "load 21.9 M instructions"),
        ("idle_w", 1.6, "idle 1.6 W"),
        ("lost", 3.0, "lost 3"),
    ],
)
def test_raw_figures_are_said_with_their_unit(name: str, value: float, said: str) -> None:
    """The suffix of a raw figure's name tells its unit."""
    assert wording.scalar(name, value) == said


def test_times_of_a_virtual_clock_are_never_plain_milliseconds() -> None:
    """Only times: bytes are bytes on any clock."""
    assert wording.scalar("load_s", 0.021, is_virtual=True) == "load 21 ms virtual"
    assert wording.scalar("hwm_bytes", 41.5 * 2**20, is_virtual=True) == "hwm 41.5 MiB"


def test_every_outcome_has_a_rank_and_a_meaning() -> None:
    """No outcome can be forgotten in the order of urgency or without words."""
    assert set(wording.WORST_FIRST) == set(Outcome) == set(wording.MEANING)


def test_one_cause_reads_alike_for_every_gate_it_took_away() -> None:
    """The prefixes that name a gate are not part of the cause."""
    lost = verdict("memory.peak", "max", 1.0, "", reason="memory.peak: not measured: the link was lost")
    runs = verdict("crash", "runs", 0.0, "", reason="the link was lost")

    assert wording.cause_of(lost) == wording.cause_of(runs) == "the link was lost"
