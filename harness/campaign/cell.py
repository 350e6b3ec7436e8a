"""Measuring one cell: files and runtime to the board, then its sessions one by one, each a fresh process.

Owns what becomes of a session's reply. A model that fails is an incident of the model only when it fails twice in fresh
processes; an error of the board or the link ends the cell with the evidence gathered so far.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import MeterRequest, SessionReply, SessionRequest
from harness.campaign.incident import (
    SENSOR,
    flaky_incident,
    flaky_runtime_incident,
    incident_of,
    reference_incident,
    session_incident,
)
from harness.campaign.plan import CellFiles
from harness.campaign.session import (
    ENERGY_IDLE_S,
    ENERGY_WINDOW_S,
    MEMORY_REPEAT,
    PlannedSession,
    Wanted,
    counts_work,
    next_again,
    sessions_of,
)
from harness.errors import ArtifactError, FleetgateError, InfraError, RunCancelled
from harness.records.cell import ArrayRef, CellRecord, Incident, Role, RuntimeRecord, SessionKind, SessionRecord
from harness.records.plan import PlannedCell
from harness.spec.model import Device, Tier

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import OpenBoard, RuntimeEnvironment, SessionSeen

Arrays = Mapping[str, "np.ndarray"]
References = Callable[[], Arrays]
"""Gives the reference's outputs by name (`output_0` …), waiting for them; raises FleetgateError when it cannot."""

PAUSE_S = 2.0
"""Before a spoilt pair is measured again: what spoilt it (heat, other work) may pass."""
INSTALL_S = 3600.0
"""Longest time to bring files and runtimes to a board."""
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
        return len(self.sessions()) * self.planned.workload.deadline_s * 2 * slower + INSTALL_S


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """What came of a cell; `fatal` says that the board is lost for the cells after it."""

    record: CellRecord
    arrays: Arrays = field(default_factory=dict)
    fatal: FleetgateError | None = None
    """Its incident is the record's last."""

    def because_of(self, cause: FleetgateError) -> CellEvidence:
        """Name the true cause where the fatal error only came of it: a cancelled run, a deadline that cut the link."""
        incidents = (*self.record.incidents[:-1], incident_of(cause))
        return replace(self, record=replace(self.record, incidents=incidents), fatal=cause)


def measure(board: OpenBoard, work: CellWork, references: References | None, cancel: threading.Event) -> CellEvidence:
    """Measure one cell on an open board.

    Args:
        board: connected and leased; used by this thread alone.
        work: what to measure.
        references: the reference's outputs, or None when no limit needs them.
        cancel: set when the run is stopped.

    Returns:
        The evidence, complete or with incidents that say why not; never raises for what a board or a model does.
    """
    return _Measuring(board, work, cancel).run(references)


class _Measuring:
    """The state of one cell while it is measured."""

    def __init__(self, board: OpenBoard, work: CellWork, cancel: threading.Event) -> None:
        self._board = board
        self._work = work
        self._cancel = cancel
        self._sessions: list[SessionRecord] = []
        self._arrays: dict[str, np.ndarray] = {}
        self._references: dict[str, ArrayRef] = {}
        self._incidents: list[Incident] = []
        self._failed: set[Role] = set()
        self._env = ""
        self._blind = False
        """Whether the power meter is missing, which ends energy sessions only."""

    def run(self, references: References | None) -> CellEvidence:
        started, clock = datetime.now(UTC), time.monotonic()
        fatal: FleetgateError | None = None
        try:
            self._measure_sessions()
        except FleetgateError as error:
            fatal = error
            self._incidents.append(incident_of(error))
        if self._sessions and not self._cancel.is_set():
            self._keep_references(references)
        record = CellRecord(
            key=self._work.planned.key,
            sessions=tuple(self._sessions),
            incidents=tuple(self._incidents),
            reference_arrays=self._references,
            started_at=started.isoformat(timespec="seconds"),
            duration_s=round(time.monotonic() - clock, 3),
        )
        return CellEvidence(record, self._arrays, fatal)

    def _measure_sessions(self) -> None:
        planned, files = self._work.planned, self._work.files
        runtime = self._ensure_runtime()
        if runtime is None:
            return
        models = {Role.CANDIDATE: self._deploy(files.model, planned.model.sha256)}
        if files.baseline and planned.baseline:
            models[Role.BASELINE] = self._deploy(files.baseline, planned.baseline.sha256)
        data = self._deploy(files.data, planned.data.sha256)
        for session in self._queue():
            if Role.CANDIDATE in self._failed:
                return
            if session.role not in self._failed and not (self._blind and session.kind is SessionKind.ENERGY):
                request = self._request(session, env=runtime.id, model=models[session.role], data=data)
                self._measure_session(session, request)

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

    def _measure_session(self, session: PlannedSession, request: SessionRequest) -> None:
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
        order, reply = len(self._sessions), seen.reply
        planned = self._work.planned
        self._sessions.append(
            SessionRecord(
                order=order,
                role=session.role,
                kind=session.kind,
                model_sha256=reply.model_sha256,
                runtime=RuntimeRecord(
                    family=planned.runtime,
                    build=planned.build,
                    version=reply.runtime_version,
                    provider=reply.provider,
                    threads=reply.threads,
                    env=self._env,
                    python=reply.python,
                    numpy=reply.numpy,
                ),
                cores=tuple(reply.cores),
                scalars=dict(reply.scalars),
                arrays={name: self._add(f"{order}/{name}", array) for name, array in seen.arrays.items()},
                flags=tuple(reply.flags),
                settings=dict(reply.settings),
            )
        )

    def _add(self, key: str, array: np.ndarray) -> ArrayRef:
        self._arrays[key] = array
        return ArrayRef(key, tuple(int(size) for size in array.shape), str(array.dtype))

    def _keep_references(self, references: References | None) -> None:
        """Copy labels and the reference's outputs beside the samples, so that a replay needs nothing else."""
        from harness.campaign.reference import read_labels

        try:
            labels = read_labels(self._work.files.data)
            outputs = references() if references is not None else {}
        except FleetgateError as error:
            self._incidents.append(reference_incident(error))
            return
        if labels is not None:
            self._references["labels"] = self._add("labels", labels)
        for name, array in outputs.items():
            self._references[f"reference/{name}"] = self._add(f"reference/{name}", array)

    def _request(self, session: PlannedSession, *, env: str, model: str, data: str) -> SessionRequest:
        self._env = env
        planned, device, workload = self._work.planned, self._work.device, self._work.planned.workload
        files = self._work.files
        path = files.baseline if session.role is Role.BASELINE and files.baseline else files.model
        energy = session.kind is SessionKind.ENERGY
        return SessionRequest(
            nonce=secrets.token_hex(16),
            kind=session.kind.value,
            env=env,
            runtime=planned.runtime,
            model=model,
            suffix=path.suffix,
            data=data,
            provider=planned.provider,
            threads=planned.threads,
            cores=list(device.cores),
            warmup=workload.warmup,
            repeat=min(workload.repeat, MEMORY_REPEAT) if session.kind is SessionKind.MEMORY else workload.repeat,
            batch=workload.batch,
            window_s=ENERGY_WINDOW_S if energy else 0.0,
            idle_s=ENERGY_IDLE_S if energy else 0.0,
            deadline_s=workload.deadline_s,
            count_work=counts_work(self._work.wanted, device),
            deterministic=device.tier is Tier.DETERMINISTIC,
            meter=_meter(device) if energy else None,
        )


def _meter(device: Device) -> MeterRequest | None:
    power = device.power
    return MeterRequest(power.kind, power.root, power.rail, power.rate_hz) if power else None
