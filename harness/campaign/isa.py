"""`fleetgate isa`: one file on several instruction sets, without a suite and without a farm.

Owns which boards are made and how long that may take. What runs on a board is `isa_board`'s, what the differences mean
`harness.stats.instruction_set`'s; nothing is decided and nothing is stored.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.campaign.isa_board import Measuring, Seen
from harness.campaign.isa_request import IsaRequest
from harness.device.core import Core
from harness.device.program import is_program
from harness.errors import FleetgateError, InfraError, RunCancelled, SpecError
from harness.farm.engine import Engine
from harness.farm.job import Job, JobResult, Progress
from harness.records.instruction_set import InstructionSets
from harness.stats.instruction_set import Sighting, contrast

if TYPE_CHECKING:
    from harness.farm.boards import Boards, OpenBoard
    from harness.spec.model import Device

OPEN_DEADLINE_S = 1800.0
"""Longest time to make a board's snapshot and to open it."""
FILE_DEADLINE_S = 6 * 3600.0
"""Longest time for one file on one board; sessions that hang are noticed much earlier."""
_TURN_S = 0.2


class IsaRun:
    """The boards and files of one command, under way."""

    def __init__(self, request: IsaRequest, boards: Boards, progress: Callable[[Progress], None]) -> None:
        self._request = request
        self._boards = boards
        self._engine = Engine(progress)
        self._futures: dict[tuple[Path, str], Future[Any]] = {}

    def measure(self, *, tick: Callable[[], None]) -> tuple[InstructionSets, ...]:
        """Measure every file on every CPU; blocks until done.

        Args:
            tick: called several times a second, for whoever shows progress.

        Returns:
            One comparison per model, in the order asked.

        Raises:
            SpecError: the inputs do not fit the model, or the file is not there.
        """
        try:
            self._start()
            while not all(future.done() for future in self._futures.values()):
                wait(self._futures.values(), timeout=_TURN_S)
                tick()
        except BaseException:
            self._engine.cancel()
            raise
        finally:
            self._engine.close()
        return tuple(self._compare(model) for model in self._request.models)

    def _start(self) -> None:
        request = self._request
        builds = request.builds_needed()
        for device in request.devices():
            opener = self._opener(device, builds)
            self._engine.open_lane(device.name, opener, open_deadline_s=OPEN_DEADLINE_S, seat=Core())
        for device in request.devices():
            for path in request.files():
                job = Job(path.name, FILE_DEADLINE_S, self._job(path, device))
                self._futures[path, device.name] = self._engine.submit(device.name, job)
            self._engine.finish(device.name)

    def _opener(
        self, device: Device, builds: frozenset[tuple[str, str]]
    ) -> Callable[[threading.Event, Callable[[str], None]], AbstractContextManager[OpenBoard]]:
        from harness.device import holder_name

        def open_board(cancel: threading.Event, tell: Callable[[str], None]) -> AbstractContextManager[OpenBoard]:
            return self._boards.open(device, builds=builds, holder=holder_name(), progress=tell, cancel=cancel)

        return open_board

    def _job(self, path: Path, device: Device) -> Callable[[OpenBoard, threading.Event], JobResult]:
        def run(board: OpenBoard, cancel: threading.Event) -> JobResult:
            measuring = Measuring(board, self._request, path, device, cancel)
            return JobResult(measuring.run_program() if is_program(path) else measuring.run())

        return run

    def _compare(self, model: Path) -> InstructionSets:
        request = self._request
        seen = [self._result(model, device) for device in request.devices()]
        other = request.against if request.against != model else None
        against = [self._result(other, device).sighting for device in request.devices()] if other else []
        name = other.name if other else ""
        found = contrast(model.name, [item.sighting for item in seen], name, against)
        runtimes = dict.fromkeys(item.runtime for item in seen if item.runtime)
        with model.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        data = " ".join(dict.fromkeys(item.data_sha256[:12] for item in seen if item.data_sha256))
        inputs = request.inputs_in_words(model) + (f" (sha256 {data})" if data else "")
        runtime = ", ".join(runtimes) or "no runtime answered"
        return InstructionSets(model.name, digest, runtime, inputs, found.rows, found.findings, name)

    def _result(self, path: Path, device: Device) -> Seen:
        error = self._futures[path, device.name].exception()
        if error is None:
            found: Seen = self._futures[path, device.name].result()
            return found
        if isinstance(error, SpecError | RunCancelled):
            raise error
        if not isinstance(error, FleetgateError):
            raise InfraError(f"{device.name}: {type(error).__name__}: {error}", code="harness") from error
        board = self._engine.board(device.name)
        features = board.record.facts.features if board and board.record.facts else ()
        exists = device.emulation is None or device.emulation.exists
        return Seen(Sighting(device.name, exists=exists, features=features, lost=str(error)), "", "")
