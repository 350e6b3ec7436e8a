"""One cell on a fake board: what is asked of it, and what each kind of fault leaves in the record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.plan import plan_cell
from harness.campaign.reference import Computed, Controller
from harness.campaign.session import wanted_by_limits
from harness.campaign.work import CellEvidence, CellWork
from harness.errors import InfraError, RunCancelled
from harness.records.cell import Role, SessionKind, Stage
from harness.records.outcome import Attribution, Outcome
from harness.spec.model import Artifact, Device, Limit, LimitKind, Origin, Suite, Tier
from harness.spec.workload import Workload
from harness.testing.device import BoardScript, FakeBoard, write_data
from harness.testing.played import FakeModel, write_model

HERE = Origin("s.suite.yaml", 1, 1)
BOARD = Device("here", "host", ("host",), Tier.HARDWARE, HERE)
LIMITS = (
    Limit("latency.p95", LimitKind.REGRESS, 0.05, "5 %", HERE),
    Limit("memory.peak", LimitKind.MAX, 1e9, "1 GB", HERE),
)


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., CellWork]:
    """Plan a cell of a candidate, a baseline and a reference whose behaviour the test gives."""

    def make(candidate: FakeModel = FakeModel(), baseline: FakeModel = FakeModel(seed=1)) -> CellWork:  # noqa: B008
        files = [
            write_model(tmp_path / name, model) for name, model in (("new.onnx", candidate), ("old.onnx", baseline))
        ]
        data, reference = write_data(tmp_path / "d.npz", 50), write_model(tmp_path / "ref.onnx", FakeModel(seed=2))
        artifact = Artifact("new", str(files[0]), "onnxruntime", HERE, baseline=str(files[1]))
        workload = Workload("classification", str(data), 20)
        suite = Suite("s", str(tmp_path / "s.suite.yaml"), workload, (artifact,), (), str(reference))
        planned, paths = plan_cell(suite, artifact, BOARD, limits=LIMITS)
        return CellWork(planned, BOARD, paths, wanted_by_limits(planned))

    return make


def _measure(work: CellWork, script: BoardScript = BoardScript()) -> CellEvidence:  # noqa: B008
    reference = Computed("onnxruntime==1", lambda: {"output_0": np.zeros((50, 10))})
    return _finish(work, script, threading.Event(), Controller(reference))


def _finish(
    work: CellWork,
    script: BoardScript,
    cancel: threading.Event,
    controller: Controller | None = None,
    budget: Budget | None = None,
) -> CellEvidence:
    measurement = CellMeasurement(FakeBoard(work.device, script, cancel), work, cancel, budget or Budget())
    return measurement.run(controller or Controller())


def test_every_session_is_recorded_with_its_arrays_and_what_ran(work: Callable[..., CellWork]) -> None:
    """Order, roles, model hashes and array references match what is in memory; labels and reference come along."""
    cell = work()

    evidence = _measure(cell)

    record = evidence.record
    assert evidence.fatal is None
    assert record.incidents == ()
    assert [session.order for session in record.sessions] == list(range(1 + 3 + 6))
    hashes = {session.role: session.model_sha256 for session in record.sessions}
    assert cell.planned.baseline is not None
    assert hashes == {Role.CANDIDATE: cell.planned.model.sha256, Role.BASELINE: cell.planned.baseline.sha256}
    refs = [ref for session in record.sessions for ref in session.arrays.values()]
    refs += record.reference_arrays.values()
    assert {ref.key for ref in refs} == set(evidence.arrays)
    assert {"labels", "reference/output_0"} <= set(evidence.arrays)
    assert all(evidence.arrays[ref.key].shape == ref.shape for ref in refs)


@pytest.mark.parametrize(
    ("code", "outcome", "attribution"),
    [
        ("load", Outcome.FAIL, Attribution.MODEL),
        ("crash", Outcome.FAIL, Attribution.MODEL),
        ("illegal_instruction", Outcome.FAIL, Attribution.MODEL),
        ("killed", Outcome.INCONCLUSIVE, Attribution.UNKNOWN),
        ("input", Outcome.INCONCLUSIVE, Attribution.USER),
    ],
)
def test_a_failure_confirmed_by_a_second_process_ends_the_candidate(
    work: Callable[..., CellWork], code: str, outcome: Outcome, attribution: Attribution
) -> None:
    """The model is blamed for its own failures, the user for data that does not fit; no session is wasted after it."""
    evidence = _measure(work(candidate=FakeModel(error=code)))

    (incident,) = evidence.record.incidents
    assert (incident.outcome, incident.attribution, incident.code) == (outcome, attribution, code)
    assert "twice" in incident.message
    assert evidence.record.sessions == ()
    assert evidence.fatal is None


def test_a_failure_that_does_not_repeat_is_flaky_and_never_laundered(work: Callable[..., CellWork]) -> None:
    """The second attempt's figures are kept, beside an incident that keeps the gate from passing."""
    evidence = _measure(work(candidate=FakeModel(error="crash", errors=1)))

    assert [(incident.outcome, incident.code) for incident in evidence.record.incidents] == [
        (Outcome.INCONCLUSIVE, "flaky")
    ]
    assert len(evidence.record.sessions) == 10


