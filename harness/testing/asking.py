"""Requests to an agent as a test makes them: models and data deployed, arrays decoded, processes looked for."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.agent.frame import Frame
from harness.testing.agent import LocalAgent
from harness.testing.fake_runtime import add_fake

DIGITS = Path(__file__).parents[2] / "suites" / "digits"


def data_of(**arrays: npt.ArrayLike) -> bytes:
    """Return an .npz."""
    buffer, named = io.BytesIO(), dict[str, Any](arrays)
    np.savez(buffer, **named)
    return buffer.getvalue()


PAIR = data_of(x=np.ones((3, 2), np.float32))
"""Data for the fake runtime's models."""


@contextlib.contextmanager
def fake_agent(root: Path) -> Iterator[LocalAgent]:
    """Start an agent that holds its lease and has the misbehaving runtime."""
    with LocalAgent(root) as agent:
        agent.hello()
        add_fake(agent.root)
        yield agent


def request(agent: LocalAgent, kind: str, model: bytes, data: bytes, **fields: object) -> dict[str, Any]:
    """Deploy a model and its data; return a request for a session with them."""
    asked = {
        "nonce": "n-1", "kind": kind, "env": "system", "runtime": "onnxruntime", "suffix": ".onnx",
        "model": agent.put(model), "data": agent.put(data), "repeat": 20, "warmup": 2, "deadline_s": 60.0,
    }  # fmt: skip
    return {**asked, **fields}


def digits(agent: LocalAgent, kind: str, file: str = "digits_int8_qdq.onnx", **fields: object) -> Frame:
    """Run a session with a real model."""
    model, data = (DIGITS / file).read_bytes(), (DIGITS / "digits_eval.npz").read_bytes()
    return agent.ask("session", **request(agent, kind, model, data, **fields))


def misbehave(agent: LocalAgent, how: str, **fields: object) -> dict[str, Any]:
    """Run a session whose model misbehaves; return the reply."""
    asked = request(agent, "timing", how.encode(), PAIR, env="fake-env")
    reply = agent.ask("session", **{**asked, **fields}).header
    assert reply["ok"], reply
    assert reply["nonce"] == "n-1"
    assert reply["end"] is True
    return reply


def decode(payload: bytes, spec: Mapping[str, Any]) -> np.ndarray:
    """Decode one array of a payload."""
    dtype = np.dtype(spec["dtype"])
    flat = np.frombuffer(payload, dtype, offset=spec["offset"], count=spec["nbytes"] // dtype.itemsize)
    return flat.reshape(spec["shape"])


def arrays_of(reply: Frame) -> dict[str, np.ndarray]:
    """Decode the arrays of a session's reply."""
    return {spec["name"]: decode(reply.payload, spec) for spec in reply.header["arrays"]}


def is_running(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def count_processes(marker: str) -> int:
    """Count running processes whose command line holds a text."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            count += marker in words and is_running(int(path.parent.name))
    return count


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Poll until a condition holds."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
