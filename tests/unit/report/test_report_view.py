"""The view model: what blocks, what is missing, the matrix, and whose judgement it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import RecordError
from harness.records.outcome import Outcome, Release
from harness.report.view import view
from harness.spec.model import Tier
from harness.testing.record import SampleRun, go_run, no_go_run, sample_run


@pytest.fixture(name="run", scope="module")
def _run() -> SampleRun:
    return no_go_run()


def test_blockers_keep_the_order_of_the_gate(run: SampleRun) -> None:
    """The first blocker of the decision is the first of the report."""
    shown = view(run.record, run.judgement)

    assert shown.release is Release.NO_GO
    first = shown.blockers[0]
    assert f"{first.cells[0].key} {first.gates[0].verdict.metric} max" == run.judgement.decision.blockers[0]


def test_gates_lost_for_one_reason_are_one_blocker(run: SampleRun) -> None:
    """A lost link is said once, with all gates that it took away."""
    shown = view(run.record, run.judgement)

    lost = [blocker for blocker in shown.blockers if blocker.outcome is Outcome.INFRA]
    assert len(lost) == 1
    assert len(lost[0].gates) == 6
    assert lost[0].gates[0].name == "loads and runs"


def test_one_dead_board_is_one_blocker(run: SampleRun) -> None:
    """What one cause took away from several cells of a board is said once, with every cell."""
    lost = tuple(
        replace(verdict, outcome=Outcome.INFRA, reason="not measured: a53 does not answer", estimate=None)
        if verdict.device == "a53"
        else verdict
        for verdict in run.judgement.verdicts
    )
    names = tuple(f"{verdict.cell} {verdict.metric} {verdict.kind}" for verdict in lost if verdict.device == "a53")
    decision = replace(run.judgement.decision, blockers=names)

    blockers = view(run.record, replace(run.judgement, verdicts=lost, decision=decision)).blockers

    assert len(blockers) == 1
    assert [cell.key for cell in blockers[0].cells] == [cell.key for cell in run.record.plan.cells[:4]]
    assert len(blockers[0].gates) == len(names)


def test_a_cell_without_figures_is_not_counted_as_measured() -> None:
    """A session that failed leaves INCONCLUSIVE gates without a figure: the coverage must not call that measured."""
    run = go_run()
    key = run.record.plan.cells[0].key
    lost = tuple(
        replace(verdict, outcome=Outcome.INCONCLUSIVE, reason="the candidate failed twice", estimate=None)
        if verdict.cell == key
        else verdict
        for verdict in run.judgement.verdicts
    )

    coverage = view(run.record, replace(run.judgement, verdicts=lost)).coverage

    assert [missing.cell.key for missing in coverage.missing] == [key]
    assert coverage.measured == coverage.planned - 1


def test_every_blocking_gate_is_shown_exactly_once(run: SampleRun) -> None:
    """Grouping loses nothing and repeats nothing."""
    shown = view(run.record, run.judgement)

    gates = [
        f"{gate.verdict.cell} {gate.verdict.metric} {gate.verdict.kind}"
        for blocker in shown.blockers
        for gate in blocker.gates
    ]
    assert sorted(gates) == sorted(run.judgement.decision.blockers)


def test_coverage_counts_what_was_planned_not_what_came_back(run: SampleRun) -> None:
    """Skipped cells are not planned; cells without evidence are missing with their reason."""
    coverage = view(run.record, run.judgement).coverage

    assert (coverage.planned, coverage.measured) == (11, 7)
    assert {missing.cell.worst for missing in coverage.missing} == {
        Outcome.FAIL,
        Outcome.INFRA,
        Outcome.DEVICE,
        Outcome.QUARANTINED,
    }
    assert all(missing.reason for missing in (*coverage.missing, *coverage.skipped))
    assert [missing.cell.key for missing in coverage.skipped] == ["face::blaze[a53]"]


def test_a_planned_cell_without_verdict_is_not_run(run: SampleRun) -> None:
    """A cell that the judgement forgot is shown as not run, never left out."""
    key = "digits::int8[a53]"
    kept = tuple(verdict for verdict in run.judgement.verdicts if verdict.cell != key)

    shown = view(run.record, replace(run.judgement, verdicts=kept))

    cell = next(cell for cell in shown.cells if cell.key == key)
    assert cell.worst is Outcome.NOT_RUN
    assert key in {missing.cell.key for missing in shown.coverage.missing}


def test_the_matrix_has_a_place_for_every_cell(run: SampleRun) -> None:
    """Rows are boards, columns artifacts, in the order of the plan."""
    shown = view(run.record, run.judgement)

    assert shown.columns == ("digits::int8", "digits::fp32", "digits::pruned", "face::blaze")
    assert [board.name for board in shown.boards] == ["a53", "a72", "pi-lab-3"]
    assert [cell.worst for cells in shown.boards[2].row for cell in cells] == [
        Outcome.FAIL,
        Outcome.INCONCLUSIVE,
        Outcome.QUARANTINED,
        Outcome.PASS,
    ]


def test_the_headline_of_a_passing_cell_is_its_tightest_gate(run: SampleRun) -> None:
    """Of all passing gates the one with the least margin is shown."""
    cell = next(cell for cell in view(run.record, run.judgement).cells if cell.key == "digits::fp32[a53]")

    margins = [gate.verdict.margin for gate in cell.gates if gate.verdict.margin is not None]
    assert cell.headline is not None
    assert cell.headline.verdict.margin == min(margins)


def test_a_judgement_of_another_run_is_refused(run: SampleRun) -> None:
    """Verdicts are never shown beside a run that they are not about."""
    with pytest.raises(RecordError, match="judge this run again"):
        view(run.record, replace(run.judgement, run_id="other"))


def test_a_verdict_on_an_unplanned_cell_is_refused(run: SampleRun) -> None:
    """A verdict without a planned cell would be invisible, so it is an error."""
    stray = replace(run.judgement.verdicts[0], cell="digits::int8[ghost]")

    with pytest.raises(RecordError, match="ghost"):
        view(run.record, replace(run.judgement, verdicts=(*run.judgement.verdicts, stray)))


def test_a_go_says_which_boards_it_stands_on() -> None:
    """Emulated boards are named beside physical ones, with what their verdict is not."""
    run = go_run()

    shown = view(run.record, run.judgement)

    assert shown.release is Release.GO
    assert shown.blockers == ()
    assert "1 physical board and 2 emulated boards" in shown.scope
    assert "never stands for a physical one" in shown.scope


def test_a_run_on_emulated_boards_alone_says_so() -> None:
    """Without a physical board the report says that every board is emulated."""
    run = go_run()
    devices = tuple(device for device in run.record.plan.devices if device.tier is not Tier.HARDWARE)
    record = replace(run.record, plan=replace(run.record.plan, devices=devices))

    assert "All 2 boards of this run are emulated" in view(record, run.judgement).scope


def test_a_board_that_was_never_reached_says_so(run: SampleRun) -> None:
    """A planned board without a record is shown as not reached, not left out."""
    record = replace(run.record, devices=run.record.devices[:1])

    boards = view(record, run.judgement).boards

    assert [fact.value for fact in boards[2].facts if fact.name == "Seen"] == ["never reached in this run"]


def test_a_cell_says_how_to_do_it_again(run: SampleRun) -> None:
    """The command selects the board and the one item."""
    cell = next(cell for cell in view(run.record, run.judgement).cells if cell.key == "digits::int8[pi-lab-3]")

    assert cell.reproduce == "pytest --devices=farm.yaml::pi-lab-3 'suites/digits/digits.suite.yaml::int8[pi-lab-3]'"


def test_two_measurements_of_one_artifact_share_a_place_and_keep_their_test() -> None:
    """A Python suite may measure one artifact twice on a board: both are shown, both say how to do them again."""
    run = go_run()
    first = run.record.plan.cells[0]
    key = "suites/digits/test_budget.py::test_work[a53]"
    twice = tuple(
        replace(first, key=name, suite_file="suites/digits/test_budget.py", limits=()) for name in (key, f"{key}#2")
    )
    record = replace(run.record, plan=replace(run.record.plan, cells=twice), cells=())
    judgement = replace(run.judgement, verdicts=())

    shown = view(record, judgement)

    assert [cell.key for cell in shown.boards[0].row[0]] == [key, f"{key}#2"]
    assert {cell.reproduce for cell in shown.cells} == {f"pytest --devices=farm.yaml::a53 '{key}'"}


def test_the_order_of_sessions_is_told(run: SampleRun) -> None:
    """Baseline and candidate alternate, and the report shows that they did."""
    cell = next(cell for cell in view(run.record, run.judgement).cells if cell.key == "digits::int8[pi-lab-3]")

    order = next(fact.value for fact in cell.provenance if fact.name == "Sessions in order")
    assert order.startswith("timing: B C B C B C B C B C B C; memory: C C C; energy: C")


def test_the_sample_run_has_every_outcome() -> None:
    """The public sample is good for testing whatever reads runs."""
    assert {verdict.outcome for verdict in sample_run().judgement.verdicts} == set(Outcome)


def test_what_the_files_and_the_runtime_say_of_themselves_is_shown() -> None:
    """The profile's description stands with the board, the runtime's settings with the cell."""
    run = go_run()
    devices = tuple(replace(device, description="Camera, rev C") for device in run.record.plan.devices)
    cells = tuple(
        replace(cell, sessions=tuple(replace(item, settings={"mem_pattern": "true"}) for item in cell.sessions))
        for cell in run.record.cells
    )
    record = replace(run.record, plan=replace(run.record.plan, devices=devices), cells=cells)

    shown = view(record, run.judgement)

    board = shown.boards[0]
    assert ("Kind", "Camera, rev C") in [(fact.name, fact.value) for fact in board.facts]
    cell = next(cell for row in board.row for cell in row if cell.sessions)
    assert ("Settings", "mem_pattern true") in [(fact.name, fact.value) for fact in cell.provenance]


def test_the_snapshot_of_an_emulated_board_is_named() -> None:
    """Whoever compares counts of two runs sees whether they are of one machine state; a physical board has none."""
    run = go_run()
    shown = view(run.record, run.judgement)

    named = {board.name: [fact.value for fact in board.facts if fact.name == "Snapshot"] for board in shown.boards}

    ids = {device.name: device.snapshot for device in run.record.devices}
    assert {name: bool(values) for name, values in named.items()} == {name: bool(found) for name, found in ids.items()}
    assert ids["a53"] in named["a53"][0]
