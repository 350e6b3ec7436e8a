"""A campaign under way in this process: its boards' lanes, its cells' futures, what became of each.

Owns the way from a plan to records. Writes nothing itself: samples go through `keep`, records are asked for.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.cell_files import CellFiles
from harness.campaign.evaluation import LongRun
from harness.campaign.incident import UNUSABLE, incident_of
from harness.campaign.plan import Campaign
from harness.campaign.reference import (
    CONTROLLER,
    Arrays,
    Computation,
    Computed,
    Controller,
    ReferenceCache,
    compute,
    controller,
    of_candidate,
    of_reference,
)
from harness.campaign.selftest.planting import planted, settled
from harness.campaign.session import Wanted, wanted_by_limits
from harness.campaign.work import CellEvidence, CellWork
from harness.device.core import Core
from harness.emulator.cache import cache_folder
from harness.errors import FleetgateError, InfraError
from harness.farm.engine import Engine
from harness.farm.job import Job, JobResult, Progress
from harness.farm.seat import ANYWHERE
from harness.gate.schedule import paired_limits
from harness.records.cell import CellRecord
from harness.records.plan import PlannedCell
from harness.records.run import DeviceRecord
from harness.spec.model import Device

if TYPE_CHECKING:
    from harness.farm.boards import Boards, OpenBoard

OPEN_DEADLINE_S = 1800.0
"""Longest time to open a board: the first time an image may be built and runtimes fetched."""
Keep = Callable[[str, Arrays], str]
"""Stores the arrays of a cell and returns the sha256 of their file."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of one cell, with its arrays still in memory and the board as it was met."""

    record: CellRecord
    arrays: Arrays
    device: DeviceRecord


def _outputs(future: Future[Arrays | InfraError]) -> Arrays:
    """Wait for the reference's outputs; whatever keeps them away must not take a cell's own evidence with it."""
    try:
        found = future.result(timeout=OPEN_DEADLINE_S)
    except FleetgateError:
        raise
    except Exception as error:
        raise InfraError(f"{type(error).__name__}: {error}", code=UNUSABLE) from error
    if isinstance(found, InfraError):
        raise found
    return found


