"""Instruction sets on paper: tables that fit, findings in words, nothing that a board or a file name could break."""

from __future__ import annotations

from dataclasses import replace

from harness.gate import judge
from harness.gate.instruction_set import compare_boards
from harness.records.instruction_set import CpuRow, Finding, FindingCode, InstructionSets
from harness.report import html, terminal
from harness.report.instruction_set import render, section
from harness.report.wording import COUNT_LIMITS
from harness.spec.model import Tier
from harness.testing.evidence import Scene, run_of

A53 = CpuRow(
    "cortex-a53", "QEMU 7.2, image 1, snapshot 2", exists=True, features=("fphp",), outputs_sha256="5f3a91c2" * 8,
    max_abs=0.0, max_rel=0.0, instructions=775776.0, counts=(775776.0, 775776.0), ratio=1.0,
    load_instructions=123_456_789.0, first_instructions=1_234_567.0, peak_bytes=61.4 * 2**20, against=1_004_966.0,
)  # fmt: skip
MAX = replace(
    A53, cpu="max", exists=False, features=("fphp", "asimdhp", "asimddp", "sve2", "i8mm", "bf16"),
    outputs_sha256="a" * 64, max_abs=0.0312, max_rel=0.004, instructions=377171.0, counts=(377171.0, 377171.0),
    ratio=0.486,
)  # fmt: skip
DEAD = CpuRow("cortex-a35", "", exists=True, features=(), failure="illegal_instruction in its accuracy session: sdot")
FOUND = InstructionSets(
    "int8.onnx", "ab" * 32, "onnxruntime 1.32.0 (CPUExecutionProvider), numpy 2.4.6", "8 samples drawn from seed 1",
    (DEAD, A53, MAX), (Finding(FindingCode.KERNEL, ("max",), "another kernel on max"),), "fp32.onnx",
)  # fmt: skip


def test_the_widest_table_fits_100_columns() -> None:
    """All columns filled, the longest features, a difference in the outputs; sentences wrap at less, too."""
    lines = render([FOUND], width=100).splitlines()

    assert max(map(len, lines)) <= 100
    assert max(len(line) for line in render([FOUND], width=40).splitlines() if " " * 3 not in line) <= 72


def test_a_row_says_what_was_seen() -> None:
    """Counts in full, `*` for no board that exists, the crash in words."""
    text = render([FOUND])

    rows = {line.split()[0]: line for line in text.split("Against")[0].splitlines() if line}
    assert "775,776" in rows["cortex-a53"]
    assert "377,171" in rows["max"]
    assert "max *" in rows["max"]
    assert "aaaaaaaa ±3.1e-02" in rows["max"]
    assert "cortex-a35: illegal_instruction in its accuracy session: sdot" in text
    assert "0.772" in text.split("Against fp32.onnx:")[1]
    assert "- another kernel on max" in text
    assert "cortex-a53: none; max: asimddp asimdhp sve2 i8mm bf16." in " ".join(text.split())
    assert COUNT_LIMITS in " ".join(text.split())


def test_no_finding_is_said_in_words() -> None:
    """Silence could be taken for a table that was cut."""
    assert "Findings: none." in render([replace(FOUND, findings=())])


def test_nothing_of_a_file_reaches_the_terminal_raw() -> None:
    """Control characters of names and messages are shown, not sent."""
    hostile = replace(FOUND, name="a\x1b[2Jb.onnx", rows=(replace(DEAD, failure="x\x1b]0;y\x07"), A53))

    assert "\x1b" not in render([hostile])
    assert "\x07" not in render([hostile])


def test_a_run_shows_what_differs_and_counts_the_rest() -> None:
    """Artifacts without a finding are one line in all."""
    lines = section([FOUND, replace(FOUND, name="b.onnx", findings=())])

    assert "1 of 2 artifacts: the same answers and the same code on every CPU." in lines[-2]
    assert not any("b.onnx" in line for line in lines)
    assert section([]) == []


def test_terminal_and_page_of_a_run_have_the_section() -> None:
    """The same rows in both, beside the verdicts, with the sentence on counts."""
    first = Scene(tier=Tier.DETERMINISTIC, device="a53", cpu="cortex-a53", sessions=2)
    run, samples = run_of([first.evidence(), replace(first, device="a76", cpu="cortex-a76", work=490_000).evidence()])
    judgement = judge(run, samples)

    text = terminal.render(run, judgement, compare_boards(run, samples))
    page = html.render(run, judgement, samples)

    for shown in (text, page):
        assert "Instruction sets" in shown
        assert "another kernel on cortex-a76 (a76): 0.49 of the instructions of cortex-a53 (a53)" in shown
        assert "490,000" in shown
        assert COUNT_LIMITS in " ".join(shown.split()).replace("&#39;", "'")
    assert '<a href="#isa">' in page


def test_a_run_on_one_cpu_has_no_section() -> None:
    """Neither a heading nor a link to nothing."""
    run, samples = run_of([Scene(tier=Tier.DETERMINISTIC, device="a53", cpu="cortex-a53", sessions=2).evidence()])

    assert "Instruction sets" not in html.render(run, judge(run, samples), samples)
