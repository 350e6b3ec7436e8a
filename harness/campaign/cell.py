"""Measuring one cell: files and runtime to the board, then its sessions one by one, each a fresh process.

Owns what becomes of a session's reply. A model that fails is an incident of the model only when it fails twice in fresh
processes; an error of the board or the link ends the cell with the evidence gathered so far.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionReply, SessionRequest
from harness.campaign import attribution
from harness.campaign.arm import Arm
from harness.campaign.explain import Explaining
from harness.campaign.incident import (
    CONFORMANCE,
    SENSOR,
    board_reference_incident,
    controller_incident,
    flaky_incident,
    flaky_runtime_incident,
    incident_of,
    session_incident,
)
from harness.campaign.plan import CellFiles
from harness.campaign.reference import Arrays, Computed, Controller, read_labels
from harness.campaign.session import PlannedSession, Wanted, counts_work, next_again, sessions_of
from harness.errors import ArtifactError, FleetgateError, InfraError, RunCancelled
from harness.records.cell import ArrayRef, CellRecord, Incident, Role, SessionKind, SessionRecord
from harness.records.plan import PlannedCell
from harness.spec.model import Device
from harness.stats import Evidence

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import OpenBoard, RuntimeEnvironment, SessionSeen

PAUSE_S = 2.0
"""Before a spoilt pair is measured again: what spoilt it (heat, other work) may pass."""
INSTALL_S = 3600.0
"""Longest time to bring files and runtimes to a board."""
NO_WHEEL = "wheel"
"""Code of the error that says: no build of this runtime fits the board. The board itself is sound."""
EMULATED_SLOWER = 4.0
"""How much slower than ours the clock of an emulated board may go."""


@dataclass(frozen=True, slots=True)
class CellWork:
    """What is to be measured, on which board, with which files."""

    planned: PlannedCell
    device: Device
    files: CellFiles
    wanted: Wanted

    def sessions(self) -> tuple[PlannedSession, ...]:
        """Order the sessions of the cell."""
        return sessions_of(self.planned, self.device, self.wanted)

    @property
    def deadline_s(self) -> float:
        """Longest time that the cell may take: its sessions (confirmed or repeated once), transfer and installation.

        The clock of an emulated board may be slower than ours. Single sessions that hang are noticed much earlier.
        """
        slower = EMULATED_SLOWER if self.device.emulation is not None else 1.0
        return (len(self.sessions()) + 1) * self.planned.workload.deadline_s * 2 * slower + INSTALL_S


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """What came of a cell; `fatal` says that the board is lost for the cells after it."""

    record: CellRecord
    arrays: Arrays = field(default_factory=dict)
    fatal: FleetgateError | None = None
    """Its incident is the record's last."""

    def because_of(self, cause: FleetgateError) -> CellEvidence:
        """Name the true cause where the fatal error only came of it: a cancelled run, a deadline that cut the link."""
        last = replace(incident_of(cause), role=self.record.incidents[-1].role)
        incidents = (*self.record.incidents[:-1], last)
        return replace(self, record=replace(self.record, incidents=incidents), fatal=cause)


def measure(board: OpenBoard, work: CellWork, controller: Controller, cancel: threading.Event) -> CellEvidence:
    """Measure one cell on an open board.

    Args:
        board: connected and leased; used by this thread alone.
        work: what to measure.
        controller: what this machine computes for the cell.
        cancel: set when the run is stopped.

    Returns:
        The evidence, complete or with incidents that say why not; never raises for what a board or a model does.
    """
    return _Measuring(board, work, cancel).run(controller)