class CampaignRun:
    """The cells of some boards of a campaign, measured side by side."""

    def __init__(
        self, campaign: Campaign, boards: Boards, *, holder: str, keep: Keep, budget_s: float = math.inf
    ) -> None:
        self._campaign = campaign
        self._boards = boards
        self._holder = holder
        self._keep = keep
        self._specs = campaign.devices()
        self._budgets = {name: Budget(budget_s) for name in self._specs}
        self._family = sum(len(paired_limits(cell, self._specs[cell.device])) for cell in campaign.plan.cells)
        self._cells: dict[str, Future[CellEvidence]] = {}
        self._references: dict[str, Future[Arrays | InfraError]] = {}
        self._lock = threading.Lock()
        self._cache = ReferenceCache(cache_folder() / "references")
        self._engine: Engine | None = None

    def start(self, devices: Collection[str], *, more: Collection[str], progress: Callable[[Progress], None]) -> None:
        """Open the boards and queue their planned cells.

        Args:
            devices: the boards of this process; others are not touched.
            more: those of them that stay open for cells of Python suites (`submit`).
            progress: called from the boards' threads.
        """
        self._engine = Engine(progress)
        for name in devices:
            self._open(name, self._specs[name])
        for cell in self._campaign.plan.cells:
            if cell.device in devices and cell.key in self._campaign.files and not cell.skip_reason:
                self.submit(cell, self._campaign.files[cell.key], wanted_by_limits(cell))
        for name in devices:
            if name not in more:
                self._engine.finish(name)

    def submit(self, cell: PlannedCell, files: CellFiles, wanted: Wanted) -> None:
        """Queue a cell on its board."""
        engine = self._running()
        device = self._specs[cell.device]
        # The faults of a self-test are tried each for itself; they are no family.
        family = self._family if cell.trial is None else max(len(paired_limits(cell, device)), 1)
        work = CellWork(cell, device, files, wanted, family)
        controller = self._controller(cell, files, wanted)
        long_run = LongRun(
            cache_folder() / "evaluations", lambda text: engine.say(cell.device, f"{work.title}: {text}")
        )  # fmt: skip

        def run(board: OpenBoard, cancel: threading.Event) -> JobResult:
            budget = self._budgets[cell.device]
            measurement = CellMeasurement(planted(board, cell), work, cancel, budget, controller.reference, long_run)
            return self._go_on(measurement, work, controller)

        self._cells[cell.key] = engine.submit(cell.device, Job(work.title, work.deadline_s, run))

    def _go_on(self, measurement: CellMeasurement, work: CellWork, controller: Controller) -> JobResult:
        """Measure a cell on: to its end, or by one pair where cells share a budget and the undecided ones get it."""
        if self._budgets[work.device.name].is_limited and measurement.advance():
            rest = Job(work.title, work.deadline_s, lambda _board, _cancel: self._go_on(measurement, work, controller))
            return JobResult(None, rest=rest, explained=lambda cause: self._kept(work, measurement.abandoned(cause)))
        evidence = self._kept(work, measurement.run(controller))
        return JobResult(evidence, evidence.fatal, evidence.because_of)

    def _kept(self, work: CellWork, evidence: CellEvidence) -> CellEvidence:
        """Store the samples of a cell."""
        evidence = settled(evidence, work.planned)
        if not evidence.arrays:
            return evidence
        digest = self._keep(evidence.record.key, evidence.arrays)
        return replace(evidence, record=replace(evidence.record, samples_sha256=digest))

    def future(self, key: str) -> Future[CellEvidence] | None:
        """Give the future of a queued cell, or None when it was not queued here."""
        return self._cells.get(key)

    def result(self, key: str, device: str) -> CellResult:
        """Give what came of a cell whose future is done."""
        try:
            evidence = self._cells[key].result(timeout=0)
        except Exception as error:  # noqa: BLE001  whatever ended the cell is recorded as its incident
            evidence = CellEvidence(CellRecord(key, incidents=(incident_of(error),)))
        return CellResult(evidence.record, evidence.arrays, self.device_record(device))

    def device_record(self, name: str) -> DeviceRecord:
        """Describe a board as it was met, or why it was not."""
        spec = self._specs[name]
        engine = self._running()
        board = engine.board(name)
        if board is not None:
            return board.record
        lost = engine.lost(name)
        incidents = (incident_of(lost),) if lost is not None else ()
        return DeviceRecord(name, spec.profile, spec.tier, None, "", incidents=incidents)

    def cancel(self) -> None:
        """Cut every link; unfinished cells become CANCELLED."""
        if self._engine is not None:
            self._engine.cancel()

    def close(self) -> None:
        """Release every board; cells that are still measured may ask the controller, so it is released after them."""
        if self._engine is not None:
            wait(self._cells.values())
            self._engine.close()

    def _open(self, name: str, spec: Device) -> None:
        builds = self._campaign.builds(name) or frozenset(spec.runtimes.items())

        def opener(cancel: threading.Event, tell: Callable[[str], None]) -> AbstractContextManager[OpenBoard]:
            return self._boards.open(spec, builds=builds, holder=self._holder, progress=tell, cancel=cancel)

        seat = Core() if spec.emulation is not None else ANYWHERE
        self._running().open_lane(name, opener, open_deadline_s=OPEN_DEADLINE_S, seat=seat)

    def _running(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the campaign was not started")
        return self._engine

    def _controller(self, cell: PlannedCell, files: CellFiles, wanted: Wanted) -> Controller:
        """Start on the controller what the cell will surely want; its artifact otherwise only if a loss asks for it."""
        of_artifact = of_candidate(cell, files)
        candidate = self._begin(of_artifact) if wanted.conformance else partial(self._compute_now, of_artifact)
        reference = None
        if wanted.reference and files.reference:
            of_the_reference = of_reference(cell, files)
            path = self._cache.path(of_the_reference)
            reference = Computed(of_the_reference.build, self._begin(of_the_reference), path)
        return Controller(reference, Computed(of_artifact.build, candidate))

    def _compute_now(self, computation: Computation) -> Arrays:
        return self._begin(computation)()

    def _begin(self, computation: Computation) -> Callable[[], Arrays]:
        """Start a computation unless it is known; the cell waits for it when its own sessions are done."""
        path = self._cache.path(computation)
        with self._lock:
            if path.name not in self._references:
                self._references[path.name] = self._compute(computation)
            future = self._references[path.name]
        return lambda: _outputs(future)

    def _compute(self, computation: Computation) -> Future[Arrays | InfraError]:
        path = self._cache.path(computation)
        known = self._cache.read(path)
        if known is not None:
            future: Future[Arrays | InfraError] = Future()
            future.set_result(known)
            return future
        engine = self._running()
        if not engine.has_lane(CONTROLLER):
            root = cache_folder() / "controller"
            engine.open_lane(
                CONTROLLER,
                lambda cancel, _tell: controller(self._boards, root, cancel),
                open_deadline_s=OPEN_DEADLINE_S,
            )

        def run(board: OpenBoard, _cancel: threading.Event) -> JobResult:
            outputs: Arrays | None = self._cache.read(path)
            if outputs is None:
                try:
                    outputs = compute(board, computation)
                except InfraError as error:
                    if error.code not in {UNUSABLE, "integrity"}:
                        raise
                    return JobResult(error)  # this file does not run or was changed: no reason to lose the others
                self._cache.write(path, outputs)
            return JobResult(outputs)

        title = f"{computation.model.name} on the controller"
        return engine.submit(CONTROLLER, Job(title, computation.workload.deadline_s + 900.0, run))
