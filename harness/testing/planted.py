"""Faults of a self-test on boards without hardware: what the fake model's figures become, and what the board sends.

Figures, envelopes and facts go through the same functions that spoil them on a real board; only what happens inside the
session's process is played.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.agent.message import PlantRequest, SessionReply, SessionRequest
from harness.agent.plant.reply import spoil_facts, spoil_reply
from harness.agent.plant.result import RESULTS
from harness.device.condition import compare
from harness.device.envelope import SessionResult, open_envelope
from harness.device.facts import parse_facts

Array = npt.NDArray[np.generic]

ERRORS = {
    "crash": ("crash", "died of signal 11 (SIGSEGV) while running"),
    "no-memory": ("memory", "no memory left while in stage load"),
    "endless": ("timeout", "still running after 10 s"),
    "stale-file": ("integrity", "the stored model is 0123456789ab, not the one asked for"),
    "swapped-file": ("integrity", "the model file was replaced while it was loaded"),
    "absent-sensor": ("sensor", "no power sensor below /planted/class/hwmon"),
}
"""Fault -> (code, words) of the session that it ends."""


@dataclass(slots=True)
class Figures:
    """What a session leaves."""

    scalars: dict[str, float]
    arrays: dict[str, Array]
    flags: list[str] = field(default_factory=list)


def planted_error(plant: PlantRequest) -> dict[str, str] | None:
    """Give the failure that a fault causes, or None when the session goes on."""
    if plant.fault == "flaky" and not plant.count:
        return {"code": "run", "message": "a planted failure of the first session"}
    found = ERRORS.get(plant.fault)
    return {"code": found[0], "message": found[1]} if found else None


def plant_figures(plant: PlantRequest, figures: Figures) -> None:
    """Change the figures of a session as the fault does."""
    amount = _AMOUNTS.get(plant.fault)
    if amount is not None:
        amount(plant, figures)
    spoil = RESULTS.get(plant.fault)
    if spoil is not None:
        spoil(figures, plant)


def plant_flags(plant: PlantRequest, where: str) -> tuple[str, ...]:
    """Read made-up facts before and after the session, and compare them as the controller does.

    Raises:
        DeviceError: the board seems to have been started anew.
    """
    facts: Mapping[str, Any] = {"files": {}, "globs": {}, "commands": {}}
    before, after = (parse_facts(spoil_facts(plant.fault, dict(facts), after=late)) for late in (False, True))
    return compare(before, after, where=where)


def send(reply: SessionReply, arrays: Mapping[str, Array], request: SessionRequest, where: str) -> SessionResult:
    """Put a session into an envelope, let the fault at it, and open it as the controller does.

    Raises:
        InfraError: the envelope is no valid one.
    """
    assert request.plant is not None
    payload, specs = bytearray(), []
    for name, array in arrays.items():
        data = np.ascontiguousarray(array)
        spec = {"name": name, "dtype": data.dtype.name, "shape": list(data.shape)}
        specs.append(dict(spec, offset=len(payload), nbytes=data.nbytes))
        payload += data.tobytes()
    whole = replace(reply, sha256=hashlib.sha256(payload).hexdigest())
    header, sent = spoil_reply(request.plant.fault, dict(asdict(whole), arrays=specs), bytes(payload))
    return open_envelope(header, sent, request, where=where)


def _scale(name: str) -> Callable[[PlantRequest, Figures], None]:
    """Make an array worse by the ratio, or add what certainly passes the target."""

    def change(plant: PlantRequest, figures: Figures) -> None:
        if name in figures.arrays:
            array = figures.arrays[name]
            kind = array.dtype
            figures.arrays[name] = (array * (1.0 + plant.ratio) + 1.05 * plant.target).astype(kind)  # type: ignore[operator]

    return change


def _busy(plant: PlantRequest, figures: Figures) -> None:
    for name in ("latency_s", "instructions"):
        _scale(name)(plant, figures)


def _uneven(plant: PlantRequest, figures: Figures) -> None:
    _scale("instructions")(replace(plant, ratio=plant.ratio * plant.count), figures)


def _ballast(plant: PlantRequest, figures: Figures) -> None:
    figures.scalars["hwm_bytes"] = figures.scalars["hwm_bytes"] * (1.0 + plant.ratio) + 1.05 * plant.target


def _temperature(plant: PlantRequest, figures: Figures) -> None:
    del figures.scalars["thermal_max_c"]
    if plant.fault == "hot-board":
        figures.scalars["thermal_max_c"] = plant.target + 5.0


def _step(_: PlantRequest, figures: Figures) -> None:
    figures.flags.append("clock-step")


_AMOUNTS: dict[str, Callable[[PlantRequest, Figures], None]] = {
    "busy": _busy,
    "busy-count": _scale("instructions"),
    "busy-time": _scale("latency_s"),
    "unrepeatable-count": _uneven,
    "ballast": _ballast,
    "ballast-peak": _ballast,
    "ballast-model": _ballast,
    "hot-board": _temperature,
    "absurd-temperature": _temperature,
    "clock-step": _step,
}
