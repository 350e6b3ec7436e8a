"""The agent as it runs on a board, here on this machine: sessions, models that misbehave, and the lease."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.frame import Frame, FrameError
from harness.testing.agent import LocalAgent

DIGITS = Path(__file__).parents[2] / "suites" / "digits"
FAKE = """
import ctypes, os, sys, time
import numpy as np
__version__ = "0.fake"
def set_default_logger_severity(level): pass
def get_available_providers(): return ["FancyExecutionProvider", "CPUExecutionProvider"]
class Node:
    name, shape, type = "x", [1, 2], "tensor(float)"
class SessionOptions:
    graph_optimization_level = execution_mode = "x"
    enable_cpu_mem_arena = enable_mem_pattern = True
    def add_session_config_entry(self, key, value): pass
class InferenceSession:
    def __init__(self, path, options, providers, enable_fallback):
        self.do = open(path).read().split()
        self.act("load")
    def act(self, when):
        if self.do[0] != when: return
        if self.do[1] == "segv": ctypes.string_at(0)
        if self.do[1] == "exit": os._exit(3)
        if self.do[1] == "kill": os.kill(os.getpid(), 9)
        if self.do[1] == "raise": raise ValueError("no such operator: Frobnicate")
        if self.do[1] == "memory": raise RuntimeError("std::bad_alloc")
        if self.do[1] == "hang": time.sleep(1000)
        if self.do[1] == "flood":
            for _ in range(3000): os.write(1, b"noise" * 2000)
            os.write(2, b"the last line")
        if self.do[1] == "endless":
            while True: os.write(1, b"noise" * 2000)
        if self.do[1] == "orphan":
            if os.fork() == 0:
                os.setsid(); time.sleep(1000)
            os.kill(os.getppid(), 9); time.sleep(1000)
        if self.do[1] == "print": print("FGT1 hello", flush=True)
        if self.do[1] == "leave":
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0: time.sleep(1000)
                os._exit(0)
        if self.do[1] == "close":
            os.closerange(3, 64)
        if self.do[1] == "garbage":
            for fd in range(3, 32):
                try: os.write(fd, b"garbage on every descriptor of this process, " * 4)
                except OSError: pass
    def disable_fallback(self): pass
    def get_providers(self): return ["CPUExecutionProvider"]
    def get_inputs(self): return [Node]
    def run(self, names, feed):
        self.act("run")
        self.count = getattr(self, "count", 0) + (self.do[1] == "count")
        return [feed["x"] * 2 + self.count]
"""


def add_fake(root: Path, env: str = "fake-env", source: str = FAKE) -> None:
    """Add an environment whose onnxruntime does what the model file says."""
    folder = root / "env" / env
    folder.mkdir(parents=True)
    (folder / "onnxruntime.py").write_text(source)
    for package in (Path(np.__file__).parent, Path(np.__file__).parent.with_name("numpy.libs")):
        if package.exists():
            (folder / package.name).symlink_to(package)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """An agent that holds its lease and has the fake environment; no test may end it."""
    with LocalAgent(tmp_path_factory.mktemp("board") / "root") as agent:
        agent.hello()
        add_fake(agent.root)
        yield agent


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[LocalAgent]:
    """The same for one test, which may end it."""
    with LocalAgent(tmp_path / "root") as agent:
        agent.hello()
        add_fake(agent.root)
        yield agent


def data_of(**arrays: Any) -> bytes:
    """Return an .npz."""
    import io

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


PAIR = data_of(x=np.ones((3, 2), np.float32))
"""Data for the fake runtime's models."""


def request(agent: LocalAgent, kind: str, model: bytes, data: bytes, **fields: Any) -> dict[str, Any]:
    """Deploy a model and its data; return a request for a session with them."""
    asked = {
        "nonce": "n-1", "kind": kind, "env": "system", "runtime": "onnxruntime", "suffix": ".onnx",
        "model": agent.put(model), "data": agent.put(data), "repeat": 20, "warmup": 2, "deadline_s": 60.0,
    }  # fmt: skip
    return {**asked, **fields}


