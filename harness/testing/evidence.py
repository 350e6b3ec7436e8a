"""Cells with complete evidence from a few knobs, seeded: for tests of whatever judges, stores or compares runs.

Unlike `harness.testing.record` nothing is told here: the figures are drawn, and `harness.gate` judges them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.records.canonical import plan_sha256, to_json
from harness.records.cell import ArrayRef, CellRecord, Incident, Role, RuntimeRecord, SessionKind, SessionRecord
from harness.records.plan import CellCalibration, FileIdentity, Plan, PlannedCell, RecordedFigure
from harness.records.run import SCHEMA_VERSION, DeviceRecord, Environment, RunRecord
from harness.spec.model import Device, Emulation, Limit, LimitKind, MeterSpec, Noise, Origin, Tier
from harness.spec.workload import Workload
from harness.stats.evidence import AnyArray, Evidence
from harness.testing.profile import make_profile

CLASSES = 10
IDLE_W, LOAD_W = 2.0, 5.0

Measured: TypeAlias = tuple[dict[str, float], dict[str, AnyArray]]
"""Scalars and arrays of one session."""


def limit(metric: str, kind: str, value: float, text: str = "", *, accept: str = "") -> Limit:
    """Make a limit as a suite file would state it."""
    return Limit(metric, LimitKind(kind), value, text or f"{value:g}", Origin("s.suite.yaml", 9, 5), accept)


@dataclass(frozen=True, slots=True)
class Scene:
    """One cell to be: what its board is like, and what came of the sessions. SI; ratios for the scales."""

    tier: Tier = Tier.HARDWARE
    device: str = "pi"
    artifact: str = "int8"
    limits: tuple[Limit, ...] = ()
    sessions: int = 6
    repeat: int = 200
    latency_s: float = 2e-3
    noise: float = 0.004
    """Standard deviation of a session's level, relative."""
    baseline: float | None = None
    """Times, work and memory of the baseline relative to the candidate's; None: no baseline file."""
    work: int = 1_000_000
    memory_bytes: int = 40 * 2**20
    size_bytes: int = 60_000
    samples: int = 400
    wrong: int = 4
    """Samples that the candidate answers wrong; the reference answers the first 4 wrong."""
    controller: int | None = None
    """Samples that the candidate answers wrong on the controller, from the first; None: it did not run there."""
    reference_on_board: int | None = None
    """Samples that the reference answers wrong on the board, from the first; None: it did not run there."""
    power: MeterSpec | None = None
    incidents: tuple[Incident, ...] = ()
    recorded: tuple[RecordedFigure, ...] = ()
    skip_reason: str = ""
    cpu: str = ""
    """QEMU's name of an emulated board's CPU; empty: not described."""
    exists: bool = True
    """False: an emulated board with a CPU that no board has."""
    known_noise: tuple[Noise, ...] = ()
    """What the board's noise was known to be beforehand."""
    calibration: CellCalibration | None = None
    """What A/A sessions of the cell told beforehand; the board of a scene has the empty hash."""
    seed: int = 1
    snapshot: str = ""
    """Of an emulated board."""
    operators: Mapping[str, int] = field(default_factory=dict)
    """Profile of the candidate: `name Type` -> instructions; none: no profile session."""
    baseline_operators: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The cell's key."""
        return f"digits::{self.artifact}[{self.device}]"

    def evidence(self) -> Evidence:
        """Draw the cell."""
        arrays = dict(_labels(self))
        sessions = _sessions(self, arrays)
        record = CellRecord(self.key, sessions, self.incidents, _reference_refs(arrays))
        return Evidence(_planned(self), _device(self), record, arrays, self.snapshot)


@dataclass(frozen=True, slots=True)
class SceneSamples:
    """A reader of samples over evidence held in memory."""

    by_cell: Mapping[str, Mapping[str, AnyArray]]

    def arrays(self, cell_key: str) -> Mapping[str, AnyArray]:
        """Return the arrays of one cell."""
        return self.by_cell.get(cell_key, {})


