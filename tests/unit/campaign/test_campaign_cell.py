"""One cell on a fake board: what is asked of it, and what each kind of fault leaves in the record."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.campaign.cell import CellEvidence, CellWork, measure
from harness.campaign.plan import plan_cell
from harness.campaign.reference import Computed, Controller
from harness.campaign.session import wanted_by_limits
from harness.errors import InfraError, RunCancelled
from harness.records.cell import Role, SessionKind
from harness.records.outcome import Attribution, Outcome
from harness.spec.model import Artifact, Device, Limit, LimitKind, Origin, Suite, Tier, Workload
from harness.testing.device import BoardScript, FakeBoard, FakeModel, write_data, write_model

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
    cancel = threading.Event()
    reference = Computed("onnxruntime==1", lambda: {"output_0": np.zeros((50, 10))})
    return measure(FakeBoard(work.device, script, cancel), work, Controller(reference), cancel)


def test_every_session_is_recorded_with_its_arrays_and_what_ran(work: Callable[..., CellWork]) -> None:
    """Order, roles, model hashes and array references match what is in memory; labels and reference come along."""
    cell = work()

    evidence = _measure(cell)

    record = evidence.record
    assert evidence.fatal is None
    assert record.incidents == ()
    assert [session.order for session in record.sessions] == list(range(1 + 3 + 12))
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
    assert len(evidence.record.sessions) == 16


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
    """The candidate is measured on; the incident belongs to the baseline."""
    evidence = _measure(work(baseline=FakeModel(seed=1, error="load")))

    (incident,) = evidence.record.incidents
    assert (incident.role, incident.outcome) == (Role.BASELINE, Outcome.INCONCLUSIVE)
    assert {session.role for session in evidence.record.sessions} == {Role.CANDIDATE}
    assert sum(session.kind is SessionKind.TIMING for session in evidence.record.sessions) == 6


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

    evidence = measure(FakeBoard(cell.device, BoardScript(), cancel), cell, Controller(), cancel)

    assert isinstance(evidence.fatal, RunCancelled)
    assert evidence.record.incidents[0].outcome is Outcome.CANCELLED


def test_a_reference_that_cannot_be_computed_is_the_farms_fault(work: Callable[..., CellWork]) -> None:
    """The candidate's sessions stay and the board goes on."""

    def fail() -> dict[str, np.ndarray]:
        raise InfraError("no runtime on the controller")

    cell, cancel = work(), threading.Event()

    evidence = measure(FakeBoard(cell.device, BoardScript(), cancel), cell, Controller(Computed("", fail)), cancel)

    assert [(incident.outcome, incident.code) for incident in evidence.record.incidents] == [
        (Outcome.INFRA, "reference")
    ]
    assert len(evidence.record.sessions) == 16
    assert evidence.fatal is None


def test_a_model_changed_after_the_plan_is_not_measured(work: Callable[..., CellWork]) -> None:
    """The plan's hash is what was promised to be measured."""
    cell = work()
    write_model(cell.files.model, FakeModel(seed=7))

    evidence = _measure(cell)

    assert [(incident.outcome, incident.code) for incident in evidence.record.incidents] == [
        (Outcome.INFRA, "integrity")
    ]


def test_the_deadline_of_a_cell_grows_with_its_sessions(work: Callable[..., CellWork]) -> None:
    """Every session may take its own deadline, twice, one for the reference too, and there is time to install."""
    cell = work()
    longer = replace(cell, planned=replace(cell.planned, workload=replace(cell.planned.workload, deadline_s=600.0)))

    assert longer.deadline_s - cell.deadline_s == 17 * 300.0 * 2
    assert cell.deadline_s > 16 * 300.0 * 2
