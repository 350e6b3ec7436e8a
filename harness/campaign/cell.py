"""Measuring one cell: files and runtime to the board, then its sessions one by one, each a fresh process.

Owns what becomes of a session's reply. A model that fails is an incident of the model only when it fails twice in fresh
processes; an error of the board or the link ends the cell with the evidence gathered so far.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionReply, SessionRequest
from harness.campaign import attribution
from harness.campaign.arm import Arm, bring_runtime
from harness.campaign.beside import Beside
from harness.campaign.budget import Budget
from harness.campaign.evaluation import LongRun
from harness.campaign.explain import Explaining
from harness.campaign.incident import (
    CONFORMANCE,
    NO_WHEEL,
    SENSOR,
    board_reference_incident,
    flaky_incident,
    incident_of,
    session_incident,
)
from harness.campaign.language import LanguageWork, SoFar, reference_of
from harness.campaign.reference import Computed, Controller
from harness.campaign.session import COOL_S, PAUSE_S, PlannedSession, counts_work, next_again, order_pair
from harness.campaign.work import CellEvidence, CellWork, draw_coins
from harness.errors import ArtifactError, FleetgateError, InfraError, RunCancelled
from harness.gate.schedule import Ask, next_pair
from harness.records.cell import ArrayRef, CellRecord, Incident, Pairing, Role, SessionKind, SessionRecord
from harness.records.fingerprint import board_fingerprint
from harness.stats import Evidence
from harness.stats.pair import rounds

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import OpenBoard, SessionSeen

_DONE = object()


class CellMeasurement:
    """The state of one cell while it is measured: it can be left after every pair and taken up again.

    Args:
        board: connected and leased; used by this thread alone.
        work: what to measure.
        cancel: set when the run is stopped.
        budget: the board's device time, which the cell's sessions are charged to.
        reference: what the controller computes; a language model is asked on the board about what it brings.
        long_run: for evaluations in parts; None: they are made in one.
    """

    def __init__(
        self,
        board: OpenBoard,
        work: CellWork,
        cancel: threading.Event,
        budget: Budget,
        reference: Computed | None = None,
        long_run: LongRun | None = None,
    ) -> None:
        self._board = board
        self._work = work
        self._cancel = cancel
        self._budget = budget
        self._started, self._active_s = datetime.now(UTC), 0.0
        self._sessions: list[SessionRecord] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._arms: dict[Role, Arm] = {}
        self._data = ""
        self._incidents: list[Incident] = []
        self._language = LanguageWork(work, self._ask, self._incidents.append, reference, long_run)
        self._beside = Beside(work, self._language, self._add, self._incidents.append)
        self._explaining = Explaining(work, self._ask, self._keep, self._add, lambda: board.record.snapshot)
        self._failed: set[Role] = set()
        self._blind = False
        """Whether the power meter is missing, which ends energy sessions only."""
        self._pairing = draw_coins(work)
        self._fatal: FleetgateError | None = None
        self._steps = self._measure_sessions()

    def advance(self) -> bool:
        """Go on to the end of the next pair; False when the cell is done.

        Never raises for what a board or a model does: that is part of the evidence.
        """
        clock = time.monotonic()
        try:
            return next(self._steps, _DONE) is not _DONE
        except FleetgateError as error:
            self._fatal = error
            self._incidents.append(incident_of(error))
            return False
        finally:
            self._active_s += time.monotonic() - clock

    def run(self, controller: Controller) -> CellEvidence:
        """Measure the cell to its end."""
        while self.advance():
            pass
        return self.evidence(controller)

    def evidence(self, controller: Controller) -> CellEvidence:
        """Give what was seen, complete or with incidents, and what this machine computed for the cell beside it."""
        if self._sessions and not self._cancel.is_set():
            self._beside.keep(controller)
            self._fatal = self._fatal or self._explain_loss(controller)
        return CellEvidence(self._record(), self._arrays, self._fatal)

    def abandoned(self, cause: FleetgateError) -> CellEvidence:
        """Give what was seen until something else took the board away."""
        self._incidents.append(incident_of(cause))
        return self.evidence(Controller())

    def _record(self) -> CellRecord:
        return CellRecord(
            key=self._work.planned.key,
            sessions=tuple(self._sessions),
            incidents=tuple(self._incidents),
            reference_arrays=self._beside.arrays,
            started_at=self._started.isoformat(timespec="seconds"),
            duration_s=round(self._active_s, 3),
            controller_builds=self._beside.builds,
            documents=self._explaining.documents,
            notes=tuple(self._explaining.notes),
            pairing=self._pairing,
        )

    def _measure_sessions(self) -> Iterator[None]:
        planned, files = self._work.planned, self._work.files
        runtime = bring_runtime(self._board, planned, self._incidents.append)
        if runtime is None:
            return
        model = self._deploy(files.model, planned.model.sha256)
        candidate = Arm(model, files.model.suffix, planned.runtime, planned.build, runtime.id, planned.provider)
        self._arms[Role.CANDIDATE] = candidate
        if files.baseline and planned.baseline:
            model = self._deploy(files.baseline, planned.baseline.sha256)
            self._arms[Role.BASELINE] = replace(candidate, model=model, suffix=files.baseline.suffix)
        self._data = self._deploy(files.data, planned.data.sha256)
        self._language.deploy(self._deploy)
        if files.tool and planned.workload.tool:
            self._deploy(files.tool, planned.workload.tool.sha256)
        for session in self._queue():
            self._measure_session(session)
        while self._pairing is not None and (ask := self._next_pair(self._pairing)) is not None:
            for session in order_pair(ask, self._pairing):
                self._measure_session(session)
            self._rest_after(ask)
            yield
        if not self._failed:
            self._explaining.run(self._request, self._sessions, self._arrays)

    def _queue(self) -> Iterator[PlannedSession]:
        """Give the planned sessions, then pairs in place of those that the board's condition spoilt."""
        planned = self._work.sessions()
        yield from planned
        trial = self._work.planned.trial
        while not self._failed and not self._blind and not (trial is not None and trial.spoils):
            again = next_again(self._sessions, planned, self._work.device)
            if not again or self._cancel.wait(PAUSE_S):
                return
            yield from again

    def _deploy(self, path: Path, planned_sha256: str) -> str:
        digest = self._board.deploy(path)
        if planned_sha256 and digest != planned_sha256:
            raise InfraError(f"{path.name} was changed after it was planned", code="integrity")
        return digest

    def _request(self, session: PlannedSession) -> SessionRequest:
        arm, device = self._arms[session.role], self._work.device
        files = {"data": self._data, "compared": self._language.compared, "questions": self._language.questions}
        request = arm.request(session, self._work.planned, device, **files)
        return replace(request, count_work=counts_work(self._work.wanted, device))

    def _next_pair(self, pairing: Pairing) -> Ask | None:
        """Choose the next pair, unless the candidate has failed or the board's time is over."""
        ask = None if Role.CANDIDATE in self._failed else next_pair(self._evidence())
        if ask is None or (self._blind and ask.kind is SessionKind.ENERGY):
            return None
        costs = [session.device_s for session in self._sessions if session.kind is ask.kind]
        expected_s = len(ask.roles) * sum(costs) / len(costs) if costs else 0.0
        if self._budget.affords(expected_s):
            return ask
        self._pairing = replace(pairing, out_of_budget=True)
        return None

    def _rest_after(self, ask: Ask) -> None:
        """Give a board that spoilt a pair (heat, other work) time to come round."""
        trial = self._work.planned.trial
        if trial is not None and trial.spoils:
            return  # it was planted
        last = rounds(self._evidence(), ask.kind, ask.stage, compared=Role.BASELINE in ask.roles)[-1:]
        if last and last[0].void:
            self._cancel.wait(COOL_S if last[0].is_heat else PAUSE_S)

    def _measure_session(self, session: PlannedSession) -> None:
        """Measure one session, unless its model or its meter has failed for good."""
        is_lost = bool(self._failed & {session.role, Role.CANDIDATE})
        if is_lost or (self._blind and session.kind is SessionKind.ENERGY):
            return
        request = self._request(session)
        seen = self._language.observe(session.kind, request, lambda: self._so_far(session))
        if seen.reply.error is not None:
            first = seen
            again = replace(request, nonce=secrets.token_hex(16))
            seen = self._language.observe(session.kind, again, lambda: self._so_far(session))
            if seen.reply.error is not None:
                self._blame(session.role, seen.reply)
                return
            self._incidents.append(flaky_incident(session.role, first.reply))
        self._keep(session, seen)
        if seen.cut_short is not None:
            raise seen.cut_short

    def _so_far(self, session: PlannedSession) -> SoFar:
        arm, order = self._arms[session.role], len(self._sessions)
        return SoFar(
            self._record(),
            self._arrays,
            lambda seen, arrays: arm.record(session, seen.reply, order, arrays),
            board_fingerprint(self._board.record.facts),
        )

    def _ask(self, request: SessionRequest) -> SessionSeen:
        if self._cancel.is_set():
            raise RunCancelled("the run was cancelled")
        seen = self._board.measure(request)
        self._budget.charge(seen.seconds)
        return seen

    def _blame(self, role: Role, reply: SessionReply) -> None:
        """Record a failure that a second fresh process confirmed."""
        incident = session_incident(role, reply)
        self._incidents.append(incident)
        if incident.code == SENSOR:
            self._blind = True
        else:
            self._failed.add(role)

    def _keep(self, session: PlannedSession, seen: SessionSeen) -> None:
        order = len(self._sessions)
        arrays = {name: self._add(f"{order}/{name}", array) for name, array in seen.arrays.items()}
        record = self._arms[session.role].record(session, seen.reply, order, arrays)
        self._sessions.append(replace(record, device_s=round(seen.seconds, 3)))

    def _add(self, key: str, array: np.ndarray) -> ArrayRef:
        self._arrays[key] = array
        return reference_of(key, array)

    def _explain_loss(self, controller: Controller) -> FleetgateError | None:
        """Run what splits a loss of accuracy; the error that lost the board meanwhile takes no evidence away."""
        if self._work.planned.trial is not None:
            return None  # it was planted
        if controller.candidate is None or not attribution.wants_controller(self._evidence()):
            return None
        if not self._work.wanted.conformance:
            self._beside.keep_computed(CONFORMANCE, controller.candidate)
        if not attribution.wants_board(self._evidence()):
            return None
        try:
            self._measure_reference()
        except FleetgateError as error:
            self._incidents.append(board_reference_incident(error))
            return None if isinstance(error, ArtifactError) or error.code == NO_WHEEL else error
        return None

    def _measure_reference(self) -> None:
        planned, path = self._work.planned, self._work.files.reference
        assert planned.reference is not None
        assert path is not None
        family, build = planned.reference_runtime, planned.reference_build
        env = self._board.ensure_runtime(family, build).id
        model = self._deploy(path, planned.reference.sha256)
        self._arms[Role.REFERENCE] = Arm(model, path.suffix, family, build, env)
        self._measure_session(PlannedSession(SessionKind.ACCURACY, Role.REFERENCE))

    def _evidence(self) -> Evidence:
        board = board_fingerprint(self._board.record.facts)
        return Evidence(self._work.planned, self._work.device, self._record(), self._arrays, board=board)
