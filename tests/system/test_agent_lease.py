"""The agent's channel and lease: who may speak, who holds the board, and what ends with whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.agent.frame import FrameError
from harness.testing.agent import LocalAgent
from harness.testing.asking import (
    PAIR,
    count_processes,
    digits,
    fake_agent,
    is_running,
    request,
    wait_until,
)


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