@pytest.mark.parametrize(("unfit", "outcome"), [(2, Outcome.FAIL), (1, Outcome.INCONCLUSIVE)])
def test_a_runtime_that_does_not_run_there_fails_the_cell_and_not_the_board(
    work: Callable[..., CellWork], unfit: int, outcome: Outcome
) -> None:
    """Twice an illegal instruction is the artifact's failure; once is flaky; other cells of the board go on."""
    evidence = _measure(work(), BoardScript(unfit=unfit))

    (incident,) = evidence.record.incidents
    assert incident.outcome is outcome
    assert "does not run on this CPU: sdot v0.4s" in incident.message
    assert bool(evidence.record.sessions) is (unfit == 1)
    assert evidence.fatal is None


def test_a_broken_baseline_takes_the_comparison_only(work: Callable[..., CellWork]) -> None:
    """The candidate is measured on, once where nothing is left to decide; the incident belongs to the baseline."""
    evidence = _measure(work(baseline=FakeModel(seed=1, error="load")))

    (incident,) = evidence.record.incidents
    assert (incident.role, incident.outcome) == (Role.BASELINE, Outcome.INCONCLUSIVE)
    assert {session.role for session in evidence.record.sessions} == {Role.CANDIDATE}
    assert sum(session.kind is SessionKind.TIMING for session in evidence.record.sessions) == 1


@pytest.mark.parametrize(
    ("fault", "outcome"), [("link", Outcome.INFRA), ("device", Outcome.DEVICE), ("security", Outcome.SECURITY)]
)
def test_a_lost_board_keeps_what_was_measured(work: Callable[..., CellWork], fault: str, outcome: Outcome) -> None:
    """Sessions so far stay, the incident says who is to blame, and the board is given up."""
    evidence = _measure(work(), BoardScript(fault=fault, after=3))

    assert len(evidence.record.sessions) == 3
    assert [incident.outcome for incident in evidence.record.incidents] == [outcome]
    assert evidence.fatal is not None


def test_a_cancelled_cell_says_so(work: Callable[..., CellWork]) -> None:
    """Nothing is measured after cancellation."""
    cancel = threading.Event()
    cancel.set()
    cell = work()

    evidence = _finish(cell, BoardScript(), cancel)

    assert isinstance(evidence.fatal, RunCancelled)
    assert evidence.record.incidents[0].outcome is Outcome.CANCELLED


def test_a_reference_that_cannot_be_computed_is_the_farms_fault(work: Callable[..., CellWork]) -> None:
    """The candidate's sessions stay and the board goes on."""

    def fail() -> dict[str, np.ndarray]:
        raise InfraError("no runtime on the controller")

    cell, cancel = work(), threading.Event()

    evidence = _finish(cell, BoardScript(), cancel, Controller(Computed("", fail)))

    assert [(incident.outcome, incident.code) for incident in evidence.record.incidents] == [
        (Outcome.INFRA, "reference")
    ]
    assert len(evidence.record.sessions) == 10
    assert evidence.fatal is None


