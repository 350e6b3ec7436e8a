"""The agent on an emulated aarch64 board: exact work, exact memory, on a Python and a libc that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.frame import Frame
from harness.device.runtime import resolve
from harness.emulator import start_board
from harness.emulator.machine.login import ssh_command
from harness.records.run import Facts
from harness.spec.model import Emulation
from harness.testing.agent import LocalAgent

DIGITS = Path(__file__).parents[2] / "suites" / "digits"

pytestmark = [pytest.mark.board, pytest.mark.system]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """An agent on a deterministic Cortex-A53 with onnxruntime installed as `ort`."""
    emulation = Emulation(cpu="cortex-a53", memory_bytes=1 << 30, icount=True)
    known_hosts = tmp_path_factory.mktemp("ssh") / "known_hosts"
    with start_board(emulation, progress=lambda _: None) as machine:
        known_hosts.write_text(f"fleetgate-board {machine.endpoint.host_key}\n")
        ssh = ssh_command(machine.endpoint, known_hosts, "", connect_timeout_s=60)[:-1]
        with LocalAgent(Path("/root/.fleetgate"), python="python3", shell=tuple(ssh)) as agent:
            agent.hello(ttl_s=120.0)
            install(agent)
            yield agent


def install(agent: LocalAgent) -> None:
    """Deploy onnxruntime for what the board says that it is."""
    python = agent.ask("facts").header["python"]
    facts = Facts(
        architecture=python["architecture"], cpu="", cores=1, features=(), memory_bytes=0, kernel="",
        libc=python["libc"], python=python["version"], python_abi=python["abi"],
    )  # fmt: skip
    env = resolve("onnxruntime", "onnxruntime==1.32.0", facts, progress=lambda _: None)
    wheels = [{"digest": agent.put(wheel.path.read_bytes()), "filename": wheel.filename} for wheel in env.wheels]
    assert agent.ask("env", env="fleetgate-ort", wheels=wheels).header["ok"]


def session(agent: LocalAgent, kind: str) -> Frame:
    """Run one deterministic session of the int8 digits model."""
    fields: dict[str, Any] = {
        "nonce": "n", "kind": kind, "env": "fleetgate-ort", "runtime": "onnxruntime", "suffix": ".onnx",
        "model": agent.put((DIGITS / "digits_int8_qdq.onnx").read_bytes()),
        "data": agent.put((DIGITS / "digits_eval.npz").read_bytes()),
        "repeat": 24, "warmup": 3, "deadline_s": 300.0, "deterministic": True,
    }  # fmt: skip
    reply = agent.ask("session", **fields)
    assert reply.header["ok"], reply.header
    assert reply.header["error"] is None, reply.header
    return reply


def array(reply: Frame, name: str) -> Any:
    """Decode one array."""
    spec = next(spec for spec in reply.header["arrays"] if spec["name"] == name)
    return np.frombuffer(reply.payload, spec["dtype"], offset=spec["offset"], count=spec["shape"][0])


def test_work_repeats(board: LocalAgent) -> None:
    """Two fresh processes count the same work to the last digit, and it is the inference's, not the loop's."""
    first, second = (array(session(board, "timing"), "instructions") for _ in range(2))

    assert np.mean(second == first) > 0.5
    assert 500_000 < np.median(first) < 1_000_000


def test_virtual_latency_is_the_work(board: LocalAgent) -> None:
    """One instruction is one nanosecond of virtual time there: latency and work agree within a few percent."""
    reply = session(board, "timing")

    latency_ns = np.median(array(reply, "latency_s")) * 1e9
    assert latency_ns == pytest.approx(float(np.median(array(reply, "instructions"))), rel=0.05)


def test_memory_repeats(board: LocalAgent) -> None:
    """Two fresh processes have the same peak, to a few pages."""
    first, second = (session(board, "memory").header["scalars"] for _ in range(2))

    for name in ("rss_start_bytes", "hwm_load_bytes", "hwm_bytes"):
        assert abs(first[name] - second[name]) <= 4 * 4096
