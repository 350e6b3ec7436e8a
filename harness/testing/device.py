"""Boards without hardware: a farm whose models are small text files that say how they behave.

`FakeBoards` answers `pytest_fleetgate_boards`. A fake model is a JSON file (`write_model`): the figures of its
sessions, or the way it fails. A board's own faults are scripted by name (`BoardScript`). Deterministic, instant, honest
about shapes: what comes back passes the same checks as a real board's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.agent.message import PlantRequest, SessionReply, SessionRequest
from harness.device.envelope import SessionResult
from harness.device.session import WATCHED
from harness.errors import ArtifactError, DeviceError, FleetgateError, InfraError, LeaseBusy, LinkLost, SecurityError
from harness.farm.boards import SessionSeen
from harness.records.cell import Incident
from harness.records.header import HEADERS
from harness.records.run import DeviceRecord, Facts
from harness.spec.model import Device, Origin, Tier
from harness.testing.planted import Figures, plant_figures, plant_flags, planted_error, send
from harness.testing.played import CLASSES, PLAYS, read_model

Array = npt.NDArray[np.generic]

FAULTS: dict[str, type[FleetgateError]] = {
    "infra": InfraError,
    "busy": LeaseBusy,
    "link": LinkLost,
    "device": DeviceError,
    "security": SecurityError,
}
CONTROLLER = "controller"
_NOWHERE = Origin("fake", 1, 1)


@dataclass(frozen=True, slots=True)
class BoardScript:
    """What goes wrong on one board."""

    open_fault: str = ""
    """A key of `FAULTS`: the board cannot be opened."""
    fault: str = ""
    """A key of `FAULTS`, raised by the session number `after` and all later ones."""
    unfit: int = 0
    """So many times the runtime needs an instruction that this board does not have."""
    after: int = 0
    session_s: float = 0.0
    """How long a session takes."""
    hang: bool = False
    """Sessions never end, until the link is cut."""
    kill_process: bool = False
    """The session number `after` kills this process, as a crash of the worker does."""


@dataclass(frozen=True, slots=True)
class FakeSeen:
    """What one session brought."""

    reply: SessionReply
    arrays: dict[str, Array] = field(default_factory=dict)
    seconds: float = 0.0
    cut_short: FleetgateError | None = None


@dataclass(frozen=True, slots=True)
class FakeRuntime:
    """A runtime that is always there."""

    id: str


def write_data(path: Path, samples: int = 200) -> Path:
    """Write evaluation data: `x` float32 (samples, 4), which shows its class, and labels `y` int64 (samples,)."""
    labels = np.arange(samples, dtype=np.int64) % CLASSES
    inputs = np.zeros((samples, 4), np.float32)
    inputs[:, 0] = labels
    np.savez(path, x=inputs, y=labels)
    return path


class FakeBoard:
    """One open fake board."""

    def __init__(self, spec: Device, script: BoardScript, cancel: threading.Event) -> None:
        self.spec = spec
        self._script = script
        self._cancel = cancel
        self._files: dict[str, Path] = {}
        self._sessions = 0
        self._refused = 0
        self._failed: dict[str, int] = {}
        self._drawn: dict[str, npt.NDArray[np.int64]] = {}
        self._planted_faults: list[str] = []

    @property
    def record(self) -> DeviceRecord:
        """The board as it was met."""
        facts = Facts("aarch64", f"Fake {self.spec.name}", 4, (), 2**30, "6.1.0", "glibc 2.36", "3.11.2", "cp311")
        incidents: tuple[Incident, ...] = ()
        return DeviceRecord(self.spec.name, self.spec.profile, self.spec.tier, facts, "fake", incidents=incidents)

    def deploy(self, path: Path) -> str:
        """Remember a file by its hash."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self._files[digest] = path
        return digest

    def ensure_runtime(self, family: str, build: str) -> FakeRuntime:
        """Name the environment of a runtime."""
        self._refused += 1
        if self._refused <= self._script.unfit:
            words = f"{build or family} does not run on this CPU: sdot v0.4s, v1.16b, v2.16b: needs asimddp"
            raise ArtifactError(words, code="illegal_instruction")
        return FakeRuntime(hashlib.sha256(f"{family} {build}".encode()).hexdigest())

    def measure(self, request: SessionRequest) -> SessionSeen:
        """Play one session."""
        self._suffer()
        model = read_model(self._files[request.model])
        if self.spec.name != CONTROLLER:
            model = replace(
                model, wrong=model.wrong + model.wrong_on_boards, error=model.error or model.error_on_boards
            )
        error = self._plant(request)
        if error is not None:
            return FakeSeen(self._reply(request, {}, error))
        failed = self._failed.get(request.model, 0)
        if model.error and failed < model.errors:
            self._failed[request.model] = failed + 1
            error = {"code": model.error, "message": f"the fake model fails: {model.error}"}
            return FakeSeen(self._reply(request, {}, error))
        labels = self._labels(request)
        if request.kind == "profile" and not model.operators:
            error = {"code": "profile", "message": "the fake model has no operators"}
            return FakeSeen(self._reply(request, {}, error))
        arrays, scalars = PLAYS[request.kind](model, request, labels, self._sessions)
        if request.plant is not None:
            return self._planted(request, request.plant, Figures(scalars, arrays))
        reply = self._reply(request, scalars, None)
        if not request.data:
            reply.settings["data"] = hashlib.sha256(f"{request.seed} {request.samples}".encode()).hexdigest()
            self._drawn[reply.settings["data"]] = labels
        return FakeSeen(reply, arrays, self._script.session_s)

    def _labels(self, request: SessionRequest) -> npt.NDArray[np.int64]:
        """Read the classes that the data shows, or draw them as a real board draws inputs."""
        if not request.data:
            return np.arange(request.samples, dtype=np.int64) % CLASSES
        if request.data in self._drawn:
            return self._drawn[request.data]
        with HEADERS:
            shown = np.load(self._files[request.data], allow_pickle=False)["x"][:, 0]
        return np.asarray(shown[: request.samples or None], np.int64)

    def _plant(self, request: SessionRequest) -> dict[str, str] | None:
        """Refuse a fault outside of a self-test, count it, and give the failure that it causes, if it does."""
        if request.plant is None:
            return None
        if not self.spec.selftest:
            raise InfraError("faults are planted in a self-test only, and this is none", code="request")
        request.plant.count = self._planted_faults.count(request.plant.fault)
        self._planted_faults.append(request.plant.fault)
        return planted_error(request.plant)

    def _planted(self, request: SessionRequest, plant: PlantRequest, figures: Figures) -> SessionResult:
        plant_figures(plant, figures)
        if request.kind in WATCHED and self.spec.emulation is None:
            figures.flags += plant_flags(plant, self.spec.name)
        reply = self._reply(request, figures.scalars, None)
        reply.flags, reply.settings["planted"] = figures.flags, plant.fault
        return send(reply, figures.arrays, request, self.spec.name)

    def _suffer(self) -> None:
        script, number = self._script, self._sessions
        self._sessions += 1
        if script.kill_process and number >= script.after:
            os._exit(9)
        if script.hang:
            self._cancel.wait()
        elif script.session_s:
            self._cancel.wait(script.session_s)
        if self._cancel.is_set():
            raise LinkLost(f"{self.spec.name}: the link was cut")
        if script.fault and number >= script.after:
            raise FAULTS[script.fault](f"{self.spec.name}: scripted {script.fault} fault in session {number}")

    def _reply(self, request: SessionRequest, scalars: dict[str, float], error: dict[str, str] | None) -> SessionReply:
        return SessionReply(
            nonce=request.nonce,
            wait_status=0 if error is None else 1,
            sha256="",
            end=True,
            error=error,
            scalars=scalars,
            runtime_version="1.0-fake",
            provider=request.provider or "cpu",
            threads=request.threads,
            python="3.11.2",
            numpy="1.26.4",
            model_sha256=request.model,
            cores=[3],
            settings={"graph_optimization_level": "fake"},
        )


class FakeBoards:
    """A farm of fake boards; boards without a script are sound."""

    def __init__(self, scripts: Mapping[str, BoardScript] | None = None) -> None:
        self._scripts = dict(scripts or {})

    @contextlib.contextmanager
    def open(
        self,
        spec: Device,
        *,
        builds: Collection[tuple[str, str]],
        holder: str,
        progress: Callable[[str], None],
        cancel: threading.Event,
    ) -> Iterator[FakeBoard]:
        """Open a board, or fail as its script says."""
        script = self._scripts.get(spec.name, BoardScript())
        progress(f"fake board for {holder}, {len(builds)} runtimes")
        if script.open_fault:
            raise FAULTS[script.open_fault](f"{spec.name}: scripted {script.open_fault} fault")
        yield FakeBoard(spec, script, cancel)

    @contextlib.contextmanager
    def open_local(self, root: Path, *, progress: Callable[[str], None]) -> Iterator[FakeBoard]:
        """Open the controller."""
        progress(f"fake controller in {root.name}")
        origin = Device(CONTROLLER, "host", ("host",), Tier.HARDWARE, _NOWHERE)
        yield FakeBoard(origin, BoardScript(), threading.Event())
