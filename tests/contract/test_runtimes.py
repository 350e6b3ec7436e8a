"""One body over every runtime adapter and build: what a session promises, whoever computes."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.facts import abi_tag, libc_version
from harness.agent.frame import Frame
from harness.device.runtime import RuntimeEnv, resolve
from harness.records.run import Facts
from harness.testing.agent import LocalAgent

DIGITS = Path(__file__).parents[2] / "suites" / "digits"
DATA = (DIGITS / "digits_eval.npz").read_bytes()
LABELS = np.load(DIGITS / "digits_eval.npz")["y"]


@dataclass(frozen=True)
class Build:
    """A runtime build and the models that it is tried with: one of floats, one quantised."""

    runtime: str
    requirement: str
    float_model: str
    int8_model: str


BUILDS = [
    pytest.param(Build("onnxruntime", "system", "digits_fp32.onnx", "digits_int8_qdq.onnx"), id="onnxruntime"),
    pytest.param(
        Build("tflite", "ai-edge-litert==2.3.0", "digits_fp32.tflite", "digits_int8.tflite"),
        id="ai-edge-litert",
        marks=pytest.mark.system,
    ),
    pytest.param(
        Build("tflite", "tflite-runtime==2.14.0", "digits_fp32.tflite", "digits_int8.tflite"),
        id="tflite-runtime",
        marks=pytest.mark.system,
    ),
    pytest.param(
        Build("executorch", "executorch-numpy-runtime==1.4.0", "digits_fp32.pte", "digits_int8.pte"),
        id="executorch",
        marks=[
            pytest.mark.system,
            pytest.mark.skipif(sys.version_info < (3, 12), reason="executorch-numpy-runtime needs Python 3.12"),
        ],
    ),
]


@dataclass(frozen=True)
class Board:
    """An agent with one runtime build installed."""

    agent: LocalAgent
    build: Build
    env: str

    def session(self, kind: str, file: str, **fields: Any) -> Frame:
        """Run one session; the reply is checked to be whole."""
        asked: dict[str, Any] = {
            "nonce": f"{kind}-{file}", "kind": kind, "env": self.env, "runtime": self.build.runtime,
            "model": self.agent.put((DIGITS / file).read_bytes()), "suffix": Path(file).suffix,
            "data": self.agent.put(DATA), "repeat": 10, "warmup": 2, "deadline_s": 120.0,
        }  # fmt: skip
        reply = self.agent.ask("session", **{**asked, **fields})
        assert reply.header["ok"], reply.header
        assert reply.header["nonce"] == asked["nonce"]
        return reply


def deploy(agent: LocalAgent, env: RuntimeEnv) -> str:
    """Install an environment; return its id."""
    if env.wheels:
        wheels = [{"digest": agent.put(wheel.path.read_bytes()), "filename": wheel.filename} for wheel in env.wheels]
        reply = agent.ask("env", env=env.id, wheels=wheels).header
        assert reply["ok"], reply
    return env.id


@pytest.fixture(scope="module", params=BUILDS)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """This machine as a board with one build."""
    build: Build = request.param
    facts = Facts(
        architecture=platform.machine(), cpu="", cores=1, features=(), memory_bytes=0, kernel=platform.release(),
        libc=libc_version(), python=platform.python_version(), python_abi=abi_tag(),
    )  # fmt: skip
    env = resolve(build.runtime, build.requirement, facts, progress=lambda _: None)
    with LocalAgent(tmp_path_factory.mktemp("board")) as agent:
        agent.hello()
        yield Board(agent, build, deploy(agent, env))


def array(reply: Frame, name: str) -> Any:
    """Decode one array of a reply."""
    assert reply.header["error"] is None, json.dumps(reply.header["error"])
    spec = next(spec for spec in reply.header["arrays"] if spec["name"] == name)
    dtype = np.dtype(spec["dtype"])
    flat = np.frombuffer(reply.payload, dtype, offset=spec["offset"], count=spec["nbytes"] // dtype.itemsize)
    return flat.reshape(spec["shape"])


@pytest.mark.parametrize("model", ["float_model", "int8_model"])
def test_accuracy_is_that_of_the_model(board: Board, model: str) -> None:
    """Outputs come back as real numbers that name the right digit, quantised or not."""
    outputs = array(board.session("accuracy", getattr(board.build, model)), "output_0")

    assert outputs.shape == (len(LABELS), 10)
    assert outputs.dtype == np.float32
    assert (outputs.argmax(axis=1) == LABELS).mean() > 0.97


@pytest.mark.parametrize("model", ["float_model", "int8_model"])
def test_timed_output_is_the_accuracy_pass(board: Board, model: str) -> None:
    """What was timed is what was judged."""
    name = getattr(board.build, model)
    timing = board.session("timing", name)

    np.testing.assert_array_equal(
        array(timing, "timed_output"), array(board.session("accuracy", name), "output_0")[0].ravel()
    )
    assert array(timing, "latency_s").shape == (10,)
    assert timing.header["scalars"]["load_s"] > 0


def test_provenance_is_told(board: Board) -> None:
    """Version, provider, threads, Python, numpy and the hash of the opened file are in every reply."""
    header = board.session("timing", board.build.float_model).header

    package, _, version = board.build.requirement.partition("==")
    wanted = f"{package} {version}" if version else "onnxruntime "
    assert header["runtime_version"].startswith(wanted)
    assert header["provider"]
    assert header["threads"] == 1
    assert header["python"] == platform.python_version()
    assert header["numpy"]
    assert header["model_sha256"] == board.agent.put((DIGITS / board.build.float_model).read_bytes())


@pytest.mark.parametrize("model", ["float_model", "int8_model"])
def test_data_that_nobody_brought_is_drawn_and_kept(board: Board, model: str) -> None:
    """Inputs drawn from a seed run, stay in the store for other sessions, and are the same the second time."""
    name = getattr(board.build, model)
    first, again = (board.session("accuracy", name, data="", samples=3, seed=5) for _ in range(2))

    data = first.header["settings"]["data"]
    np.testing.assert_array_equal(array(first, "output_0"), array(again, "output_0"))
    assert array(first, "output_0").shape == (3, 10)
    assert again.header["settings"]["data"] == data
    timing = board.session("timing", name, data=data)
    np.testing.assert_array_equal(array(timing, "timed_output"), array(first, "output_0")[0].ravel())


def test_types_of_outputs_are_told(board: Board) -> None:
    """What the runtime itself returned is named, although outputs come back as real numbers."""
    header = board.session("accuracy", board.build.float_model, samples=2).header

    assert header["settings"]["output_types"] == "float32"
    assert header["scalars"]["sample_count"] == 2


def test_memory_grows_with_the_model(board: Board) -> None:
    """The peak is over the empty runtime, and loading is part of it."""
    scalars = board.session("memory", board.build.float_model).header["scalars"]

    assert 0 < scalars["rss_start_bytes"] < scalars["hwm_load_bytes"] <= scalars["hwm_bytes"]


def test_unknown_provider_is_a_fallback(board: Board) -> None:
    """A provider that would not compute the model is refused, not replaced."""
    error = board.session("timing", board.build.float_model, provider="NoSuchThing").header["error"]

    assert error["code"] == "fallback"
    assert "NoSuchThing" in error["message"]


def test_broken_file_is_a_load_error(board: Board) -> None:
    """A damaged model is the model's fault, in the runtime's words."""
    broken = (DIGITS / board.build.float_model).read_bytes()[:2000]

    reply = board.session("timing", board.build.float_model, model=board.agent.put(broken))

    assert reply.header["error"]["code"] in {"load", "crash"}
    assert board.session("timing", board.build.float_model).header["error"] is None


def test_wrong_data_is_an_input_error(board: Board, tmp_path: Path) -> None:
    """Data of another shape is refused with both shapes."""
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3, 3), np.float32))

    data = board.agent.put((tmp_path / "d.npz").read_bytes())
    error = board.session("timing", board.build.float_model, data=data).header["error"]

    assert error["code"] == "input"
    assert "takes (" in error["message"]


_SPLIT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from harness.agent.runtimes import load_runtime
from harness.agent.samples import Samples
samples = Samples.read(sys.argv[4], 1)
parts = load_runtime(sys.argv[2]).split(sys.argv[3], "", 1, lambda specs: samples.take(specs, 0, 1))
for count in range(len(parts.operators) + 1):
    parts.open(count)()
parts.close()
json.dump([parts.operators, parts.notes, parts.provider], sys.stdout)
"""
"""Runs every part of a model once; in a process of its own, because it needs a build's packages."""


