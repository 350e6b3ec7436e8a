"""Sessions of the agent as it runs on a board, here on this machine: figures, flags and data."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.testing.agent import LocalAgent
from harness.testing.asking import (
    DIGITS,
    arrays_of,
    digits,
    fake_agent,
)


@pytest.fixture(scope="module", name="agent")
def _agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """An agent with the fake environment; no test may end it."""
    with fake_agent(tmp_path_factory.mktemp("board") / "root") as agent:
        yield agent


def test_timed_output_is_that_of_the_accuracy_pass(agent: LocalAgent) -> None:
    """A timing session returns raw latencies, and an output that equals the accuracy pass's first row."""
    timing = digits(agent, "timing")
    accuracy = digits(agent, "accuracy")

    timed, outputs = arrays_of(timing), arrays_of(accuracy)
    assert timed["latency_s"].shape == (20,)
    assert (timed["latency_s"] > 0).all()
    np.testing.assert_array_equal(timed["timed_output"], outputs["output_0"][0])
    assert {"load_s", "first_s", "clock_resolution_s", "warmup_count"} <= set(timing.header["scalars"])
    assert timing.header["provider"] == "CPUExecutionProvider"
    assert timing.header["cores"] == [max(os.sched_getaffinity(0))]


def test_the_control_work_stands_beside_the_model_where_others_may_disturb(agent: LocalAgent) -> None:
    """It takes about the same time before and after; on a board that counts instructions nothing runs beside them."""
    scalars = digits(agent, "timing").header["scalars"]

    assert 0.1 < scalars["control_after_s"] / scalars["control_before_s"] < 10
    assert 1e-5 < scalars["control_before_s"] < 0.1
    assert "control_before_s" not in digits(agent, "timing", deterministic=True).header["scalars"]


def test_a_fresh_session_has_a_runtime_that_is_loaded_anew(agent: LocalAgent) -> None:
    """Sessions are forked from one process; asked for, from another one."""
    parents = [_zygote_pids(agent)]
    for fresh in (False, True):
        assert digits(agent, "timing", fresh=fresh).header["error"] is None
        parents.append(_zygote_pids(agent))

    assert parents[0] <= parents[1]
    assert not parents[1] <= parents[2]


def _zygote_pids(agent: LocalAgent) -> set[int]:
    """Return the processes that the agent keeps."""
    children = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text()
    return {int(pid) for pid in children.split()}


def test_accuracy_on_real_data(agent: LocalAgent) -> None:
    """All samples come back in order, one at a time or in batches."""
    labels = np.load(DIGITS / "digits_eval.npz")["y"]

    reply = digits(agent, "accuracy", "digits_fp32.onnx", batch=64)

    rows = arrays_of(reply)["output_0"]
    assert rows.dtype == np.float32
    assert rows.shape == (len(labels), 10)
    assert (rows.argmax(axis=1) == labels).mean() > 0.97


def test_memory_counts_like_a_fresh_process(agent: LocalAgent, tmp_path: Path) -> None:
    """A forked child shows the memory that a process of its own shows that imported the same things."""
    script = tmp_path / "fresh.py"
    script.write_text(
        "import sys, ctypes, hashlib, json, struct\n"
        "from harness.agent.runtimes import load_runtime\n"
        "from harness.agent import session, zygote\n"
        "from harness.agent.meters.memory import read_peak, read_resident, reset_peak\n"
        "from harness.agent.samples import Samples\n"
        "runtime = load_runtime('onnxruntime'); runtime.probe()\n"
        "samples = Samples.read(sys.argv[2], 1)\n"
        "reset_peak(); start = read_resident().rss\n"
        "model = runtime.load(sys.argv[1], '', 1)\n"
        "call = model.bind(samples.take(model.inputs(), 0, 1))\n"
        "for _ in range(20): call()\n"
        "print(start, read_peak(), read_resident().anonymous)\n"
    )
    env = dict(os.environ, MALLOC_ARENA_MAX="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    argv = [sys.executable, str(script), str(DIGITS / "digits_fp32.onnx"), str(DIGITS / "digits_eval.npz")]
    # The session comes first: it reads the libraries into the page cache, on which the fresh process depends too.
    scalars = digits(agent, "memory", "digits_fp32.onnx").header["scalars"]
    said = subprocess.run(argv, env=env, capture_output=True, check=True, timeout=60).stdout.split()
    fresh_start, fresh_peak = int(said[0]), int(said[1])

    assert scalars["rss_start_bytes"] == pytest.approx(fresh_start, rel=0.1)
    assert scalars["hwm_bytes"] == pytest.approx(fresh_peak, rel=0.1)
    # Which library pages count into the start and which into the rest is the page cache's affair.
    assert scalars["anon_bytes"] == pytest.approx(int(said[2]), rel=0.1)
    assert scalars["rss_start_bytes"] < scalars["hwm_load_bytes"] <= scalars["hwm_bytes"]


def test_energy_window_stands_between_idle_times(agent: LocalAgent, tmp_path: Path) -> None:
    """Power is sampled before, during and after the window, by the clock of the window."""
    chip = tmp_path / "sys" / "class" / "hwmon" / "hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina226\n")
    (chip / "power1_input").write_text("2500000\n")
    meter = {"kind": "hwmon", "root": str(tmp_path / "sys"), "rate_hz": 100.0}

    reply = digits(agent, "energy", window_s=0.3, idle_s=0.1, meter=meter)

    scalars, arrays = reply.header["scalars"], arrays_of(reply)
    marks = ["idle_before_start_s", "idle_before_end_s", "window_start_s", "window_end_s"]
    marks += ["idle_after_start_s", "idle_after_end_s"]
    times = [scalars[mark] for mark in marks]
    assert times == sorted(times)
    assert scalars["window_end_s"] - scalars["window_start_s"] >= 0.3
    assert scalars["inference_count"] >= 20
    assert set(arrays["power_w"]) == {2.5}
    assert arrays["power_t_s"][0] < times[2] < times[3] < arrays["power_t_s"][-1]


def test_missing_sensor_is_no_figure(agent: LocalAgent, tmp_path: Path) -> None:
    """An energy session without its sensor is an error `sensor` and has no arrays."""
    reply = digits(agent, "energy", meter={"kind": "hwmon", "root": str(tmp_path)})

    assert reply.header["error"]["code"] == "sensor"
    assert reply.header["arrays"] == []


def test_counter_that_is_not_there_gives_a_flag(agent: LocalAgent) -> None:
    """Instructions are counted, or there is no array and the flag says why; zeros are never invented."""
    reply = digits(agent, "timing")

    arrays, flags = arrays_of(reply), reply.header["flags"]
    if "instructions" in arrays:
        assert (arrays["instructions"] > 1000).all()
    else:
        assert any(flag.startswith("no-counter:E") for flag in flags)


def test_sessions_start_alike(agent: LocalAgent) -> None:
    """Children of one zygote do not see each other: two sessions give the same outputs and settings."""
    first, second = digits(agent, "accuracy", deterministic=True), digits(agent, "accuracy", deterministic=True)

    assert first.payload == second.payload
    assert first.header["settings"] == second.header["settings"]
