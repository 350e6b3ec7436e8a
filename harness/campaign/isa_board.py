"""One file on one open board, for `fleetgate isa`: its sessions, and what becomes of their replies."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionReply, SessionRequest
from harness.campaign.incident import NOT_THE_MODELS
from harness.campaign.isa_request import IsaRequest
from harness.device.program import VARYING, program_request
from harness.errors import ArtifactError, InfraError, Problem, RunCancelled, SpecError
from harness.records.verdict import Estimate
from harness.stats import Missing
from harness.stats.instruction_set import Sighting, listed
from harness.stats.quantile import FloatArray, order_quantile
from harness.stats.work import repeated_count, single_count

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import OpenBoard, RuntimeEnvironment, SessionSeen
    from harness.spec.model import Device

SESSION_DEADLINE_S = 600.0
COUNTING_SESSIONS = 2
"""A count is trusted because a second fresh process gives it again."""
MEMORY_REPEAT = 10
WARMUP = 3
_PROGRAM = "a program of its own"
_UNCOUNTED = Missing("no instruction was counted")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one board told of one file."""

    sighting: Sighting
    runtime: str
    data_sha256: str


class Measuring:
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

    def run(self) -> Seen:
        """Run the sessions; a file that fails twice in fresh processes has failed.

        Raises:
            SpecError: the inputs do not fit the model.
            FleetgateError: the board or the link failed.
        """
        empty, data = self._empty(), ""
        try:
            env = self._ensure_runtime()
            given = self._request.data
            data = self._board.deploy(given) if given else ""
            answers = self._ask(self._asked(env, "accuracy", data))
            data = data or answers.reply.settings.get("data", "")
            found = replace(empty, outputs=_outputs(answers.arrays), output_types=_types(answers.reply))
            return Seen(self._count(found, env, data), self._runtime, data)
        except ArtifactError as error:
            return Seen(replace(empty, failure=str(error)), self._runtime, data)

    def run_program(self) -> Seen:
        """Run a program in fresh processes, twice if it fails: what it writes, counts and takes in memory.

        Raises:
            FleetgateError: the board or the link failed.
        """
        asked = program_request(self._board.deploy(self._path), self._request.argv, deadline_s=SESSION_DEADLINE_S)
        try:
            seen = self._ask(asked)
        except ArtifactError as error:
            return Seen(replace(self._empty(), failure=str(error)), _PROGRAM, "")
        varies = VARYING in seen.reply.flags
        counts = _counts(seen.arrays)
        work = repeated_count([counts[k : k + 1] for k in range(counts.size)]) if counts.size > 1 else None
        peaks = seen.arrays.get("peak_bytes")
        found = replace(
            self._empty(),
            written_sha256="" if varies else seen.reply.settings.get("output_sha256", ""),
            varies=varies,
            instructions=work.value if isinstance(work, Estimate) else None,
            counts=tuple(float(count) for count in counts),
            uncounted="" if work else _UNCOUNTED.reason,
            unrepeated=listed([f"{count:,.0f}" for count in counts]) if isinstance(work, Missing) else "",
            peak_bytes=float(peaks.max()) if peaks is not None and peaks.size else None,
        )
        return Seen(found, _PROGRAM, "")

    def _empty(self) -> Sighting:
        record = self._board.record
        exists = self._device.emulation is None or self._device.emulation.exists
        features = record.facts.features if record.facts else ()
        return Sighting(self._device.name, record.emulator, exists, features)

    def _count(self, found: Sighting, env: str, data: str) -> Sighting:
        timed = [self._ask(self._asked(env, "timing", data)) for _ in range(COUNTING_SESSIONS)]
        memory = self._ask(self._asked(env, "memory", data))
        counts = [_counts(seen.arrays) for seen in timed]
        work = repeated_count(counts) if all(item.size for item in counts) else _UNCOUNTED
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
