"""Profiles are taken when a count has changed, of the arms that need one, and never cost a cell its verdict."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.explain import profiled_roles
from harness.campaign.plan import plan_cell
from harness.campaign.reference import Controller
from harness.campaign.session import wanted_by_limits
from harness.campaign.work import CellEvidence, CellWork
from harness.gate.where import RECORDED
from harness.records.cell import Role, SessionKind
from harness.records.plan import RecordedFigure
from harness.records.profile import Profile
from harness.spec.model import Artifact, Device, Emulation, Limit, LimitKind, Origin, Suite, Tier
from harness.spec.workload import Workload
from harness.testing.device import BoardScript, FakeBoard, write_data
from harness.testing.played import FakeModel, write_model
from harness.testing.profile import make_profile

HERE = Origin("s.suite.yaml", 1, 1)
BOARD = Device("a53", "qemu-cortex-a53", ("qemu-cortex-a53",), Tier.DETERMINISTIC, HERE,
               emulation=Emulation("cortex-a53", 2**30, icount=True))  # fmt: skip
REGRESS = Limit("work.instructions", LimitKind.REGRESS, 0.05, "5 %", HERE)
OLD = FakeModel(seed=1, operators={"conv Conv": 900_000})
NEW = FakeModel(instructions=1_200_000, operators={"conv Conv": 1_100_000})
FIGURE = RecordedFigure("work.instructions", 1e6, 1e6, 1e6, "x.json (run r0)")
PROFILE = make_profile(OLD.operators)

Make = Callable[..., CellWork]


@pytest.fixture
def work(tmp_path: Path) -> Make:
    """Plan a cell on a deterministic board."""

    def make(candidate: FakeModel, baseline: FakeModel | None, *, limit: Limit = REGRESS) -> CellWork:
        new = write_model(tmp_path / "new.onnx", candidate)
        old = str(write_model(tmp_path / "old.onnx", baseline)) if baseline else ""
        artifact = Artifact("new", str(new), "onnxruntime", HERE, baseline=old)
        workload = Workload("classification", str(write_data(tmp_path / "d.npz", 20)), 30)
        suite = Suite("s", str(tmp_path / "s.suite.yaml"), workload, (artifact,), ())
        planned, paths = plan_cell(suite, artifact, BOARD, limits=(limit,))
        return CellWork(planned, BOARD, paths, wanted_by_limits(planned))

    return make


def run(work: CellWork) -> CellEvidence:
    """Measure on a fake board."""
    cancel = threading.Event()
    return CellMeasurement(FakeBoard(work.device, BoardScript(), cancel), work, cancel, Budget()).run(Controller())


def profiled(evidence: CellEvidence) -> list[Role]:
    """List the arms that were profiled, in order."""
    return [item.role for item in evidence.record.sessions if item.kind is SessionKind.PROFILE]


def with_record(work: CellWork, value: float, profile: Profile | None) -> CellWork:
    """Give a cell a committed baseline."""
    planned = replace(work.planned, recorded=(replace(FIGURE, value=value),))
    return replace(work, planned=planned, files=replace(work.files, recorded_profile=profile))


def test_both_arms_are_profiled_when_their_counts_differ(work: Make) -> None:
    """Fresh sessions of their own, after all others."""
    evidence = run(work(NEW, OLD))

    assert profiled(evidence) == [Role.BASELINE, Role.CANDIDATE]
    assert [item.kind for item in evidence.record.sessions[-2:]] == [SessionKind.PROFILE] * 2
    assert evidence.record.incidents == ()
    assert evidence.record.notes[0].startswith("the files are not compared: old.onnx cannot be read as ONNX: ")


def test_equal_counts_need_no_explanation(work: Make) -> None:
    """An unchanged code path costs no session."""
    assert profiled(run(work(replace(NEW, instructions=OLD.instructions), OLD))) == []


@pytest.mark.parametrize(
    ("value", "known", "expected"),
    [
        (1_200_000, True, []),
        (1_200_900, True, []),
        (1_000_000, True, [Role.CANDIDATE]),
        (1_200_000, False, [Role.CANDIDATE]),
    ],
    ids=["equal", "another-snapshot", "changed", "not-recorded-yet"],
)
def test_a_committed_figure_asks_for_the_candidate_alone(
    work: Make, value: float, known: bool, expected: list[Role]
) -> None:
    """When its count changed, or when the record lacks what each operator cost."""
    evidence = run(with_record(work(NEW, None), value, PROFILE if known else None))

    assert profiled(evidence) == expected
    assert (RECORDED in evidence.record.documents) == (known and bool(expected))


def test_from_the_same_snapshot_less_is_a_change(work: Make) -> None:
    """A few millionths come from what the board did before; a part in five thousand is a change."""
    cell = work(NEW, None)
    planned = replace(cell.planned, recorded=(replace(FIGURE, value=1_200_240, snapshot="s1"),))
    near = replace(cell.planned, recorded=(replace(FIGURE, value=1_200_012, snapshot="s1"),))
    sessions = run(cell)

    def choose(snapshot: str) -> tuple[Role, ...]:
        return profiled_roles(planned, PROFILE, sessions.record.sessions, sessions.arrays, snapshot=snapshot)

    assert choose("s1") == (Role.CANDIDATE,)
    assert choose("s2") == ()
    assert choose("") == ()
    planned = near
    assert choose("s1") == ()


def test_an_absolute_limit_needs_no_profile(work: Make) -> None:
    """Only a change can be explained."""
    limit = replace(REGRESS, kind=LimitKind.MAX, value=2e6)

    assert profiled(run(work(NEW, OLD, limit=limit))) == []


def test_a_profile_that_fails_is_a_note(work: Make) -> None:
    """The cell keeps its evidence, without an incident; the other arm is profiled all the same."""
    evidence = run(work(replace(NEW, operators={}), OLD))

    assert profiled(evidence) == [Role.BASELINE]
    assert evidence.record.incidents == ()
    assert evidence.record.notes[0] == "no profile of the candidate: the fake model has no operators"


def test_a_physical_board_takes_none(work: Make) -> None:
    """Its times are not exact, and its counts are not repeated."""
    cell = work(NEW, OLD)

    assert profiled(run(replace(cell, device=replace(BOARD, tier=Tier.HARDWARE, emulation=None)))) == []
