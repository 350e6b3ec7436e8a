"""The answers of a cell as a reader sees them: parts of a loss, conformance in words, bounded tables of flips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.gate import judge
from harness.records.cell import CellRecord
from harness.report import html
from harness.report.answers import AnswersView
from harness.report.provenance import order_of
from harness.report.view import ReportView, view
from harness.testing.evidence import Scene, limit, run_of

SCENE = Scene(wrong=84, controller=24, reference_on_board=6, limits=(limit("accuracy.top1", "drop", 0.01, "1 pp"),))


def _shown(scene: Scene) -> tuple[ReportView, str]:
    run, samples = run_of([scene.evidence()])
    builds = {"reference": "onnxruntime==1.32.0", "controller": "onnxruntime==1.32.0"}
    run = replace(run, cells=tuple(replace(cell, controller_builds=builds) for cell in run.cells))
    judgement = judge(run, samples)
    return view(run, judgement), html.render(run, judgement, samples)


def _answers(scene: Scene) -> AnswersView:
    found = _shown(scene)[0].cells[0].answers
    assert found is not None
    return found


def test_the_parts_of_a_loss_are_said_with_what_they_compare() -> None:
    """20 points lost: 5 by quantization, 15 on the board, of which the reference loses half a point too."""
    found = _answers(SCENE)

    assert [(part.name, part.value) for part in found.parts] == [
        ("loss", "+20 pp"),
        ("quantization", "+5 pp"),
        ("platform", "+15 pp"),
        ("platform, reference", "+0.5 pp"),
        ("platform, this artifact", "+14.5 pp"),
    ]
    assert all(part.interval.startswith("[") for part in found.parts)


def test_flips_are_listed_to_fifty_and_counted_whole() -> None:
    """80 flips against the reference and 60 against the controller; each row tells who was right."""
    found = _answers(SCENE)

    assert [table.summary for table in found.tables] == [
        "80 hard flips and 0 tie flips of 400 samples; the first 50 are listed",
        "60 hard flips and 0 tie flips of 400 samples; the first 50 are listed",
    ]
    first = found.tables[0].rows[0]
    assert (first.sample, first.label, first.before, first.after, first.kind) == (4, "4", "4 right", "5 wrong", "hard")


def test_conformance_names_the_build_and_the_size_of_the_difference() -> None:
    """A reader learns which runtime disagrees, for how many samples, and by how much."""
    assert "The board (onnxruntime==1.32.0) computes the same file otherwise" in _answers(SCENE).conformance
    assert "60 of 400 samples" in _answers(SCENE).conformance


def test_rounding_alone_is_called_what_it_is() -> None:
    """Differences within the tolerance are said, and not as a finding."""
    evidence = Scene(controller=4).evidence()
    scores = np.nextafter(evidence.arrays["controller/output_0"], np.float32(2.0))
    run, samples = run_of([replace(evidence, arrays={**evidence.arrays, "controller/output_0": scores})])

    found = view(run, judge(run, samples)).cells[0].answers

    assert found is not None
    assert "within the numerical tolerance" in found.conformance
    assert found.tables == ()


def test_the_page_shows_the_answers_and_who_computed_them() -> None:
    """Section, parts, both lists and the builds of the controller stand in the HTML."""
    page = _shown(SCENE)[1]

    assert "<h3>Answers</h3>" in page
    assert "Flips against the reference: 80 hard flips" in page
    assert "Flips against the controller: 60 hard flips" in page
    assert "this artifact by onnxruntime==1.32.0, the reference by onnxruntime==1.32.0" in page


def test_a_cell_without_a_change_has_no_such_section() -> None:
    """Nothing flipped, nothing lost: nothing to read."""
    shown, page = _shown(Scene())

    assert shown.cells[0].answers is None
    assert "<h3>Answers</h3>" not in page


def test_the_reference_on_the_board_is_told_from_the_candidate() -> None:
    """Its session has a letter of its own in the order of sessions."""
    record: CellRecord = SCENE.evidence().cell

    assert "accuracy: C R" in order_of(record.sessions)