def test_the_true_cause_replaces_the_fatal_incident_and_no_other(work: Callable[..., CellWork]) -> None:
    """What the controller could not compute stands after the lost link, and stays."""

    def fail() -> dict[str, np.ndarray]:
        raise InfraError("no runtime on the controller")

    lost = _finish(work(), BoardScript(fault="link", after=3), threading.Event(), Controller(Computed("", fail)))
    told = lost.because_of(RunCancelled("the run was cancelled"))

    assert [incident.code for incident in lost.record.incidents][1:] == ["reference"]
    assert [incident.outcome for incident in told.record.incidents] == [Outcome.CANCELLED, Outcome.INFRA]
    assert told.record.incidents[1] == lost.record.incidents[1]
    assert isinstance(told.fatal, RunCancelled)


def test_a_model_changed_after_the_plan_is_not_measured(work: Callable[..., CellWork]) -> None:
    """The plan's hash is what was promised to be measured."""
    cell = work()
    write_model(cell.files.model, FakeModel(seed=7))

    evidence = _measure(cell)

    assert [(incident.outcome, incident.code) for incident in evidence.record.incidents] == [
        (Outcome.INFRA, "integrity")
    ]


def test_the_deadline_of_a_cell_grows_with_its_sessions(work: Callable[..., CellWork]) -> None:
    """Every session and as many pairs as there may be take their own deadline, twice, and there is time to install."""
    cell = work()
    longer = replace(cell, planned=replace(cell.planned, workload=replace(cell.planned.workload, deadline_s=600.0)))

    assert longer.deadline_s - cell.deadline_s == (5 + 48) * 300.0 * 2
    assert cell.deadline_s > (5 + 48) * 300.0 * 2


def _stages(evidence: CellEvidence, role: Role = Role.CANDIDATE) -> list[Stage | None]:
    sessions = evidence.record.sessions
    return [item.stage for item in sessions if item.role is role and item.kind is SessionKind.TIMING]


def test_a_clear_pass_stops_after_three_pairs(work: Callable[..., CellWork]) -> None:
    """The first look decides an unchanged candidate; every pair holds both arms, back to back."""
    evidence = _measure(work())

    timed = [session for session in evidence.record.sessions if session.kind is SessionKind.TIMING]
    assert _stages(evidence) == [Stage.FIRST] * 3
    assert [session.pair for session in timed] == [0, 0, 1, 1, 2, 2]
    arms = [{one.role, other.role} for one, other in zip(timed[::2], timed[1::2], strict=True)]
    assert arms == [{Role.CANDIDATE, Role.BASELINE}] * 3
    assert evidence.record.pairing is not None
    assert not evidence.record.pairing.out_of_budget


def test_a_failure_is_confirmed_on_fresh_pairs(work: Callable[..., CellWork]) -> None:
    """A candidate that is 20 % slower is shown once and confirmed once, with other coins."""
    evidence = _measure(work(candidate=FakeModel(latency_s=1.2e-3)))

    stages = _stages(evidence)
    pairing = evidence.record.pairing
    assert pairing is not None
    assert pairing.seed != pairing.confirm_seed
    assert stages[:3] == [Stage.FIRST] * 3
    assert set(stages[3:]) == {Stage.CONFIRM}
    assert len(stages) <= 8


def test_a_budget_that_is_spent_ends_the_pairs_and_says_so(work: Callable[..., CellWork]) -> None:
    """What is fixed beforehand is measured all the same; pairs are as long as there is time for one."""
    budget = Budget(0.02)

    evidence = _finish(work(), BoardScript(session_s=0.01), threading.Event(), budget=budget)

    assert evidence.record.pairing is not None
    assert evidence.record.pairing.out_of_budget
    assert _stages(evidence) == []
    assert sum(session.kind is SessionKind.MEMORY for session in evidence.record.sessions) == 3


def test_a_cell_can_be_left_after_every_pair_and_loses_nothing(work: Callable[..., CellWork]) -> None:
    """When the board is lost to another cell, what was measured stays, with the reason why no more came."""
    cancel = threading.Event()
    cell = work()
    measurement = CellMeasurement(FakeBoard(cell.device, BoardScript(), cancel), cell, cancel, Budget())

    assert measurement.advance()
    evidence = measurement.abandoned(InfraError("the link was lost", code="link"))

    assert _stages(evidence) == [Stage.FIRST]
    assert [(item.outcome, item.code) for item in evidence.record.incidents] == [(Outcome.INFRA, "link")]