class _Measuring:
    """The state of one cell while it is measured."""

    def __init__(self, board: OpenBoard, work: CellWork, cancel: threading.Event) -> None:
        self._board = board
        self._work = work
        self._cancel = cancel
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self._sessions: list[SessionRecord] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._references: dict[str, ArrayRef] = {}
        self._builds: dict[str, str] = {}
        self._arms: dict[Role, Arm] = {}
        self._data = ""
        self._incidents: list[Incident] = []
        self._explaining = Explaining(work, self._ask, self._keep, self._add)
        self._failed: set[Role] = set()
        self._blind = False
        """Whether the power meter is missing, which ends energy sessions only."""

    def run(self, controller: Controller) -> CellEvidence:
        fatal: FleetgateError | None = None
        try:
            self._measure_sessions()
        except FleetgateError as error:
            fatal = error
            self._incidents.append(incident_of(error))
        if self._sessions and not self._cancel.is_set():
            self._keep_references(controller)
            fatal = fatal or self._explain_loss(controller)
        return CellEvidence(self._record(), self._arrays, fatal)

    def _record(self) -> CellRecord:
        return CellRecord(
            key=self._work.planned.key,
            sessions=tuple(self._sessions),
            incidents=tuple(self._incidents),
            reference_arrays=self._references,
            started_at=self._started.isoformat(timespec="seconds"),
            duration_s=round(time.monotonic() - self._clock, 3),
            controller_builds=self._builds,
            documents=self._explaining.documents,
            notes=tuple(self._explaining.notes),
        )

    def _measure_sessions(self) -> None:
        planned, files = self._work.planned, self._work.files
        runtime = self._ensure_runtime()
        if runtime is None:
            return
        model = self._deploy(files.model, planned.model.sha256)
        candidate = Arm(model, files.model.suffix, planned.runtime, planned.build, runtime.id, planned.provider)
        self._arms[Role.CANDIDATE] = candidate
        if files.baseline and planned.baseline:
            model = self._deploy(files.baseline, planned.baseline.sha256)
            self._arms[Role.BASELINE] = replace(candidate, model=model, suffix=files.baseline.suffix)
        self._data = self._deploy(files.data, planned.data.sha256)
        for session in self._queue():
            if Role.CANDIDATE in self._failed:
                return
            if session.role not in self._failed and not (self._blind and session.kind is SessionKind.ENERGY):
                self._measure_session(session)
        if not self._failed:
            self._explaining.run(self._request, self._sessions, self._arrays)

    def _ensure_runtime(self) -> RuntimeEnvironment | None:
        """Bring the runtime; one that twice needs what the board's processor lacks fails the cell, never the board."""
        planned = self._work.planned
        try:
            return self._board.ensure_runtime(planned.runtime, planned.build)
        except ArtifactError as error:
            first = error
        try:
            runtime = self._board.ensure_runtime(planned.runtime, planned.build)
        except ArtifactError as error:
            self._incidents.append(incident_of(error))
            return None
        self._incidents.append(flaky_runtime_incident(first))
        return runtime

    def _queue(self) -> Iterator[PlannedSession]:
        """Give the planned sessions, then pairs in place of those that the board's condition spoilt."""
        planned = self._work.sessions()
        yield from planned
        while not self._failed and not self._blind:
            again = next_again(self._sessions, planned, self._work.device)
            if not again or self._cancel.wait(PAUSE_S):
                return
            yield from again

    def _deploy(self, path: Path, planned_sha256: str) -> str:
        digest = self._board.deploy(path)
        if digest != planned_sha256:
            raise InfraError(f"{path.name} was changed after it was planned", code="integrity")
        return digest

    def _request(self, session: PlannedSession) -> SessionRequest:
        arm, device = self._arms[session.role], self._work.device
        request = arm.request(session, self._work.planned, device, data=self._data)
        return replace(request, count_work=counts_work(self._work.wanted, device))

    def _measure_session(self, session: PlannedSession) -> None:
        request = self._request(session)
        seen = self._ask(request)
        if seen.reply.error is not None:
            first = seen
            seen = self._ask(replace(request, nonce=secrets.token_hex(16)))
            if seen.reply.error is not None:
                self._blame(session.role, seen.reply)
                return
            self._incidents.append(flaky_incident(session.role, first.reply))
        self._keep(session, seen)

    def _ask(self, request: SessionRequest) -> SessionSeen:
        if self._cancel.is_set():
            raise RunCancelled("the run was cancelled")
        return self._board.measure(request)

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
        self._sessions.append(self._arms[session.role].record(session, seen.reply, order, arrays))

    def _add(self, key: str, array: np.ndarray) -> ArrayRef:
        self._arrays[key] = array
        return ArrayRef(key, tuple(int(size) for size in array.shape), str(array.dtype))

    def _keep_references(self, controller: Controller) -> None:
        """Copy labels and what the controller computed beside the samples, so that a replay needs nothing else."""
        try:
            labels = read_labels(self._work.files.data)
        except FleetgateError as error:
            self._incidents.append(controller_incident("reference", error))
            return
        if labels is not None:
            self._references["labels"] = self._add("labels", labels)
        if controller.reference is not None:
            self._keep_computed("reference", controller.reference)
        if controller.candidate is not None and self._work.wanted.conformance:
            self._keep_computed(CONFORMANCE, controller.candidate)

    def _keep_computed(self, name: str, computed: Computed) -> None:
        try:
            outputs = computed.outputs()
        except FleetgateError as error:
            self._incidents.append(controller_incident(name, error))
            return
        self._builds[name] = computed.build
        for output, array in outputs.items():
            self._references[f"{name}/{output}"] = self._add(f"{name}/{output}", array)

    def _explain_loss(self, controller: Controller) -> FleetgateError | None:
        """Run what splits a loss of accuracy; the error that lost the board meanwhile takes no evidence away."""
        if controller.candidate is None or not attribution.wants_controller(self._evidence()):
            return None
        if not self._work.wanted.conformance:
            self._keep_computed(CONFORMANCE, controller.candidate)
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
        return Evidence(self._work.planned, self._work.device, self._record(), self._arrays)
