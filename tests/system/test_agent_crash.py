"""Fatal faults on this machine: sessions and runtimes say which instruction, where, and never hang instead."""

from __future__ import annotations

import io
import platform
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from harness.testing.agent import LocalAgent
from harness.testing.native import ILLEGAL, RETURNS, add_faulty

HERE = platform.machine()
BAD = ILLEGAL.get(HERE, b"").hex()

pytestmark = [pytest.mark.system, pytest.mark.skipif(HERE not in ILLEGAL, reason="no handler for this architecture")]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """An agent whose environment `faulty` executes what the model says."""
    with LocalAgent(tmp_path_factory.mktemp("board") / "root") as agent:
        agent.hello()
        add_faulty(agent.root, "faulty", RETURNS[HERE])
        add_faulty(agent.root, "unfit", ILLEGAL[HERE])
        yield agent


def run(agent: LocalAgent, model: str) -> dict[str, Any]:
    """Run a session with a model; return the reply."""
    buffer = io.BytesIO()
    np.savez(buffer, x=np.ones((3, 2), np.float32))
    reply = agent.ask(
        "session", nonce="n", kind="timing", env="faulty", runtime="onnxruntime", suffix=".onnx", deadline_s=60.0,
        model=agent.put(model.encode()), data=agent.put(buffer.getvalue()), repeat=3, warmup=1,
    ).header  # fmt: skip
    assert reply["ok"], reply
    return reply


@pytest.mark.parametrize("where", ["run", "thread"])
def test_illegal_instruction_is_told(agent: LocalAgent, where: str) -> None:
    """Also from a thread with a small stack while another one holds the interpreter."""
    error = run(agent, f"{where} {BAD}")["error"]

    assert error["code"] == "illegal_instruction"
    assert error["signal"] == "SIGILL"
    assert error["instruction"].startswith(BAD)
    assert "while running" in error["message"]
    assert run(agent, f"run {RETURNS[HERE].hex()}")["error"] is None


def test_runtime_that_does_not_run_on_this_processor(agent: LocalAgent) -> None:
    """A runtime whose import executes an illegal instruction is refused with it, not as one that is missing."""
    error = agent.ask("warm", env="unfit", runtime="onnxruntime").header["error"]

    assert error["code"] == "illegal_instruction"
    assert error["instruction"].startswith(BAD)
    assert "while being imported" in error["message"]
