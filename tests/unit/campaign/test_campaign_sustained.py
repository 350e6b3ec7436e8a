"""A load that lasts in a campaign: which sessions are planned, what they are asked, and what a cut leaves."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from harness.agent.message import SessionRequest
from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.plan import plan_cell
from harness.campaign.reference import Controller
from harness.campaign.session import sessions_of, wanted_by_limits
from harness.campaign.work import CellWork
from harness.errors import LinkLost
from harness.farm.boards import SessionSeen
from harness.gate.cell import judge_cell
from harness.records.cell import Role, SessionKind
from harness.records.outcome import Outcome
from harness.records.trial import Place, Trial
from harness.spec.model import Artifact, Device, Limit, LimitKind, MeterSpec, Origin, Suite, Tier
from harness.spec.workload import Sustain, Workload
from harness.stats import Evidence
from harness.testing.device import BoardScript, FakeBoard, FakeSeen, write_data
from harness.testing.played import FakeModel, write_model

HERE = Origin("s.suite.yaml", 1, 1)
BOARD = Device("here", "host", ("host",), Tier.HARDWARE, HERE, power=MeterSpec("hwmon", root="/other/sys"))
THROUGHPUT, THROTTLE = "sustained.throughput", "sustained.time_to_throttle"


class Board(FakeBoard):
    """A fake board that remembers what it was asked; with `cut`, its link is lost during a load that lasts."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__(BOARD, BoardScript(), threading.Event())
        self.asked: list[SessionRequest] = []
        self._cut = cut

    def measure(self, request: SessionRequest) -> SessionSeen:
        """Play one session."""
        self.asked.append(request)
        seen = super().measure(request)
        if not self._cut or request.kind != "sustained":
            return seen
        seen.reply.flags.append("cut-short")
        return FakeSeen(seen.reply, seen.arrays, cut_short=LinkLost("the link was lost", code="closed"))


def measure(folder: Path, board: Board, *limits: Limit, sustain: Sustain | None = Sustain(1200.0)) -> Evidence:  # noqa: B008
    """Measure a model that throttles to 70 % beside one that does not."""
    files = [
        write_model(folder / name, FakeModel(sag=sag, seed=seed))
        for name, sag, seed in (("new.onnx", 0.3, 0), ("old.onnx", 0.0, 1))
    ]
    artifact = Artifact("new", str(files[0]), "onnxruntime", HERE, baseline=str(files[1]))
    workload = Workload("classification", str(write_data(folder / "d.npz", 50)), 20, sustain=sustain)
    suite = Suite("s", str(folder / "s.suite.yaml"), workload, (artifact,), ())
    planned, paths = plan_cell(suite, artifact, BOARD, limits=limits)
    work = CellWork(planned, BOARD, paths, wanted_by_limits(planned))
    seen = CellMeasurement(board, work, threading.Event(), Budget()).run(Controller())
    return Evidence(planned, BOARD, seen.record, seen.arrays)


def kinds(evidence: Evidence) -> list[tuple[SessionKind, Role]]:
    """Return which sessions there are."""
    return [(session.kind, session.role) for session in evidence.cell.sessions]


def test_one_session_that_lasts_comes_last(tmp_path: Path) -> None:
    """Asked for by the workload alone; it lasts as long, has the board's meter beside it, and gets the time for it."""
    board = Board()
    evidence = measure(tmp_path, board, sustain=Sustain(1200.0, 10.0))

    assert kinds(evidence)[-1] == (SessionKind.SUSTAINED, Role.CANDIDATE)
    assert len(kinds(evidence)) == 2
    asked = board.asked[-1]
    assert asked.sustain is not None
    assert (asked.sustain.time_s, asked.sustain.rate_hz, asked.sustain.root) == (1200.0, 10.0, "/other/sys")
    assert asked.meter is not None
    assert asked.deadline_s == board.asked[0].deadline_s + 1200.0


def test_the_baseline_lasts_too_where_it_is_compared(tmp_path: Path) -> None:
    """A model that throttles loses in minute twenty what a `regress` gate sees, and its throttling is timed."""
    limits = (
        Limit(THROUGHPUT, LimitKind.REGRESS, 0.1, "10 %", HERE),
        Limit(THROTTLE, LimitKind.MIN, 600.0, "10 min", HERE),
    )
    evidence = measure(tmp_path, Board(), *limits)

    assert {role for kind, role in kinds(evidence) if kind is SessionKind.SUSTAINED} == {Role.CANDIDATE, Role.BASELINE}
    verdicts = {item.metric: item for item in judge_cell(evidence.planned, evidence, None)}
    assert verdicts[THROUGHPUT].outcome is Outcome.REGRESSION, verdicts[THROUGHPUT].reason
    assert verdicts[THROTTLE].outcome is Outcome.FAIL, verdicts[THROTTLE].reason


def test_without_the_word_there_is_none(tmp_path: Path) -> None:
    """A profile's budget alone makes no board work for minutes: its gate stays open and says why."""
    evidence = measure(tmp_path, Board(), Limit(THROUGHPUT, LimitKind.MIN, 1.0, "1 /s", HERE), sustain=None)

    assert SessionKind.SUSTAINED not in dict(kinds(evidence))
    (verdict,) = [item for item in judge_cell(evidence.planned, evidence, None) if item.metric == THROUGHPUT]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "add `sustain`" in verdict.reason


def test_what_a_lost_link_left_is_kept(tmp_path: Path) -> None:
    """The session stands in the record beside the incident, and decides nothing."""
    evidence = measure(tmp_path, Board(cut=True), Limit(THROUGHPUT, LimitKind.MIN, 1.0, "1 /s", HERE))

    assert kinds(evidence)[-1][0] is SessionKind.SUSTAINED
    assert [item.code for item in evidence.cell.incidents] == ["closed"]
    verdict = next(item for item in judge_cell(evidence.planned, evidence, None) if item.metric == THROUGHPUT)
    assert verdict.outcome not in {Outcome.PASS, Outcome.FAIL}


def test_a_self_test_leaves_it_out(tmp_path: Path) -> None:
    """No planted fault lasts that long."""
    planned = measure(tmp_path, Board()).planned
    trial = Trial("control", "nothing", Place.NOWHERE, ())

    found = [sessions_of(replace(planned, trial=item), BOARD, wanted_by_limits(planned)) for item in (None, trial)]

    assert [any(item.kind is SessionKind.SUSTAINED for item in sessions) for sessions in found] == [True, False]
