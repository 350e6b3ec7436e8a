"""Faults of an external meter: planted where the controller joins its readings with the board's marks, and caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.agent.message import EXTERNAL, MeterRequest, PlantRequest, SessionReply, SessionRequest
from harness.agent.plant.result import RESULTS
from harness.campaign.selftest.catalogue import ENERGY, FAULTS
from harness.campaign.selftest.planting import planted
from harness.device.envelope import SessionResult
from harness.records.cell import SessionKind, SessionRecord
from harness.records.trial import Place, Trial
from harness.spec.model import MeterSpec, Tier
from harness.stats import Missing
from harness.stats.energy import session_energy
from harness.testing.evidence import Scene, limit
from harness.testing.planted import Figures

SCENE = Scene(power=MeterSpec("hwmon"), limits=(limit("energy.per_inference", "max", 1.0, "1 J"),))
POWER = [fault for fault in FAULTS if fault.sessions == (ENERGY,)]
WORDS = {fault.name: fault.aims[0].words for fault in POWER if fault.aims[0].words}


class Board:
    """A board whose meter is external: what the board itself brings has no power, what the controller joins has."""

    def __init__(self, whole: SessionResult) -> None:
        self.whole = whole
        self.asked: SessionRequest | None = None

    def measure(self, request: SessionRequest) -> SessionResult:
        """Let the board plant what it can, then add the readings, as `harness.device.metering` does."""
        self.asked = request
        inside = Figures(dict(self.whole.reply.scalars), {})
        if request.plant is not None and request.plant.fault in RESULTS:
            RESULTS[request.plant.fault](inside, request.plant)
        scalars = {**inside.scalars, "power_late_count": 0.0}
        return SessionResult(replace(self.whole.reply, scalars=scalars), self.whole.arrays, 1.0)


def _sound() -> tuple[SessionRecord, SessionResult]:
    evidence = SCENE.evidence()
    session = next(item for item in evidence.cell.sessions if item.kind is SessionKind.ENERGY)
    arrays = {name: np.array(evidence.array(session, name)) for name in session.arrays}
    reply = SessionReply(nonce="n", wait_status=0, sha256="", end=True, scalars=dict(session.scalars))
    return session, SessionResult(reply, arrays, 1.0)


@pytest.mark.parametrize("name", sorted(WORDS))
def test_each_fault_of_a_sensor_is_seen_in_an_external_trace(name: str) -> None:
    """The same faults, the same words, whoever reads the meter."""
    session, whole = _sound()
    evidence = SCENE.evidence()
    board = Board(whole)
    trial = Trial(name, "", Place.SESSION, (), kinds=(ENERGY,))
    request = SessionRequest(
        "n", "energy", "e", "onnxruntime", evidence.planned.model.sha256, ".onnx", "d", meter=MeterRequest(EXTERNAL)
    )

    seen = planted(board, replace(evidence.planned, trial=trial)).measure(request)  # type: ignore[arg-type]

    assert board.asked is not None
    assert board.asked.plant == PlantRequest(name)
    if seen.reply.error is not None:
        assert WORDS[name] in seen.reply.error["message"]
        return
    arrays = {f"x/{key}": array for key, array in seen.arrays.items()}
    refs = {key: replace(session.arrays[key], key=f"x/{key}") for key in seen.arrays}
    changed = replace(session, scalars=dict(seen.reply.scalars), arrays=refs)
    found = session_energy(replace(evidence, arrays=arrays), changed)
    assert isinstance(found, Missing)
    assert WORDS[name] in found.reason


def test_faults_of_sensors_are_tried_where_a_meter_is_simulated() -> None:
    """An emulated board with a simulated meter has gates of energy that a self-test can prove."""
    device = replace(
        SCENE.evidence().device, tier=Tier.FUNCTIONAL, power=MeterSpec("simulated", idle_w=1.0, busy_w=1.0)
    )

    assert POWER
    assert all(fault.answers(SCENE.limits, device) for fault in POWER)
