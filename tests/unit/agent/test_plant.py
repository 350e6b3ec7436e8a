"""Faults on the board: refused outside of a self-test, visible where they are planted."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from harness.agent.message import PlantRequest
from harness.agent.plant.reply import spoil_facts, spoil_reply
from harness.agent.plant.result import RESULTS
from harness.campaign.selftest.catalogue import FAULTS
from harness.campaign.selftest.tamper import TAMPERED
from harness.records.trial import Place
from harness.testing.agent import LocalAgent
from harness.testing.planted import Figures

IN_THE_PROCESS = {
    "busy", "busy-count", "busy-time", "unrepeatable-count", "clock-step", "ballast", "ballast-peak", "ballast-model",
    "crash", "no-memory", "endless", "flaky", "stale-file", "swapped-file", "absent-sensor", "hot-board",
    "absurd-temperature",
}  # fmt: skip
"""What harness.agent.plant.session carries out itself; the rest is in tables."""


@pytest.fixture
def agent(tmp_path: Path) -> Any:
    """A real agent on this machine that was not told of any self-test."""
    with LocalAgent(tmp_path / "board") as found:
        found.hello()
        yield found


def _session(agent: LocalAgent) -> dict[str, Any]:
    stored = agent.put(secrets.token_bytes(8))
    fields: dict[str, Any] = {"nonce": "n", "kind": "accuracy", "env": "system", "runtime": "onnxruntime"}
    return {**fields, "model": stored, "suffix": ".onnx", "data": stored, "plant": {"fault": "crash"}}


def test_an_agent_refuses_faults_in_a_release(agent: LocalAgent) -> None:
    """Neither a session nor the facts carry a fault when hello did not say that this is a self-test."""
    session = agent.ask("session", **_session(agent)).header
    facts = agent.ask("facts", plant="throttled").header

    for header in (session, facts):
        assert header["error"]["code"] == "request"
        assert "self-test only" in header["error"]["message"]


def test_every_fault_of_the_catalogue_is_carried_out_somewhere() -> None:
    """A name that nothing answers to would survive for a wrong reason."""
    left = []
    for fault in FAULTS:
        envelope = spoil_reply(fault.name, {"arrays": [{"name": "a"}], "sha256": ""}, b"ab")
        changed = {
            Place.SESSION: fault.name in RESULTS or fault.name in IN_THE_PROCESS,
            Place.REPLY: envelope != ({"arrays": [{"name": "a"}], "sha256": ""}, b"ab"),
            Place.BOARD: spoil_facts(fault.name, {"files": {}, "globs": {}, "commands": {}}, after=True)
            != {"files": {}, "globs": {}, "commands": {}},
            Place.RECORD: fault.name in TAMPERED,
            Place.FILE: True,  # tests/unit/campaign/test_selftest_plan.py
        }
        left += [] if changed[fault.place] else [fault.name]

    assert left == []


def test_names_are_used_once() -> None:
    """A fault has one name and a name one fault."""
    names = [fault.name for fault in FAULTS]

    assert len(set(names)) == len(names)


def test_a_fault_that_differs_between_sessions_counts_them() -> None:
    """The first session loses its thermometer, the second keeps it."""
    first, second = (Figures({"thermal_max_c": 40.0}, {}) for _ in range(2))

    RESULTS["lost-thermometer"](first, PlantRequest("lost-thermometer", count=0))
    RESULTS["lost-thermometer"](second, PlantRequest("lost-thermometer", count=1))

    assert first.scalars == {}
    assert second.scalars == {"thermal_max_c": 40.0}
