"""Where the work went, in every report: named, escaped, and in parts that add up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from harness.gate import judge
from harness.records.canonical import to_json
from harness.records.cell import ArrayRef
from harness.records.graph import Graph, GraphOperator, GraphTensor
from harness.report import html, markdown, terminal
from harness.spec.model import Tier
from harness.stats import Evidence
from harness.testing.evidence import Scene, limit, run_of

BEFORE = {"conv1 Conv": 600_000, "conv2 Conv": 300_000, "old Relu": 1_000}
AFTER = {"conv1 Conv": 600_000, "conv2 Conv": 400_000, "<b>x</b>|`\u202e Evil": 5_000}
SCENE = Scene(
    tier=Tier.DETERMINISTIC, sessions=2, limits=(limit("work.instructions", "regress", 0.05, "5 %"),),
    work=1_120_000, baseline=1_000_000 / 1_120_000, operators=AFTER, baseline_operators=BEFORE,
)  # fmt: skip


def page(scene: Scene = SCENE) -> str:
    """Render the HTML report of one cell."""
    run, samples = run_of([scene.evidence()])
    return html.render(run, judge(run, samples), samples)


def test_the_table_has_new_gone_and_changed_operators_and_the_whole() -> None:
    """Each with its counts, its change and its share of the baseline's count."""
    section = page().split("Where the work went")[1].split("</table>")[0]
    rows = [re.sub(r"<[^>]+>|\s+", " ", row).split() for row in section.split("<tr>")[2:]]
    words = [" ".join(row) for row in rows]

    assert words[0].startswith("changed Conv conv2 [1,8] -&gt; [1,8] 300 k 400 k +100 k +10 %")
    assert words[1].startswith("new Evil")
    assert words[2].startswith("gone Relu old [1,8] -&gt; [1,8] 1 k -1 k -0.1 %")
    assert words[3].startswith("the rest: 1 operator that did not change, and the call around them +16 k +1.6 %")
    assert words[4].startswith("the whole inference +120 k +12 %")


def test_names_of_operators_are_text() -> None:
    """A model's names can neither make markup nor turn the writing direction."""
    text = page()

    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;|`\\u202e" in text
    assert "\u202e" not in text


def test_the_bars_speak_to_those_who_do_not_see_them() -> None:
    """Each bar has its share as title, to the right for more work."""
    section = page().split("Where the work went")[1].split("</table>")[0]

    assert "<title>changed: +10 %</title>" in section
    assert section.count('class="more"') == 4
    assert section.count('class="less"') == 1


def test_terminal_and_markdown_have_the_line() -> None:
    """Wrapped in the terminal, escaped in Markdown."""
    run, samples = run_of([SCENE.evidence()])
    judgement = judge(run, samples)

    lines = terminal.render(run, judgement, width=80).splitlines()
    row = next(line for line in markdown.render(run, judgement).splitlines() if "+12 %: conv2" in line)

    assert any("where: +12 %: conv2 Conv +10 %" in line for line in lines)
    assert "\u202e" not in "".join(lines)
    assert "&lt;b&gt;x&lt;/b&gt;&#124;" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_what_the_files_differ_in_stands_below() -> None:
    """New, gone and changed operators with shapes and parameters, stored bytes by type, and names as text."""
    before = Graph("ONNX", (operator("a", "Conv"), operator("b", "Relu")), (GraphTensor("w", "float32", "[9]", 36),))
    after = Graph("ONNX", (operator("a", "Conv", "scale 0.5, zero 3"), operator("<i>", "Clip")),
                  (GraphTensor("w", "int8", "[9]", 9),))  # fmt: skip
    evidence = with_documents(SCENE.evidence(), {"graph/baseline": before, "graph/candidate": after})
    run, samples = run_of([evidence])

    section = html.render(run, judge(run, samples), samples).split("What the files differ in")[1].split("</details>")[0]

    summary = "1 operator new, 1 operator gone, 1 operator changed, 0 the same; stored: int8 9 B (was 0 B), float32 0 B"
    assert section.startswith(f": {summary}")
    words = re.sub(r"<[^>]+>|\s+", " ", section)
    assert "none, now scale 0.5, zero 3" in words
    assert "Clip &lt;i&gt;" in re.sub(r" +", " ", words)
    assert "float32 [9], 36 B, now int8 [9], 9 B" in words


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_a_damaged_graph_is_no_table(damage: bytes) -> None:
    """The page is whole without it."""
    evidence = with_documents(SCENE.evidence(), {"graph/baseline": damage, "graph/candidate": damage})
    run, samples = run_of([evidence])

    assert "What the files differ in" not in html.render(run, judge(run, samples), samples)


def operator(name: str, kind: str, quantization: str = "") -> GraphOperator:
    """Make an operator of a file."""
    return GraphOperator(name, kind, "[1] -> [1]", quantization)


def with_documents(evidence: Evidence, texts: Mapping[str, Graph | bytes]) -> Evidence:
    """Keep texts beside the samples of a cell."""
    arrays = {
        name: np.frombuffer(text if isinstance(text, bytes) else to_json(text), np.uint8)
        for name, text in texts.items()
    }
    refs = {name: ArrayRef(name, array.shape, "uint8") for name, array in arrays.items()}
    return replace(evidence, cell=replace(evidence.cell, documents=refs), arrays={**evidence.arrays, **arrays})


@pytest.mark.parametrize("field", ["operators", "baseline_operators"])
def test_without_one_of_the_profiles_there_is_no_table(field: str) -> None:
    """Half an explanation is none."""
    assert "Where the work went" not in page(replace(SCENE, **{field: {}}))  # type: ignore[arg-type]