def run_of(cells: Iterable[Evidence | PlannedCell], *, cancelled: bool = False) -> tuple[RunRecord, SceneSamples]:
    """Make a run of cells; a `PlannedCell` alone was planned but left no record (its device is a scene's)."""
    seen = list(cells)
    planned = tuple(cell.planned if isinstance(cell, Evidence) else cell for cell in seen)
    devices = {cell.device.name: cell.device for cell in seen if isinstance(cell, Evidence)}
    for cell in planned:
        devices.setdefault(cell.device, _device(Scene(device=cell.device, tier=cell.tier)))
    plan = Plan("lab", "farm.yaml", tuple(devices.values()), planned)
    plan = replace(plan, sha256=plan_sha256(plan))
    records = tuple(cell.cell for cell in seen if isinstance(cell, Evidence))
    snapshots = {cell.device.name: cell.snapshot for cell in seen if isinstance(cell, Evidence)}
    met = tuple(
        DeviceRecord(item.name, item.profile, item.tier, None, "print", snapshot=snapshots.get(item.name, ""))
        for item in devices.values()
    )
    environment = Environment("0.1.0", "3.11.2", "Linux", ("pytest", "--devices=farm.yaml"))
    times = ("2026-01-02T03:04:05Z", "2026-01-02T03:05:05Z")
    run = RunRecord(SCHEMA_VERSION, "r1", *times, environment, plan, met, records, cancelled)
    samples = {cell.planned.key: cell.arrays for cell in seen if isinstance(cell, Evidence)}
    return run, SceneSamples(samples)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _device(scene: Scene) -> Device:
    profile = "rpi5" if scene.tier is Tier.HARDWARE else "qemu-cortex-a53"
    origin = Origin("farm.yaml", 3, 5)
    cpu = scene.cpu or ("" if scene.exists else "max")
    emulation = Emulation(cpu, 2**30, icount=True, exists=scene.exists) if cpu else None
    return Device(
        scene.device, profile, (profile, "arm64"), scene.tier, origin,
        emulation=emulation, power=scene.power, noise=scene.known_noise,
    )  # fmt: skip


def _planned(scene: Scene) -> PlannedCell:
    baseline = None if scene.baseline is None else FileIdentity("v1.onnx", _digest("v1"), scene.size_bytes)
    return PlannedCell(
        scene.key, "digits", "s.suite.yaml", scene.artifact, scene.device, _device(scene).profile, scene.tier,
        "onnxruntime", "onnxruntime==1.32.0", "", 1, Workload("classification", "eval.npz", scene.repeat),
        scene.limits, FileIdentity("m.onnx", _digest(scene.artifact), scene.size_bytes),
        FileIdentity("eval.npz", _digest("data"), 1000), baseline, FileIdentity("ref.onnx", _digest("ref"), 200_000),
        scene.recorded, scene.skip_reason, "onnxruntime", "onnxruntime==1.32.0", calibration=scene.calibration,
    )  # fmt: skip


def _sessions(scene: Scene, arrays: dict[str, AnyArray]) -> tuple[SessionRecord, ...]:
    rng = np.random.default_rng(scene.seed)
    roles = (Role.CANDIDATE,) if scene.baseline is None else (Role.BASELINE, Role.CANDIDATE)
    found: list[SessionRecord] = []
    kinds = [SessionKind.TIMING] * scene.sessions + [SessionKind.MEMORY] * min(scene.sessions, 3)
    kinds += [SessionKind.ACCURACY] + (
        [SessionKind.ENERGY] * 3 if scene.power and scene.power.kind != "modelled" else []
    )
    for kind in kinds:
        for role in roles:
            found.append(add_session(scene, len(found), (role, kind), rng, arrays))
    if scene.reference_on_board is not None:
        answers = {"output_0": _scores(scene, scene.reference_on_board)}
        found.append(_session(scene, len(found), (Role.REFERENCE, SessionKind.ACCURACY), ({}, answers), arrays))
    for role, costs in ((Role.BASELINE, scene.baseline_operators), (Role.CANDIDATE, scene.operators)):
        if costs:
            found.append(_session(scene, len(found), (role, SessionKind.PROFILE), _profile(costs), arrays))
    return tuple(found)


def add_session(
    scene: Scene, order: int, arm: tuple[Role, SessionKind], rng: np.random.Generator, arrays: dict[str, AnyArray]
) -> SessionRecord:
    """Draw one session of a scene; its arrays go into `arrays`."""
    role, kind = arm
    scale = 1.0 if role is Role.CANDIDATE or scene.baseline is None else scene.baseline
    return _session(scene, order, arm, _MEASURES[kind](scene, scale, rng), arrays)