@pytest.mark.parametrize("model", ["float_model", "int8_model"])
def test_every_part_of_a_model_runs_and_its_operators_are_told(board: Board, model: str, tmp_path: Path) -> None:
    """From no operator to all of them; names, types and shapes are there, and no file is left."""
    name = getattr(board.build, model)
    path = tmp_path / f"model{Path(name).suffix}"
    path.write_bytes((DIGITS / name).read_bytes())
    env = str(board.agent.root / "env" / board.env)
    command = [sys.executable, "-c", _SPLIT, env, board.build.runtime, str(path), str(DIGITS / "digits_eval.npz")]

    ended = subprocess.run(command, cwd=DIGITS.parents[1], capture_output=True, check=True, timeout=120)
    operators, _, provider = json.loads(ended.stdout)

    assert len(operators) >= 9
    assert all(name and kind and "->" in shapes for name, kind, shapes in operators)
    assert operators[-1][2].endswith("-> [1,10]")
    assert provider
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_profile_counts_or_says_why_not(board: Board) -> None:
    """Where this machine counts instructions the parts have figures; elsewhere the reason is told, not a figure."""
    reply = board.session("profile", board.build.int8_model)

    if reply.header["error"] is not None:
        assert reply.header["error"]["code"] == "profile"
        assert "counts no user instructions" in reply.header["error"]["message"]
    else:
        assert sum(item["instructions"] for item in json.loads(array(reply, "profile").tobytes())["operators"]) > 0
