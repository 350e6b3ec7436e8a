"""`fleetgate isa`: one file on several instruction sets, without a suite and without a farm.

Owns which boards are made, which sessions they run and what becomes of the replies. What the differences mean is
`harness.stats.instruction_set`'s; nothing is decided and nothing is stored.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.agent.message import SessionReply, SessionRequest
from harness.campaign.incident import NOT_THE_MODELS
from harness.campaign.isa_request import IsaRequest
from harness.device.core import Core
from harness.errors import ArtifactError, FleetgateError, InfraError, Problem, RunCancelled, SpecError
from harness.farm.engine import Engine, Job, JobResult, Progress
from harness.records.instruction_set import InstructionSets
from harness.stats import Missing
from harness.stats.instruction_set import Sighting, contrast
from harness.stats.quantile import FloatArray, order_quantile
from harness.stats.work import repeated_count, single_count

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import Boards, OpenBoard, RuntimeEnvironment, SessionSeen
    from harness.spec.model import Device

OPEN_DEADLINE_S = 1800.0
"""Longest time to make a board's snapshot and to open it."""
SESSION_DEADLINE_S = 600.0
FILE_DEADLINE_S = 6 * 3600.0
"""Longest time for one file on one board; sessions that hang are noticed much earlier."""
COUNTING_SESSIONS = 2
"""A count is trusted because a second fresh process gives it again."""
MEMORY_REPEAT = 10
WARMUP = 3
_TURN_S = 0.2


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one board told of one file."""

    sighting: Sighting
    runtime: str
    data_sha256: str


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
        builds = frozenset(request.build_of(path) for path in request.files())
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
            return JobResult(_Measuring(board, self._request, path, device, cancel).run())

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
        inputs = request.inputs_in_words() + (f" (sha256 {data})" if data else "")
        runtime = ", ".join(runtimes) or "no runtime answered"
        return InstructionSets(model.name, digest, runtime, inputs, found.rows, found.findings, name)

    def _result(self, path: Path, device: Device) -> _Seen:
        error = self._futures[path, device.name].exception()
        if error is None:
            found: _Seen = self._futures[path, device.name].result()
            return found
        if isinstance(error, SpecError | RunCancelled):
            raise error
        if not isinstance(error, FleetgateError):
            raise InfraError(f"{device.name}: {type(error).__name__}: {error}", code="harness") from error
        board = self._engine.board(device.name)
        features = board.record.facts.features if board and board.record.facts else ()
        exists = device.emulation is None or device.emulation.exists
        return _Seen(Sighting(device.name, exists=exists, features=features, lost=str(error)), "", "")


class _Measuring:
    """One file on one open board."""

    def __init__(
        self, board: OpenBoard, request: IsaRequest, path: Path, device: Device, cancel: threading.Event
    ) -> None:
        self._board = board
        self._request = request
        self._path = path
        self._device = device
        self._cancel = cancel
        self._runtime = ""

    def run(self) -> _Seen:
        """Run the sessions; a file that fails twice in fresh processes has failed.

        Raises:
            SpecError: the inputs do not fit the model.
            FleetgateError: the board or the link failed.
        """
        record = self._board.record
        exists = self._device.emulation is None or self._device.emulation.exists
        features = record.facts.features if record.facts else ()
        empty = Sighting(self._device.name, record.emulator, exists, features)
        data = ""
        try:
            env = self._ensure_runtime()
            given = self._request.data
            data = self._board.deploy(given) if given else ""
            answers = self._ask(self._asked(env, "accuracy", data))
            data = data or answers.reply.settings.get("data", "")
            found = replace(empty, outputs=_outputs(answers.arrays), output_types=_types(answers.reply))
            return _Seen(self._count(found, env, data), self._runtime, data)
        except ArtifactError as error:
            return _Seen(replace(empty, failure=str(error)), self._runtime, data)

    def _count(self, found: Sighting, env: str, data: str) -> Sighting:
        timed = [self._ask(self._asked(env, "timing", data)) for _ in range(COUNTING_SESSIONS)]
        memory = self._ask(self._asked(env, "memory", data))
        counts = [_counts(seen.arrays) for seen in timed]
        work = repeated_count(counts) if all(item.size for item in counts) else Missing("no instruction was counted")
        return replace(
            found,
            instructions=None if isinstance(work, Missing) else work.value,
            counts=tuple(order_quantile(item, 0.5) for item in counts if item.size),
            uncounted=work.reason if isinstance(work, Missing) else "",
            load_instructions=_once(timed, "load_instructions"),
            first_instructions=_once(timed, "first_instructions"),
            peak_bytes=memory.reply.scalars.get("hwm_bytes"),
        )

    def _ensure_runtime(self) -> str:
        family, build = self._request.build_of(self._path)
        runtime: RuntimeEnvironment = self._board.ensure_runtime(family, build)
        return runtime.id

    def _asked(self, env: str, kind: str, data: str) -> SessionRequest:
        request = self._request
        family, _ = request.build_of(self._path)
        return SessionRequest(
            nonce="",
            kind=kind,
            env=env,
            runtime=family,
            model=self._board.deploy(self._path),
            suffix=self._path.suffix,
            data=data,
            warmup=WARMUP,
            repeat=MEMORY_REPEAT if kind == "memory" else request.repeat,
            samples=request.samples if kind == "accuracy" else 0,
            seed=request.seed if kind == "accuracy" else 0,
            shapes={} if data or kind != "accuracy" else dict(request.shapes),
            deadline_s=SESSION_DEADLINE_S,
        )

    def _ask(self, asked: SessionRequest) -> SessionSeen:
        """Run a session, once more in a fresh process if it fails.

        Raises:
            ArtifactError: it failed twice.
        """
        said = ""
        for _ in range(2):
            if self._cancel.is_set():
                raise RunCancelled("the run was cancelled")
            seen = self._board.measure(replace(asked, nonce=secrets.token_hex(16)))
            error = seen.reply.error
            if error is None:
                self._runtime = f"{seen.reply.runtime_version} ({seen.reply.provider}), numpy {seen.reply.numpy}"
                return seen
            self._blame_others(error)
            said = f"{error.get('code', 'crash')} in its {asked.kind} session: {error.get('message', 'no message')}"
        raise ArtifactError(said)

    def _blame_others(self, error: Mapping[str, str]) -> None:
        code, message = error.get("code", ""), error.get("message", "")
        if code == "input":
            hint = "--shape NAME=1x3x224x224 for free axes, --data X.npz for inputs of your own"
            raise SpecError([Problem(str(self._path), 0, 0, message, hint)])
        if code in NOT_THE_MODELS:
            raise InfraError(f"{self._device.name}: {message}", code=code)


def _outputs(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    names = sorted((name for name in arrays if name.startswith("output_")), key=lambda name: int(name[7:]))
    return tuple(arrays[name] for name in names)


def _types(reply: SessionReply) -> tuple[str, ...]:
    told = reply.settings.get("output_types", "")
    return tuple(told.split(", ")) if told else ()


def _counts(arrays: Mapping[str, np.ndarray]) -> FloatArray:
    import numpy as np

    return np.asarray(arrays.get("instructions", ()), dtype=np.float64)


def _once(timed: Sequence[SessionSeen], name: str) -> float | None:
    """Give the count of what runs once per session, if the sessions agree."""
    counts = [seen.reply.scalars[name] for seen in timed if name in seen.reply.scalars]
    found = single_count(counts) if counts else None
    return None if found is None or isinstance(found, Missing) else found.value
