"""Models that are small text files: what one says of itself, and what its sessions bring.

Owns the figures; which board runs a session, and what becomes of it there, is `harness.testing.device`'s.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.agent.message import SessionRequest
from harness.records.canonical import to_json
from harness.testing.profile import make_profile

Array = npt.NDArray[np.generic]
CLASSES = 10


@dataclass(frozen=True, slots=True)
class FakeModel:
    """How a fake model behaves on every board."""

    latency_s: float = 1e-3
    instructions: int = 1_000_000
    peak_bytes: int = 40 * 2**20
    wrong: int = 0
    """So many samples, from the first, get a wrong class."""
    wrong_on_boards: int = 0
    """So many more do on every board, but not on the controller."""
    error: str = ""
    """A code of `SessionReply.error`: load, crash, memory, timeout, killed, illegal_instruction, input."""
    error_on_boards: str = ""
    """The same on every board, but not on the controller."""
    errors: int = 1_000_000
    """So many sessions fail; later ones work."""
    sag: float = 0.0
    """Share of its speed that a load that lasts loses a third of the time after it began, when the board throttles."""
    seed: int = 0
    """Makes two files of equal behaviour different files."""
    operators: dict[str, int] = field(default_factory=dict)
    """`name Type` -> instructions, in order; a model without has no profile."""


def write_model(path: Path, model: FakeModel = FakeModel()) -> Path:
    """Write a fake model file."""
    path.write_text(json.dumps(asdict(model)), encoding="utf-8")
    return path


def read_model(path: Path) -> FakeModel:
    """Read a fake model as a board would load it."""
    try:
        return FakeModel(**json.loads(path.read_text(encoding="utf-8")))
    except ValueError:  # torn in the middle
        return FakeModel(error="load")


def _outputs(model: FakeModel, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Give class scores, shape (n, 10): right but for the first `wrong` samples."""
    classes = labels.copy()
    classes[: model.wrong] = (classes[: model.wrong] + 1) % CLASSES
    return (np.eye(CLASSES, dtype=np.float32)[classes] * 4.0).astype(np.float32)


def _jitter(request: SessionRequest, number: int, size: int) -> npt.NDArray[np.float64]:
    """Give a reproducible scatter of 0.1 % around 1, other in every session."""
    seed = zlib.crc32(f"{request.model} {request.kind} {number}".encode())
    return 1.0 + np.random.default_rng(seed).normal(0.0, 1e-3, size)


def _play_timing(
    model: FakeModel, request: SessionRequest, labels: npt.NDArray[np.int64], number: int
) -> tuple[dict[str, Array], dict[str, float]]:
    latency_s = model.latency_s * _jitter(request, number, request.repeat)
    arrays: dict[str, Array] = {"latency_s": latency_s, "timed_output": _outputs(model, labels)[0]}
    if request.count_work:
        arrays["instructions"] = np.full(request.repeat, model.instructions, np.int64)
    scalars = {"load_s": 0.01, "first_s": model.latency_s * 3, "clock_resolution_s": 1e-9, "thermal_max_c": 45.0}
    if request.count_work:
        scalars |= {"load_instructions": 20.0 * model.instructions, "first_instructions": 2.0 * model.instructions}
    return arrays, {**scalars, "warmup_count": float(request.warmup)}


def _play_memory(
    model: FakeModel, request: SessionRequest, _labels: npt.NDArray[np.int64], number: int
) -> tuple[dict[str, Array], dict[str, float]]:
    peak = float(model.peak_bytes + 4096 * (number % 2))
    start = 30.0 * 2**20
    scalars = {"rss_start_bytes": start, "hwm_load_bytes": peak, "hwm_bytes": peak, "pss_bytes": peak}
    return {}, {**scalars, "repeat_count": float(request.repeat)}


def _play_accuracy(
    model: FakeModel, _request: SessionRequest, labels: npt.NDArray[np.int64], _number: int
) -> tuple[dict[str, Array], dict[str, float]]:
    return {"output_0": _outputs(model, labels)}, {"sample_count": float(labels.size)}


def _play_energy(
    model: FakeModel, request: SessionRequest, _labels: npt.NDArray[np.int64], number: int
) -> tuple[dict[str, Array], dict[str, float]]:
    begin, end = request.idle_s, request.idle_s + request.window_s
    times = np.arange(0.0, end + request.idle_s, 0.02)
    watts = np.where((times >= begin) & (times < end), 3.0, 1.0) * _jitter(request, number, times.size)
    scalars = {
        "window_start_s": begin,
        "window_end_s": end,
        "inference_count": request.window_s / model.latency_s,
        "idle_before_start_s": 0.0,
        "idle_before_end_s": begin,
        "idle_after_start_s": end,
        "idle_after_end_s": end + request.idle_s,
        "thermal_max_c": 45.0,
    }
    return {"power_t_s": times, "power_w": watts}, scalars


def _play_profile(
    model: FakeModel, _request: SessionRequest, _labels: npt.NDArray[np.int64], _number: int
) -> tuple[dict[str, Array], dict[str, float]]:
    return {"profile": np.frombuffer(to_json(make_profile(model.operators)), np.uint8)}, {"load_s": 0.01}


def _play_sustained(
    model: FakeModel, request: SessionRequest, _labels: npt.NDArray[np.int64], number: int
) -> tuple[dict[str, Array], dict[str, float]]:
    assert request.sustain is not None
    windows = 240
    ends = request.sustain.time_s * np.arange(1, windows + 1) / windows
    hot = (ends > request.sustain.time_s / 3).astype(np.float64)
    single = model.latency_s / (1.0 - model.sag * hot) * _jitter(request, number, windows)
    arrays: dict[str, Array] = {
        "window_end_s": 100.0 + ends,
        "window_calls": np.round(np.diff(ends, prepend=0.0) / single),
        "window_median_s": single,
        "window_longest_s": 1.2 * single,
        "signs_t_s": 100.0 + ends - 0.5 * ends[0],
        "temperature_c": 45.0 + 30.0 * (1.0 - np.exp(-3.0 * ends / ends[-1])),
        "frequency_hz": 1.8e9 * (1.0 - model.sag * hot),
        "throttled": hot * (model.sag > 0),
        "mean_w": 3.0 - hot,
    }
    return arrays, {"load_start_s": 100.0, "sustain_s": request.sustain.time_s, "rate_hz": 0.0}


PLAYS = {
    "timing": _play_timing,
    "memory": _play_memory,
    "accuracy": _play_accuracy,
    "energy": _play_energy,
    "profile": _play_profile,
    "sustained": _play_sustained,
}
"""Kind of session -> what it brings: arrays and scalars."""
