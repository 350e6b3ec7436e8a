"""The sustained session as an agent runs it here: a model that slows down on a board of files that gets warm."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.frame import Frame
from harness.agent.message import ArraySpec
from harness.device.envelope import unpack_arrays
from harness.testing.agent import LocalAgent
from harness.testing.fake_runtime import API, add_fake
from harness.testing.heat import HotBoard

SLOWING = (
    API
    + """
class InferenceSession(Session):
    def __init__(self, path, options, providers, enable_fallback):
        self.began = time.monotonic()
    def run(self, names, feed):
        time.sleep(0.005 if time.monotonic() < self.began + 1.5 else 0.010)
        return [feed["x"] * 2]
"""
)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[LocalAgent]:
    """An agent with an environment whose runtime is the slowing model."""
    with LocalAgent(tmp_path / "root") as agent:
        agent.hello()
        add_fake(agent.root, "slow", SLOWING)
        yield agent


def start(agent: LocalAgent, board: HotBoard, **sustain: float) -> int:
    """Ask for a sustained session on a board of files, with a power rail of 3 W; return the request's number."""
    data = io.BytesIO()
    np.savez(data, x=np.ones((1, 2), np.float32))
    rail = board.root / "class/hwmon/hwmon0"
    rail.mkdir(parents=True)
    (rail / "name").write_text("ina226\n")
    (rail / "power1_input").write_text("3000000\n")
    fields: dict[str, Any] = {
        "nonce": "n-1", "kind": "sustained", "env": "slow", "runtime": "onnxruntime", "suffix": ".onnx",
        "model": agent.put(b"model"), "data": agent.put(data.getvalue()), "warmup": 1, "deadline_s": 60.0,
        "meter": {"kind": "hwmon", "root": str(board.root)}, "sustain": {"root": str(board.root), **sustain},
    }  # fmt: skip
    return agent.send("session", **fields)


def finish(agent: LocalAgent, number: int) -> tuple[Frame, dict[str, Any], list[dict[str, Any]]]:
    """Ping until the session is over; return its reply, arrays and what it told on the way."""
    told: list[dict[str, Any]] = []
    while True:
        agent.send("ping")
        reply = agent.receive()
        if reply.header["id"] == number:
            break
        told += reply.header.get("progress", [])
        time.sleep(0.2)
    assert reply.header.get("error") is None, reply.header
    return reply, unpack_arrays([ArraySpec(**spec) for spec in reply.header["arrays"]], reply.payload), told


def test_a_board_that_gets_warm_under_a_model_that_slows_down(agent: LocalAgent, tmp_path: Path) -> None:
    """Throughput halves, heat rises, the clock falls, throttling begins: each is in the series, on one clock."""
    board = HotBoard(tmp_path / "sys")
    number = start(agent, board, time_s=4.0)
    time.sleep(2.5)
    board.set(83.0, 1.2e9, state=1)
    reply, arrays, told = finish(agent, number)

    rates = arrays["window_calls"] / np.diff([reply.header["scalars"]["load_start_s"], *arrays["window_end_s"]])
    assert 12 <= len(rates) <= 17
    assert np.median(rates[-4:]) < 0.75 * np.median(rates[:4])
    assert (arrays["window_median_s"] <= arrays["window_longest_s"]).all()
    assert (arrays["temperature_c"][0], arrays["temperature_c"][-1]) == (40.0, 83.0)
    assert (arrays["frequency_hz"][0], arrays["frequency_hz"][-1]) == (1.8e9, 1.2e9)
    assert (arrays["throttled"][0], arrays["throttled"][-1]) == (0.0, 1.0)
    assert np.nanmedian(arrays["mean_w"]) == pytest.approx(3.0)
    assert arrays["signs_t_s"][0] < arrays["window_end_s"][0]
    assert arrays["signs_t_s"][-1] == pytest.approx(arrays["window_end_s"][-1], abs=1.0)
    assert told[0]["described"]["model_sha256"] == reply.header["model_sha256"]
    passed_on = [row for item in told[1:] for row in item["windows"]]
    assert [row[0] for row in passed_on] == list(arrays["window_end_s"][: len(passed_on)])
    assert len(passed_on) >= 4


def test_a_rate_is_kept_while_the_model_can(agent: LocalAgent, tmp_path: Path) -> None:
    """At 20 per second inferences begin on time, whatever a single one takes."""
    number = start(agent, HotBoard(tmp_path / "sys"), time_s=3.0, rate_hz=20.0)
    reply, arrays, _ = finish(agent, number)

    assert arrays["window_calls"].sum() == pytest.approx(60, abs=6)
    assert reply.header["scalars"]["late_count"] <= 6
    assert np.median(arrays["window_median_s"]) < 0.04
