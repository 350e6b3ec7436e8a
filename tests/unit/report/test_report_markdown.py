"""The CI summary: short, bounded, and no markup from boards."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.gate import judge
from harness.records.verdict import Trail
from harness.report import markdown
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.record import SampleRun, go_run, no_go_run, sample_run


@pytest.fixture(name="run", scope="module")
def _run() -> SampleRun:
    return no_go_run()


def test_the_decision_is_the_heading(run: SampleRun) -> None:
    """The first line is the decision, the sentence follows."""
    lines = markdown.render(run.record, run.judgement).splitlines()

    assert lines[0] == "## ❌ NO-GO"
    assert lines[2].startswith("**3 of 100 gates fail")


def test_blockers_are_a_table_with_equal_columns(run: SampleRun) -> None:
    """Every row of the table has as many cells as its head."""
    rows = [line for line in markdown.render(run.record, run.judgement).splitlines() if line.startswith("| ")]

    blockers = [row for row in rows if row.count(" |") == 7]
    assert len(blockers) == 1 + 9
    assert (
        "| FAIL | digits::int8\\[pi-lab-3\\] | latency.p95 | 4.27 ms \\[4.22, 4.41\\] ms | ≤ 4 ms | 5.5 % over |"
        in (blockers[1])
    )


def test_only_the_worst_are_listed_and_the_others_counted(run: SampleRun) -> None:
    """A long list is cut, and says how long it is."""
    text = markdown.render(run.record, run.judgement, worst=2)

    assert "… and 7 more reasons in the report." in text
    assert "QUARANTINED | digits" not in text


@pytest.mark.parametrize(
    "attack",
    [
        "[click](https://evil.example)",
        "![x](https://evil.example/pixel.png)",
        "<img src=x onerror=alert(1)>",
        "@everyone closes #1",
        "a | b | c",
        "line\n## heading",
        "https://evil.example www.evil.example",
        "`code` **bold** $math$",
    ],
)
def test_text_from_a_board_is_never_markup(attack: str) -> None:
    """No link, image, tag, mention, reference, table cell or heading can come from a board."""
    safe = markdown.escape(attack)

    assert not re.search(r"(?<!\\)[\[\]`*_$~]", safe)
    assert not re.search(r"[<>@|\n]|(?<!&)#\d|://|www\.", safe)


def test_a_summary_never_exceeds_what_a_ci_page_takes() -> None:
    """Ten thousand long reasons still make a summary below 900 kB that says what is missing."""
    run = sample_run()
    long = tuple(
        replace(verdict, reason="x" * 2000 + str(index)) for index, verdict in enumerate(run.judgement.verdicts)
    )
    judgement = replace(run.judgement, verdicts=long)

    text = markdown.render(run.record, judgement, worst=10_000)
    bounded = markdown._bounded(["y" * 1000] * 2000)

    assert len(text.encode()) < markdown.LARGEST
    assert len(bounded.encode()) < markdown.LARGEST
    assert bounded.endswith("The rest does not fit here; it is in the report.\n")


def test_a_go_has_no_table_of_blockers() -> None:
    """A GO is a heading, a sentence and the matrix."""
    run = go_run()

    text = markdown.render(run.record, run.judgement)

    assert text.startswith("## ✅ GO")
    assert "| outcome |" not in text
    assert "| a53 | emulated, exact counts | PASS" in text


def test_a_blocker_decided_in_pairs_says_what_is_known_of_the_noise() -> None:
    """Whoever reads the job page alone must see that the board was never calibrated."""
    scene = Scene(limits=(limit("latency.p50", "regress", 0.05, "5 %"),), baseline=0.8)
    run, samples = run_of([scene.evidence()])

    judgement = judge(run, samples)
    paired = [replace(verdict, trail=Trail("gs_t", "known", 0.006, ())) for verdict in judgement.verdicts]

    text = markdown.render(run, replace(judgement, verdicts=tuple(paired)))

    (row,) = (line for line in text.splitlines() if "latency.p50 vs baseline" in line)
    assert row.endswith("; not calibrated |")
