"""Models that misbehave under the agent: what each is called, and that nothing of it stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.testing.agent import LocalAgent
from harness.testing.asking import (
    DIGITS,
    PAIR,
    arrays_of,
    count_processes,
    data_of,
    digits,
    fake_agent,
    misbehave,
    request,
)
from harness.testing.fake_runtime import MISBEHAVING, add_fake


@pytest.fixture(scope="module", name="agent")
def _agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """An agent with the fake environment; no test may end it."""
    with fake_agent(tmp_path_factory.mktemp("board") / "root") as agent:
        yield agent


@pytest.fixture(name="fresh")
def _fresh(tmp_path: Path) -> Iterator[LocalAgent]:
    """The same for one test, which may end it."""
    with fake_agent(tmp_path / "root") as agent:
        yield agent


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
    (agent.root / "env" / "misfit" / "onnxruntime.py").write_text(MISBEHAVING)
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