def digits(agent: LocalAgent, kind: str, file: str = "digits_int8_qdq.onnx", **fields: Any) -> Frame:
    """Run a session with a real model."""
    model, data = (DIGITS / file).read_bytes(), (DIGITS / "digits_eval.npz").read_bytes()
    return agent.ask("session", **request(agent, kind, model, data, **fields))


def misbehave(agent: LocalAgent, how: str, **fields: Any) -> dict[str, Any]:
    """Run a session whose model misbehaves; return the reply."""
    asked = request(agent, "timing", how.encode(), PAIR, env="fake-env")
    reply = agent.ask("session", **{**asked, **fields}).header
    assert reply["ok"], reply
    assert reply["nonce"] == "n-1"
    assert reply["end"] is True
    return reply


def decode(payload: bytes, spec: dict[str, Any]) -> Any:
    """Decode one array of a payload."""
    dtype = np.dtype(spec["dtype"])
    flat = np.frombuffer(payload, dtype, offset=spec["offset"], count=spec["nbytes"] // dtype.itemsize)
    return flat.reshape(spec["shape"])


def arrays_of(reply: Frame) -> dict[str, Any]:
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


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    """Poll until a condition holds."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


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


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("load segv", "crash", "signal 11 (SIGSEGV) in libc.so.6+0x"),
        ("run segv", "crash", "(SIGSEGV) in libc.so.6+0x"),
        ("run kill", "killed", "not for lack of memory"),
        ("run exit", "crash", "exit status 3 without a result while running"),
        ("load raise", "load", "no such operator: Frobnicate"),
        ("run raise", "run", "no such operator: Frobnicate"),
        ("load memory", "memory", "bad_alloc"),
        ("run garbage", "crash", "what is no result"),
        ("run close", "crash", "while running"),
    ],
)
def test_model_that_fails_is_told_apart(agent: LocalAgent, how: str, code: str, words: str) -> None:
    """How a model failed is said with its stage; the agent lives on and serves the next session."""
    reply = misbehave(agent, how)

    assert reply["error"]["code"] == code
    assert words in reply["error"]["message"]
    assert misbehave(agent, "run well")["error"] is None


def test_model_that_keeps_state_is_noted(agent: LocalAgent) -> None:
    """A streaming model answers the same sample otherwise each time: its first answer stands for the timed ones."""
    reply = agent.ask("session", **request(agent, "timing", b"run count", PAIR, env="fake-env"))

    np.testing.assert_array_equal(arrays_of(reply)["timed_output"], [3.0, 3.0])
    assert "note-stateful" in reply.header["flags"]
    assert "note-stateful" not in digits(agent, "timing").header["flags"]


def test_wrong_bytes_do_not_load(agent: LocalAgent) -> None:
    """A file that is no model is a load error in the runtime's words."""
    asked = request(agent, "timing", b"not a model", (DIGITS / "digits_eval.npz").read_bytes())

    reply = agent.ask("session", **asked).header

    assert reply["error"]["code"] == "load"
    assert reply["wait_status"] == 0


def test_deadline_kills_the_session(agent: LocalAgent) -> None:
    """A model that hangs is killed at its deadline and reported as a timeout; pings are answered meanwhile."""
    asked = request(agent, "timing", b"run hang", PAIR, env="fake-env", deadline_s=1.0)
    agent.ask("warm", env="fake-env", runtime="onnxruntime")
    start = time.monotonic()
    number = agent.send("session", **asked)
    assert agent.ask("ping").header["ok"]

    reply = agent.receive().header

    assert reply["id"] == number
    assert reply["error"]["code"] == "timeout"
    assert "still running after 1 s" in reply["error"]["message"]
    assert time.monotonic() - start < 10


def test_deterministic_session_is_left_alone(agent: LocalAgent) -> None:
    """Pings during a deterministic session are answered after it."""
    asked = request(agent, "timing", b"run hang", PAIR, env="fake-env", deadline_s=1.0)
    session = agent.send("session", **{**asked, "deterministic": True})
    ping = agent.send("ping")

    assert [agent.receive().header["id"], agent.receive().header["id"]] == [session, ping]


def test_output_of_a_model_cannot_reach_the_channel(agent: LocalAgent) -> None:
    """What a model prints is kept to its last 8 KiB and never mistaken for a frame."""
    assert "FGT1 hello" in misbehave(agent, "load print")["log"]

    flooded = misbehave(agent, "load flood")

    assert flooded["error"] is None
    assert len(flooded["log"]) <= 8192
    assert flooded["log"].endswith("the last line")


def test_endless_output_does_not_stop_the_clock(agent: LocalAgent) -> None:
    """A model that prints for ever is killed at its deadline like any other."""
    reply = misbehave(agent, "run endless", deadline_s=1.0)

    assert reply["error"]["code"] == "timeout"


def test_model_that_kills_its_zygote(fresh: LocalAgent) -> None:
    """Even then the agent answers, loads the runtime again, and leaves nothing behind at its end."""
    asked = request(fresh, "timing", b"run orphan", PAIR, env="fake-env")

    assert fresh.ask("session", **asked).header["error"]["code"] == "runtime"

    assert misbehave(fresh, "run well")["error"] is None
    assert fresh.ask("bye").header["ok"]
    assert count_processes(f"zygote {fresh.root} fake-env") == 0


def test_processes_that_a_model_leaves_are_killed(agent: LocalAgent) -> None:
    """A grandchild that left its group and session is gone when the session's answer comes."""
    misbehave(agent, "run well")
    marker = f"zygote {agent.root} fake-env"
    before = count_processes(marker)

    misbehave(agent, "load leave")

    assert count_processes(marker) == before


def test_leftovers_of_crashes_go_with_the_next_lease(fresh: LocalAgent) -> None:
    """The name under which a crashed session opened its model is removed by the next hello."""
    misbehave(fresh, "load segv")
    assert list((fresh.root / "active").iterdir())

    fresh.hello()

    assert list((fresh.root / "active").iterdir()) == []


def test_silent_fallback_is_an_error(agent: LocalAgent) -> None:
    """A provider that the runtime replaces by another one is `fallback`, and so is one that it does not have."""
    replaced = misbehave(agent, "run well", provider="FancyExecutionProvider")
    missing = misbehave(agent, "run well", provider="CUDAExecutionProvider")

    assert replaced["error"]["code"] == missing["error"]["code"] == "fallback"
    assert "the session uses CPUExecutionProvider" in replaced["error"]["message"]


def test_runtime_that_does_not_fit_is_not_the_models_fault(agent: LocalAgent) -> None:
    """An environment that cannot be imported refuses the operation; the next request tries again."""
    add_fake(agent.root, "misfit", "raise ImportError('wrong libc')")

    reply = agent.ask("warm", env="misfit", runtime="onnxruntime").header

    assert reply["ok"] is False
    assert reply["error"]["code"] == "runtime"
    assert "wrong libc" in reply["error"]["message"]
    (agent.root / "env" / "misfit" / "onnxruntime.py").write_text(FAKE)
    assert agent.ask("warm", env="misfit", runtime="onnxruntime").header["ok"]


def test_changed_object_is_noticed(agent: LocalAgent) -> None:
    """A stored model whose bytes changed is an integrity error and is dropped, so that it is sent again."""
    asked = request(agent, "timing", b"a model", data_of(x=np.ones((1, 2))))
    path = agent.root / "store" / "sha256" / asked["model"][:2] / asked["model"]
    path.chmod(0o644)
    path.write_bytes(b"b model")

    reply = agent.ask("session", **asked).header

    assert reply["error"]["code"] == "integrity"
    assert agent.ask("has", digests=[asked["model"]]).header["missing"] == [asked["model"]]


def test_core_that_is_not_there(agent: LocalAgent) -> None:
    """A session that cannot be pinned where it was asked says so."""
    assert digits(agent, "timing", cores=[4095]).header["error"]["code"] == "input"


def test_operations_are_refused_by_name(agent: LocalAgent) -> None:
    """Unknown operations, versions, digests and malformed fields are refused, and the agent goes on."""
    assert agent.ask("dance").header["error"]["code"] == "request"
    assert agent.ask("put", digest="x").header["error"]["code"] == "request"
    assert agent.ask("env", env="e", wheels=3).header["error"]["code"] == "request"
    assert agent.ask("warm", env="nothing-here", runtime="onnxruntime").header["error"]["code"] == "missing"
    assert agent.ask("ping").header["ok"]


def test_frame_errors_end_the_agent(fresh: LocalAgent) -> None:
    """After bytes that are no frame nothing on the channel can be trusted: the agent ends."""
    assert fresh.process.stdin is not None
    fresh.process.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
    fresh.process.stdin.flush()

    with pytest.raises(FrameError):
        fresh.receive()
    assert fresh.process.wait(timeout=10) == 0


def test_nothing_before_hello(tmp_path: Path) -> None:
    """Without a lease nothing is done."""
    with LocalAgent(tmp_path) as agent:
        assert agent.ask("facts").header["error"]["code"] == "no_lease"


def test_second_controller_sees_the_holder(fresh: LocalAgent) -> None:
    """A held board is refused with its holder's name; `bye` frees it at once, and the token grows."""
    with LocalAgent(fresh.root) as second:
        refused = second.hello("second")["error"]
        assert refused["code"] == "lease_busy"
        assert refused["owner"]["holder"] == "tests"
        assert "held by tests since" in refused["message"]
        assert refused["strays"] == []

        assert fresh.ask("bye").header["ok"]

        taken = second.hello("second")
        assert taken["ok"]
        assert taken["token"] == 2


def test_end_of_the_channel_frees_everything(fresh: LocalAgent) -> None:
    """When the controller goes, session and zygote die and the lease is free."""
    asked = request(fresh, "timing", b"run hang", PAIR, env="fake-env")
    fresh.send("session", **asked)
    marker = f"zygote {fresh.root} fake-env"
    assert wait_until(lambda: count_processes(marker) == 2)

    assert fresh.process.stdin is not None
    fresh.process.stdin.close()

    assert fresh.process.wait(timeout=10) == 0
    assert wait_until(lambda: count_processes(marker) == 0)
    with LocalAgent(fresh.root) as second:
        assert second.hello()["ok"]


def test_killed_agent_takes_its_children_along(fresh: LocalAgent) -> None:
    """SIGKILL of the agent leaves no zygote and no session, and the lease is free."""
    asked = request(fresh, "timing", b"run hang", PAIR, env="fake-env")
    fresh.send("session", **asked)
    marker = f"zygote {fresh.root} fake-env"
    assert wait_until(lambda: count_processes(marker) == 2)

    os.kill(fresh.process.pid, signal.SIGKILL)
    fresh.process.wait()

    assert wait_until(lambda: count_processes(marker) == 0)
    with LocalAgent(fresh.root) as second:
        assert second.hello()["ok"]


def test_silent_holder_loses_the_lease(tmp_path: Path) -> None:
    """A controller that says nothing for longer than the time to live loses the board; pings keep it."""
    with LocalAgent(tmp_path) as agent:
        agent.hello(ttl_s=0.6)
        for _ in range(3):
            time.sleep(0.3)
            assert agent.ask("ping").header["ok"]

        assert agent.process.wait(timeout=10) == 0
        with LocalAgent(tmp_path) as second:
            assert second.hello()["ok"]


def test_session_outlives_the_silence_of_its_controller(fresh: LocalAgent) -> None:
    """While a session runs within its deadline the lease does not expire, nor right at its end."""
    asked = request(fresh, "timing", b"run hang", PAIR, env="fake-env", deadline_s=2.5)
    fresh.hello(ttl_s=1.0)

    reply = fresh.ask("session", **asked).header

    assert reply["error"]["code"] == "timeout"
    assert fresh.ask("ping").header["ok"]


def test_stray_with_the_lock_is_named(tmp_path: Path) -> None:
    """A process that keeps the lock of an owner who is gone is reported, not killed."""
    (tmp_path / "lease").write_text(json.dumps({"holder": "gone", "pid": 1, "start": 1, "boot_id": "other"}))
    with subprocess.Popen(["flock", str(tmp_path / "lease"), "sleep", "60"], start_new_session=True) as stray:
        try:
            time.sleep(0.3)
            with LocalAgent(tmp_path) as agent:
                refused = agent.hello()["error"]

            assert refused["code"] == "lease_busy"
            assert stray.pid in {found["pid"] for found in refused["strays"]}
            assert is_running(stray.pid)
        finally:
            os.killpg(stray.pid, signal.SIGKILL)