def _session(
    scene: Scene, order: int, arm: tuple[Role, SessionKind], measured: Measured, arrays: dict[str, AnyArray]
) -> SessionRecord:
    (role, kind), (scalars, raw) = arm, measured
    refs = {name: ArrayRef(f"{order}/{name}", array.shape, str(array.dtype)) for name, array in raw.items()}
    arrays.update({f"{order}/{name}": array for name, array in raw.items()})
    model = _digest({Role.CANDIDATE: scene.artifact, Role.BASELINE: "v1", Role.REFERENCE: "ref"}[role])
    runtime = RuntimeRecord("onnxruntime", "onnxruntime==1.32.0", "1.32.0", "CPU", 1, "env1", "3.11.2", "2.2.6")
    return SessionRecord(order, role, kind, model, runtime, (3,), scalars, refs)


def _timing(scene: Scene, scale: float, rng: np.random.Generator) -> Measured:
    is_exact = scene.tier is Tier.DETERMINISTIC
    level = scene.latency_s * scale * (1.0 if is_exact else float(rng.normal(1.0, scene.noise)))
    calls = level * (1.0 + 0.01 * np.linspace(0.0, 1.0, scene.repeat))
    scalars = {"load_s": 0.02 * scale, "first_s": 2 * level, "clock_resolution_s": 1e-9}
    work = round(scene.work * scale)
    scalars |= {"load_instructions": 20.0 * work, "first_instructions": 2.0 * work}
    counts = np.full(scene.repeat, work, dtype=np.int64)
    answer = _scores(scene, scene.wrong)[0]
    return scalars, {"latency_s": calls, "instructions": counts, "timed_output": answer}


def _memory(scene: Scene, scale: float, rng: np.random.Generator) -> Measured:
    peak = scene.memory_bytes * scale + 4096.0 * int(rng.integers(0, 3))
    return {"hwm_bytes": peak, "rss_start_bytes": 20.0 * 2**20, "hwm_load_bytes": peak - 4096.0}, {}


def _accuracy(scene: Scene, _: float, __: np.random.Generator) -> Measured:
    return {"sample_count": float(scene.samples)}, {"output_0": _scores(scene, scene.wrong)}


def _energy(_: Scene, scale: float, rng: np.random.Generator) -> Measured:
    times = np.arange(0.0, 20.0, 0.02)
    watts = np.where((times > 5) & (times < 15), LOAD_W * scale, IDLE_W) + rng.normal(0, 0.01, times.size)
    scalars = {
        "window_start_s": 5.0, "window_end_s": 15.0, "inference_count": 1000.0, "idle_before_start_s": 0.5,
        "idle_before_end_s": 4.5, "idle_after_start_s": 15.5, "idle_after_end_s": 19.5,
    }  # fmt: skip
    return scalars, {"power_t_s": times, "power_w": watts}


def _profile(costs: Mapping[str, int]) -> Measured:
    return {"load_s": 0.02}, {"profile": np.frombuffer(to_json(make_profile(costs)), np.uint8)}


_MEASURES = {
    SessionKind.TIMING: _timing,
    SessionKind.MEMORY: _memory,
    SessionKind.ACCURACY: _accuracy,
    SessionKind.ENERGY: _energy,
}


def _scores(scene: Scene, wrong: int) -> NDArray[np.float32]:
    """Give scores whose argmax is the label but for the first `wrong` samples, shape (samples, classes)."""
    answers = _answers(scene)
    answers[:wrong] = (answers[:wrong] + 1) % CLASSES
    scores = np.full((scene.samples, CLASSES), 0.01, dtype=np.float32)
    scores[np.arange(scene.samples), answers] = 0.91
    return scores


def _answers(scene: Scene) -> NDArray[np.int64]:
    return np.arange(scene.samples, dtype=np.int64) % CLASSES


def _labels(scene: Scene) -> dict[str, AnyArray]:
    found: dict[str, AnyArray] = {"labels": _answers(scene), "reference/output_0": _scores(scene, 4)}
    if scene.controller is not None:
        found["controller/output_0"] = _scores(scene, scene.controller)
    return found


def _reference_refs(arrays: Mapping[str, AnyArray]) -> dict[str, ArrayRef]:
    names = {"labels": "labels", "output_0": "reference/output_0"}
    names |= {key: key for key in arrays if key.startswith("controller/")}
    return {name: ArrayRef(key, arrays[key].shape, str(arrays[key].dtype)) for name, key in names.items()}
